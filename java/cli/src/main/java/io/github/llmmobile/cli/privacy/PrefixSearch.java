package io.github.llmmobile.cli.privacy;

import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.TokenLogprob;
import io.github.llmmobile.edge.RowFormat;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.function.DoubleConsumer;

/**
 * Recovers a text from its rows, from the beginning on, as whoever has the model can: tokens that are likely after what has
 * been recovered go through the first layers and the codec, and the one whose row is nearest to the row that was sent is
 * taken. Mistakes stay in what follows, as they would for an attacker.
 */
final class PrefixSearch implements AutoCloseable {
  private final LlmSession lower;
  private final LlmSession whole;
  private final int width;
  private final int guesses;

  /**
   * A search.
   *
   * @param guesses tokens that the model's own prediction adds to the candidates
   */
  PrefixSearch(LlmModel model, int split, int positions, int guesses, int threads) {
    width = model.info().embedding();
    this.guesses = Math.min(guesses, model.info().vocabulary());
    SessionOptions options = SessionOptions.builder().contextTokens(positions + 1).threads(threads).build();
    whole = model.newSession(options);
    try {
      lower = model.newSession(options.toBuilder().layers(LayerRange.of(0, split)).build());
    } catch (RuntimeException e) {
      whole.close();
      throw e;
    }
  }

  /**
   * Recovers the first tokens of a text.
   *
   * @param sent rows as they arrive, at least so many
   * @param hints for each position tokens that other attacks suggest
   * @param positions how many tokens
   */
  int[] recover(RowFormat format, float[] sent, int[][] hints, int positions, DoubleConsumer progress) {
    lower.rewind(0);
    whole.rewind(0);
    int[] recovered = new int[positions];
    for (int at = 0; at < positions; at++) {
      progress.accept((double) at / positions);
      Set<Integer> candidates = new LinkedHashSet<>();
      for (int hint : hints[at]) {
        candidates.add(hint);
      }
      if (at > 0) {
        whole.topLogprobs(guesses).stream().map(TokenLogprob::token).forEach(candidates::add);
      }
      recovered[at] = nearest(format, sent, at, candidates);
      row(recovered[at]);
      whole.eval(recovered[at]);
    }
    return recovered;
  }

  private int nearest(RowFormat format, float[] sent, int at, Set<Integer> candidates) {
    int best = -1;
    double least = Double.POSITIVE_INFINITY;
    for (int candidate : candidates) {
      double distance = Rows.distance(sent, at * width, Rows.sent(format, row(candidate)));
      lower.rewind(at);
      if (best < 0 || distance < least) {
        best = candidate;
        least = distance;
      }
      if (distance == 0) {
        break;
      }
    }
    return best;
  }

  /** Evaluates a token in the first layers. */
  private float[] row(int token) {
    FloatBuffer out =
        ByteBuffer.allocateDirect(width * Float.BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer();
    lower.evalHidden(new int[] {token}, null, out);
    float[] row = new float[width];
    out.get(row);
    return row;
  }

  void cancel() {
    lower.cancel();
    whole.cancel();
  }

  @Override
  public void close() {
    lower.close();
    whole.close();
  }
}
