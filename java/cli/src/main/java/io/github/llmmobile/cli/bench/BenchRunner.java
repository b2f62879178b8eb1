package io.github.llmmobile.cli.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;

/**
 * Times prefill and decoding at several depths.
 *
 * <p>Workloads, after llama-bench:
 *
 * <ul>
 *   <li>fill: `depth` random tokens, once per depth, untimed;
 *   <li>pp: evaluation of `promptTokens` random tokens, then back to the depth;
 *   <li>tg: greedy generation, one token at a time, end tokens ignored, then back to the depth.
 * </ul>
 *
 * <p>A generation of n + 1 tokens evaluates n of them between its first and its last token; the time between those
 * two is what counts. It contains sampling and the way into Java, which llama-bench leaves out.
 */
public final class BenchRunner {
  /** Fills go in steps, so that progress can be shown and the user can interrupt. */
  private static final int FILL_STEP = 512;
  private static final double NANOS_PER_SECOND = 1e9;

  private final BenchPlan plan;
  private final IntFunction<BenchSubject> subjects;
  private final LongSupplier nanoTime;
  private final BenchProgress progress;
  private final SplittableRandom random;

  /** Hears how far a benchmark has come. */
  public interface BenchProgress {
    /**
     * Work goes on.
     *
     * @param what is being done, such as "tg32 at 2048, 3 of 5" (required)
     * @param fraction share of all steps that is done, 0 to 1
     */
    void onStep(String what, double fraction);
  }

  /**
   * A runner.
   *
   * @param plan what to measure (required)
   * @param subjects opens a subject with room for that many tokens; the runner closes it (required)
   * @param nanoTime a clock in nanoseconds (required)
   * @param progress hears of each step (required)
   */
  public BenchRunner(BenchPlan plan, IntFunction<BenchSubject> subjects, LongSupplier nanoTime,
      BenchProgress progress) {
    this.plan = plan;
    this.subjects = subjects;
    this.nanoTime = nanoTime;
    this.progress = progress;
    random = new SplittableRandom(plan.seed());
  }

  /**
   * Measures everything.
   *
   * @return rows by depth, prefill before decoding (never null)
   */
  public List<BenchResult> run() {
    List<BenchResult> results = new ArrayList<>();
    for (int i = 0; i < plan.depths().size(); i++) {
      measure(plan.depths().get(i), i, results);
    }
    return results;
  }

  private void measure(int depth, int index, List<BenchResult> results) {
    try (BenchSubject subject = subjects.apply(plan.contextTokens(depth))) {
      step("warm-up", index, 0);
      warmUp(subject);
      int[] history = tokens(subject, depth);
      fill(subject, history, index);
      if (plan.promptTokens() > 0) {
        results.add(prompt(subject, depth, index));
      }
      if (plan.generatedTokens() > 0) {
        results.add(generation(subject, history, index));
      }
    }
  }

  /** First calls build graphs and touch the weights; they are never measured. */
  private void warmUp(BenchSubject subject) {
    if (plan.promptTokens() > 0) {
      subject.eval(tokens(subject, plan.promptTokens()));
      subject.rewind(0);
    }
    if (plan.generatedTokens() > 0) {
      subject.generate(tokens(subject, 1), 2, () -> {});
      subject.rewind(0);
    }
  }

  private void fill(BenchSubject subject, int[] history, int index) {
    for (int start = 0; start < history.length; start += FILL_STEP) {
      step("filling to " + history.length, index, start / (double) history.length / 2);
      int end = Math.min(history.length, start + FILL_STEP);
      subject.eval(Arrays.copyOfRange(history, start, end));
    }
  }

  private BenchResult prompt(BenchSubject subject, int depth, int index) {
    double[] speeds = new double[plan.repeats()];
    for (int i = 0; i < speeds.length; i++) {
      repetition(plan.promptTest(), depth, index, i, 0);
      int[] tokens = tokens(subject, plan.promptTokens());
      long start = nanoTime.getAsLong();
      subject.eval(tokens);
      speeds[i] = perSecond(plan.promptTokens(), nanoTime.getAsLong() - start);
      subject.rewind(depth);
    }
    return new BenchResult(plan.promptTest(), depth, speeds, subject.cache());
  }

  private BenchResult generation(BenchSubject subject, int[] history, int index) {
    int depth = history.length;
    int[] start = depth > 0 ? history : tokens(subject, 1);
    double[] speeds = new double[plan.repeats()];
    for (int i = 0; i < speeds.length; i++) {
      repetition(plan.generationTest(), depth, index, i, plan.repeats());
      Stopwatch watch = new Stopwatch(plan.generatedTokens() + 1);
      subject.generate(start, plan.generatedTokens() + 1, watch);
      speeds[i] = perSecond(plan.generatedTokens(), watch.elapsed());
      subject.rewind(depth);
    }
    return new BenchResult(plan.generationTest(), depth, speeds, subject.cache());
  }

  private int[] tokens(BenchSubject subject, int count) {
    return random.ints(count, 0, subject.vocabulary()).toArray();
  }

  private void repetition(String test, int depth, int index, int repetition, int before) {
    double done = 0.5 + 0.5 * (before + repetition) / (2.0 * plan.repeats());
    step(test + " at " + depth + ", " + (repetition + 1) + " of " + plan.repeats(), index, done);
  }

  private void step(String what, int index, double done) {
    progress.onStep(what, (index + done) / plan.depths().size());
  }

  private static double perSecond(int tokens, long nanos) {
    return tokens * NANOS_PER_SECOND / nanos;
  }

  /** Time from the first token to the last of those expected. */
  private final class Stopwatch implements Runnable {
    private final int expected;
    private int seen;
    private long first;
    private long last;

    Stopwatch(int expected) {
      this.expected = expected;
    }

    @Override
    public void run() {
      seen++;
      if (seen == 1) {
        first = nanoTime.getAsLong();
      }
      if (seen == expected) {
        last = nanoTime.getAsLong();
      }
    }

    long elapsed() {
      if (seen < expected) {
        throw new IllegalStateException(seen + " of " + expected + " tokens were generated");
      }
      return last - first;
    }
  }
}
