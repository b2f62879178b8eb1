package io.github.llmmobile.cli.needle;

import java.util.List;
import java.util.function.Consumer;
import java.util.function.IntFunction;

/**
 * Looks for needles. For each prompt an engine of its own reads the context in large steps, the gap one token at a time,
 * as when generating, the question in one step, and the opening of the answer one token at a time. Then each key is
 * scored on a branch, one token at a time: the sum of the log-probabilities of its tokens.
 */
public final class NeedleRunner {
  /** What a token of the context costs, as a share of one that is evaluated alone; for the progress. */
  private static final double BATCHED = 0.15;

  private final List<NeedlePrompt> prompts;
  private final IntFunction<NeedleEngine> engines;
  private final Progress progress;
  private double done;
  private double work;

  /** Hears how far a run has come. What it throws ends the run. */
  public interface Progress {
    /**
     * Work goes on.
     *
     * @param what is being done, such as "essay at 35 %" (required)
     * @param fraction share of all work that is done, 0 to 1
     */
    void onStep(String what, double fraction);
  }

  /**
   * A runner.
   *
   * @param prompts what to look for (required)
   * @param engines opens an engine with room for that many tokens; the runner closes it (required)
   * @param progress hears of each step (required)
   */
  public NeedleRunner(List<NeedlePrompt> prompts, IntFunction<NeedleEngine> engines, Progress progress) {
    this.prompts = prompts;
    this.engines = engines;
    this.progress = progress;
  }

  /**
   * Looks for every needle.
   *
   * @param results takes each result as soon as it is known, in the order of the prompts (required)
   */
  public void run(Consumer<NeedleResult> results) {
    done = 0;
    work = prompts.stream().mapToDouble(NeedleRunner::work).sum();
    for (NeedlePrompt prompt : prompts) {
      try (NeedleEngine engine = engines.apply(prompt.contextTokens())) {
        read(prompt, engine);
        results.accept(score(prompt, engine));
      }
    }
  }

  private static double work(NeedlePrompt prompt) {
    return BATCHED * (prompt.context.length + prompt.question.length) + prompt.gap.length + prompt.opening.length
        + prompt.keyTokens.length * (prompt.keyTokens[0].length - 1.0);
  }

  private void read(NeedlePrompt prompt, NeedleEngine engine) {
    eval(prompt, engine, prompt.context);             // in one call: prompts may be pruned as a whole
    for (int token : prompt.gap) {
      eval(prompt, engine, token);
    }
    eval(prompt, engine, prompt.question);
    for (int token : prompt.opening) {
      eval(prompt, engine, token);
    }
  }

  private NeedleResult score(NeedlePrompt prompt, NeedleEngine engine) {
    double[] scores = new double[prompt.keyTokens.length];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = score(prompt, engine, prompt.keyTokens[i]);
    }
    int best = 1;
    for (int i = 2; i < scores.length; i++) {
      best = scores[i] > scores[best] ? i : best;
    }
    return new NeedleResult(prompt.filler, prompt.depth, prompt.position, prompt.keys.get(0),
        prompt.keyTokens[0].length, scores[0], prompt.keys.get(best), scores[best], engine.cache());
  }

  private double score(NeedlePrompt prompt, NeedleEngine engine, int[] key) {
    double sum = engine.logprob(key[0]);
    if (key.length > 1) {
      try (NeedleEngine branch = engine.branch()) {
        for (int i = 1; i < key.length; i++) {
          eval(prompt, branch, key[i - 1]);
          sum += branch.logprob(key[i]);
        }
      }
    }
    return sum;
  }

  private void eval(NeedlePrompt prompt, NeedleEngine engine, int... tokens) {
    progress.onStep(prompt.filler + " at " + prompt.depth + " %", work == 0 ? 0 : Math.min(1, done / work));
    engine.eval(tokens);
    done += tokens.length == 1 ? 1 : BATCHED * tokens.length;
  }
}
