package io.github.llmmobile.edge;

import io.github.llmmobile.edge.policy.Reason;
import org.jspecify.annotations.Nullable;

/** Where one step of a split session was made, and why. Immutable. */
public final class SplitEvent {
  /** Where. */
  public enum Where {
    /** The last layers were evaluated by the worker. */
    SPLIT,
    /** All layers were evaluated on this device. */
    LOCAL
  }

  private final Where where;
  private final Reason why;
  private final String reason;
  private final int position;
  private final int rows;
  private final int sentBytes;
  private final int receivedBytes;
  private final long lowerMicros;
  private final long upperMicros;
  private final int queueMicros;
  private final int computeMicros;

  private SplitEvent(Where where, Reason why, String reason, int position, int rows,
      WorkerStream.@Nullable Answer answer, long lowerMicros, long upperMicros) {
    this.where = where;
    this.why = why;
    this.reason = reason;
    this.position = position;
    this.rows = rows;
    sentBytes = answer == null ? 0 : answer.sentBytes;
    receivedBytes = answer == null ? 0 : answer.receivedBytes;
    queueMicros = answer == null ? 0 : answer.queueMicros;
    computeMicros = answer == null ? 0 : answer.computeMicros;
    this.lowerMicros = lowerMicros;
    this.upperMicros = upperMicros;
  }

  static SplitEvent split(Reason why, int position, int rows, WorkerStream.Answer answer, long lowerMicros,
      long upperMicros) {
    return new SplitEvent(Where.SPLIT, why, "", position, rows, answer, lowerMicros, upperMicros);
  }

  static SplitEvent local(Reason why, String reason, int position, int rows, long lowerMicros, long upperMicros) {
    return new SplitEvent(Where.LOCAL, why, reason, position, rows, null, lowerMicros, upperMicros);
  }

  /**
   * Where the step was made.
   *
   * @return the place (never null)
   */
  public Where where() {
    return where;
  }

  /**
   * Why it was made there.
   *
   * @return the reason; {@link Reason#REMOTE_FAILED} for whatever {@link #reason()} says went wrong (never null)
   */
  public Reason why() {
    return why;
  }

  /**
   * Why it was made on this device.
   *
   * @return a word: {@link #why()} as in JSON if that is the policy's, {@code deadline} (the answer did not come in time), {@code late} (it still has not come), {@code
   *     stalled}, {@code connection}, {@code connecting}, {@code draining}, {@code refused}, {@code gate} and what it says,
   *     {@code answer} (the worker's was unusable), or a code of the protocol in lower case; empty for a step that was split (never null)
   */
  public String reason() {
    return reason;
  }

  /**
   * Tokens in the session after the step.
   *
   * @return their number
   */
  public int position() {
    return position;
  }

  /**
   * Tokens that the step brought.
   *
   * @return at least 1
   */
  public int rows() {
    return rows;
  }

  /**
   * Bytes of the last frame that was sent.
   *
   * @return bytes of the message, without gRPC's, HTTP's and TLS's own; 0 for a local step
   */
  public int sentBytes() {
    return sentBytes;
  }

  /**
   * Bytes of the answer.
   *
   * @return bytes of the message; 0 for a local step
   */
  public int receivedBytes() {
    return receivedBytes;
  }

  /**
   * Time of evaluating this device's first layers.
   *
   * @return microseconds
   */
  public long lowerMicros() {
    return lowerMicros;
  }

  /**
   * Time of everything else: encoding, the way to the worker and back with what it did there, or the other layers on this
   * device, and before that waiting for the worker.
   *
   * @return microseconds
   */
  public long upperMicros() {
    return upperMicros;
  }

  /**
   * Time that the step waited for its turn at the worker.
   *
   * @return microseconds; 0 for a local step
   */
  public int queueMicros() {
    return queueMicros;
  }

  /**
   * Time of the worker's layers.
   *
   * @return microseconds; 0 for a local step
   */
  public int computeMicros() {
    return computeMicros;
  }

  @Override
  public String toString() {
    return "SplitEvent[" + where + " " + (reason.isEmpty() ? why.jsonName() : reason) + ", position=" + position + ", rows=" + rows
        + ", sentBytes=" + sentBytes + ", receivedBytes=" + receivedBytes + ", lowerMicros=" + lowerMicros
        + ", upperMicros=" + upperMicros + ", queueMicros=" + queueMicros + ", computeMicros=" + computeMicros + "]";
  }
}
