package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.ModelInfo;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/**
 * Chooses among candidates: biases, penalties, top-k, top-p and min-p in this order, then temperature, as the library's own
 * sampler does with the whole vocabulary. The device chooses, never the worker: a token does not depend on where its
 * candidates come from.
 *
 * <p>Only what makes tokens less likely is taken. A step then asks for as many candidates more as there are such tokens, and
 * the best of those that remain are the best of the whole vocabulary: whatever was not named is less likely than each of them.
 */
final class CandidateSampler {
  private final GenerationOptions options;
  private final int most;
  private final int kept;
  private final Random random;
  private final Set<Integer> banned = new HashSet<>();
  private final Map<Integer, Double> biases = new HashMap<>();
  private final RecentTokens recent;

  /**
   * A sampler for one generation.
   *
   * @param options what candidates alone do not suffice for is refused
   * @param info the model
   * @param most candidates that can be had
   */
  CandidateSampler(GenerationOptions options, ModelInfo info, int most) {
    this.options = options;
    this.most = most;
    boolean greedy = options.temperature() == 0;
    kept = greedy ? 1 : options.topK();
    refuse(!greedy && (options.topK() < 1 || options.topK() > most),
        "a split session needs a top-k from 1 to " + most + ", not " + options.topK());
    refuse(options.typicalP() != 1, "typical-p");
    refuse(options.repeatPenalty() < 1 || options.frequencyPenalty() < 0 || options.presencePenalty() < 0,
        "penalties that make tokens likelier");
    refuse(options.dryMultiplier() != 0, "DRY");
    refuse(options.mirostat() != 0, "Mirostat");
    refuse(options.grammar().isPresent() || options.jsonSchema().isPresent(), "grammars and JSON schemas");
    refuse(options.draftTokens() != 0, "drafting");
    options.logitBias().forEach((token, bias) -> bias(token, bias, info.vocabulary()));
    if (options.ignoreEos()) {
      for (int token : info.endTokens()) {
        banned.add(token);
      }
    }
    refuse(kept + banned.size() + biases.size() > most, "so many logit biases");
    recent = new RecentTokens(penalizes() ? window(options.penaltyLastN(), info.contextTrain()) : 0);
    random = options.seed().isPresent() ? new Random(options.seed().getAsLong()) : new Random();
  }

  private static void refuse(boolean wanted, String what) {
    if (wanted) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE,
          what.startsWith("a split") ? what : what + ": not in a split session, which sees the best candidates alone");
    }
  }

  private static int window(int lastN, int trained) {
    int whole = trained > 0 ? trained : Integer.MAX_VALUE;
    return lastN < 0 ? whole : Math.min(lastN, whole);
  }

  private void bias(int token, double bias, int vocabulary) {
    if (token >= vocabulary) {
      throw new LlmException(
          ErrorCode.RANGE, "logitBias: token " + token + " is not in the vocabulary of " + vocabulary);
    }
    refuse(bias > 0, "logit biases above 0");
    if (bias == Double.NEGATIVE_INFINITY) {
      banned.add(token);
    } else if (bias < 0) {
      biases.put(token, bias);
    }
  }

  private boolean penalizes() {
    return options.penaltyLastN() != 0
        && (options.repeatPenalty() != 1 || options.frequencyPenalty() != 0 || options.presencePenalty() != 0);
  }

  /** A token of the history. */
  void accept(int token) {
    recent.add(token);
  }

  /** What it wants for the next token. A repetition penalty scales logits, which probabilities do not tell. */
  WorkerStream.Wanted wanted() {
    return new WorkerStream.Wanted(Math.min(most, kept + banned.size() + biases.size() + recent.distinct()),
        options.repeatPenalty() != 1 && penalizes());
  }

  /** The next token. */
  int pick(Candidates candidates) {
    Ranked ranked = new Ranked(candidates.size());
    for (int i = 0; i < candidates.size(); i++) {
      int token = candidates.id(i);
      if (!banned.contains(token)) {
        ranked.add(token, penalized(token, candidates.logit(i) + biases.getOrDefault(token, 0.0)));
      }
    }
    if (options.temperature() == 0) {
      return ranked.token(0);
    }
    int n = Math.min(kept, ranked.size());
    double[] p = new double[n];
    double sum = 0;
    for (int i = 0; i < n; i++) {
      p[i] = Math.exp(ranked.logit(i) - ranked.logit(0));
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
        return ranked.token(i);
      }
    }
    return ranked.token(n - 1);
  }

  private double penalized(int token, double logit) {
    int times = recent.count(token);
    if (times == 0) {
      return logit;
    }
    double scaled = logit <= 0 ? logit * options.repeatPenalty() : logit / options.repeatPenalty();
    return scaled - times * options.frequencyPenalty() - options.presencePenalty();
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

  /** Tokens by their logits, the best first; of equal ones, those that came first. */
  private static final class Ranked {
    private final int[] tokens;
    private final double[] logits;
    private int size;

    Ranked(int most) {
      tokens = new int[most];
      logits = new double[most];
    }

    void add(int token, double logit) {
      int at = size++;
      while (at > 0 && logits[at - 1] < logit) {
        tokens[at] = tokens[at - 1];
        logits[at] = logits[at - 1];
        at--;
      }
      tokens[at] = token;
      logits[at] = logit;
    }

    int size() {
      return size;
    }

    int token(int i) {
      return tokens[i];
    }

    double logit(int i) {
      return logits[i];
    }
  }
}
