package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The most probable next tokens, the best first. Immutable. */
public final class Candidates {
  private static final int BYTES = 8;

  private final int[] ids;
  private final float[] logprobs;
  private final float logSum;

  /**
   * Candidates.
   *
   * @param ids tokens, the most probable first, at least one; not copied (required)
   * @param logprobs natural logarithms of their probabilities in the whole vocabulary; not copied (required)
   * @param logSum what makes logits of them; 0 if that was not asked for
   */
  Candidates(int[] ids, float[] logprobs, float logSum) {
    this.ids = ids;
    this.logprobs = logprobs;
    this.logSum = logSum;
  }

  /** Reads what a worker has sent, which may be anything. */
  static Candidates parse(byte[] bytes, int count, float logSum, int vocabulary) {
    if (bytes.length != count * BYTES) {
      throw unusable("has " + bytes.length + " bytes for " + count + " candidates");
    }
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int[] ids = new int[count];
    float[] logprobs = new float[count];
    for (int i = 0; i < count; i++) {
      ids[i] = in.getInt();
      logprobs[i] = in.getFloat();
      if (ids[i] < 0 || ids[i] >= vocabulary || !(logprobs[i] <= 0)) {
        throw unusable("has token " + ids[i] + " with the log-probability " + logprobs[i]);
      }
    }
    if (!(Math.abs(logSum) <= Float.MAX_VALUE)) {
      throw unusable("has a sum of logits that is " + logSum);
    }
    return new Candidates(ids, logprobs, logSum);
  }

  private static LlmException unusable(String what) {
    return new LlmException(ErrorCode.REMOTE_REFUSED, "the worker's answer " + what);
  }

  /**
   * How many there are.
   *
   * @return at least 1
   */
  public int size() {
    return ids.length;
  }

  /**
   * A token.
   *
   * @param i from 0, the most probable
   * @return its id
   */
  public int id(int i) {
    return ids[i];
  }

  /**
   * How probable a token is.
   *
   * @param i from 0, the most probable
   * @return natural logarithm of its probability in the whole vocabulary
   */
  public float logprob(int i) {
    return logprobs[i];
  }

  /** The logit of a token, if it was asked for, or else something that differs from it by the same for all. */
  double logit(int i) {
    return (double) logprobs[i] + logSum;
  }
}
