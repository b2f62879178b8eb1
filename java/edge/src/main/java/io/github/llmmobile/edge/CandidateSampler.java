package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmException;
import java.util.Random;

/**
 * Chooses among candidates: top-k, top-p and min-p in this order, then temperature, as the library's own sampler does
 * with the whole vocabulary. The device chooses, never the worker: a token does not depend on where its candidates come
 * from.
 */
final class CandidateSampler {
  private final GenerationOptions options;
  private final int count;
  private final Random random;

  /**
   * A sampler for one generation.
   *
   * @param options what candidates alone do not suffice for is refused
   * @param most candidates that can be had
   */
  CandidateSampler(GenerationOptions options, int most) {
    this.options = options;
    boolean greedy = options.temperature() == 0;
    count = greedy ? 1 : options.topK();
    refuse(!greedy && (options.topK() < 1 || options.topK() > most),
        "a split session needs a top-k from 1 to " + most + ", not " + options.topK());
    refuse(options.typicalP() != 1, "typical-p");
    refuse(options.repeatPenalty() != 1 || options.frequencyPenalty() != 0 || options.presencePenalty() != 0,
        "penalties for repetition");
    refuse(options.dryMultiplier() != 0, "DRY");
    refuse(options.mirostat() != 0, "Mirostat");
    refuse(!options.logitBias().isEmpty(), "logit biases");
    refuse(options.grammar().isPresent() || options.jsonSchema().isPresent(), "grammars and JSON schemas");
    refuse(!options.stop().isEmpty(), "stop strings");
    refuse(options.ignoreEos(), "ignoring the end of the answer");
    refuse(options.draftTokens() != 0, "drafting");
    random = options.seed().isPresent() ? new Random(options.seed().getAsLong()) : new Random();
  }

  private static void refuse(boolean wanted, String what) {
    if (wanted) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE,
          what.startsWith("a split") ? what : what + ": not in a split session, which sees the best candidates alone");
    }
  }

  /** Candidates that it wants. */
  int count() {
    return count;
  }

  /** The next token. */
  int pick(Candidates candidates) {
    if (options.temperature() == 0) {
      return candidates.id(0);
    }
    int n = candidates.size();
    double[] p = new double[n];
    double sum = 0;
    for (int i = 0; i < n; i++) {
      p[i] = Math.exp(candidates.logprob(i) - candidates.logprob(0));
      sum += p[i];
    }
    n = topP(p, n, sum);
    while (n > 1 && p[n - 1] < options.minP()) {
      n--;
    }
    sum = 0;
    for (int i = 0; i < n; i++) {
      p[i] = Math.pow(p[i], 1 / (double) options.temperature());
      sum += p[i];
    }
    double rest = random.nextDouble() * sum;
    for (int i = 0; i < n; i++) {
      rest -= p[i];
      if (rest < 0) {
        return candidates.id(i);
      }
    }
    return candidates.id(n - 1);
  }

  /** How many are needed for the mass that shall stay. */
  private int topP(double[] p, int n, double sum) {
    double mass = 0;
    for (int i = 0; i < n; i++) {
      mass += p[i];
      if (mass >= options.topP() * sum) {
        return i + 1;
      }
    }
    return n;
  }
}
