package io.github.llmmobile.cli.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;

/**
 * Times prefill and decoding at several depths.
 *
 * <p>Workloads, after llama-bench:
 *
 * <ul>
 *   <li>fill: `depth` tokens, once per depth, untimed;
 *   <li>pp: evaluation of `promptTokens` tokens, then back to the depth;
 *   <li>tg: greedy generation, one token at a time, end tokens ignored, then back to the depth.
 * </ul>
 *
 * <p>A generation of n + 1 tokens evaluates n of them between its first and its last token; the time between those
 * two is what counts. It contains sampling and the way into Java, which llama-bench leaves out.
 *
 * <p>With a baseline both are there at once and do the same work in turn, the order changing from one repetition to the next:
 * what the machine does meanwhile meets both.
 */
public final class BenchRunner {
  /** Fills go in steps, so that progress can be shown and the user can interrupt. */
  private static final int FILL_STEP = 512;
  private static final double NANOS_PER_SECOND = 1e9;

  private final BenchPlan plan;
  private final IntFunction<int[]> tokens;
  private final List<IntFunction<BenchSubject>> contenders;
  private final LongSupplier nanoTime;
  private final BenchProgress progress;

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
   * @param tokens gives the next so many tokens to evaluate, see {@link BenchTokens} (required)
   * @param contenders what is measured, and then a baseline if there is to be one: each opens a subject with room for that many
   *     tokens, which the runner closes (required)
   * @param nanoTime a clock in nanoseconds (required)
   * @param progress hears of each step (required)
   */
  public BenchRunner(BenchPlan plan, IntFunction<int[]> tokens, List<IntFunction<BenchSubject>> contenders, LongSupplier nanoTime,
      BenchProgress progress) {
    if (contenders.isEmpty() || contenders.size() > 2) {
      throw new IllegalArgumentException("one is measured, with or without a baseline, not " + contenders.size());
    }
    this.plan = plan;
    this.tokens = tokens;
    this.contenders = List.copyOf(contenders);
    this.nanoTime = nanoTime;
    this.progress = progress;
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
    List<BenchSubject> subjects = new ArrayList<>();
    try {
      for (IntFunction<BenchSubject> contender : contenders) {
        subjects.add(contender.apply(plan.contextTokens(depth)));
      }
      step("warm-up", index, 0);
      subjects.forEach(this::warmUp);
      int[] history = tokens.apply(depth);
      for (int i = 0; i < subjects.size(); i++) {
        fill(subjects.get(i), history, index, i);
      }
      if (plan.promptTokens() > 0) {
        results.add(prompt(subjects, depth, index));
      }
      if (plan.generatedTokens() > 0) {
        results.add(generation(subjects, history, index));
      }
    } finally {
      subjects.forEach(BenchSubject::close);
    }
  }

  /** First calls build graphs and touch the weights; they are never measured. */
  private void warmUp(BenchSubject subject) {
    if (plan.promptTokens() > 0) {
      subject.eval(tokens.apply(plan.promptTokens()));
      subject.rewind(0);
    }
    if (plan.generatedTokens() > 0) {
      subject.generate(tokens.apply(1), 2, () -> {});
      subject.rewind(0);
    }
  }

  private void fill(BenchSubject subject, int[] history, int index, int filled) {
    for (int start = 0; start < history.length; start += FILL_STEP) {
      step("filling to " + history.length, index, (filled + start / (double) history.length) / contenders.size() / 2);
      int end = Math.min(history.length, start + FILL_STEP);
      subject.eval(Arrays.copyOfRange(history, start, end));
    }
  }

  private BenchResult prompt(List<BenchSubject> subjects, int depth, int index) {
    return inTurn(subjects, plan.promptTest(), depth, index, 0, () -> {
      int[] prompt = tokens.apply(plan.promptTokens());
      return subject -> {
        long start = nanoTime.getAsLong();
        subject.eval(prompt);
        return perSecond(plan.promptTokens(), nanoTime.getAsLong() - start);
      };
    });
  }

  private BenchResult generation(List<BenchSubject> subjects, int[] history, int index) {
    int[] start = history.length > 0 ? history : tokens.apply(1);
    return inTurn(subjects, plan.generationTest(), history.length, index, plan.repeats(), () -> subject -> {
      Stopwatch watch = new Stopwatch(plan.generatedTokens() + 1);
      subject.generate(start, plan.generatedTokens() + 1, watch);
      return perSecond(plan.generatedTokens(), watch.elapsed());
    });
  }

  /** Each repetition has work of its own, the same for all subjects; these go back to the depth after it. */
  private BenchResult inTurn(List<BenchSubject> subjects, String test, int depth, int index, int before,
      Supplier<ToDoubleFunction<BenchSubject>> works) {
    double[][] speeds = new double[subjects.size()][plan.repeats()];
    for (int i = 0; i < plan.repeats(); i++) {
      repetition(test, depth, index, i, before);
      ToDoubleFunction<BenchSubject> work = works.get();
      for (int k = 0; k < subjects.size(); k++) {
        int who = i % 2 == 0 ? k : subjects.size() - 1 - k;
        speeds[who][i] = work.applyAsDouble(subjects.get(who));
        subjects.get(who).rewind(depth);
      }
    }
    double[] baseline = subjects.size() > 1 ? speeds[1] : new double[0];
    return new BenchResult(test, depth, speeds[0], baseline, subjects.get(0).cache());
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
