package io.github.llmmobile.cli.bench;

import java.util.Arrays;

/** One row of a benchmark: a test at a depth, measured several times, alone or in turn with a baseline. */
public final class BenchResult {
  private final String test;
  private final int depth;
  private final double[] tokensPerSecond;
  private final double[] baseline;
  private final CacheUse cache;

  /**
   * A row.
   *
   * @param test such as "pp512" or "tg32" (required)
   * @param depth tokens in the cache before each measurement
   * @param tokensPerSecond one speed per repetition, in the order of measuring, at least one (required)
   * @param baseline those of the baseline, each measured right before or after the one above; empty without one (required)
   * @param cache what the key-value cache takes after it (required)
   */
  public BenchResult(String test, int depth, double[] tokensPerSecond, double[] baseline, CacheUse cache) {
    if (tokensPerSecond.length == 0) {
      throw new IllegalArgumentException("no repetition of " + test);
    }
    if (baseline.length > 0 && baseline.length != tokensPerSecond.length) {
      throw new IllegalArgumentException(baseline.length + " repetitions of the baseline of " + test);
    }
    this.test = test;
    this.depth = depth;
    this.tokensPerSecond = tokensPerSecond.clone();
    this.baseline = baseline.clone();
    this.cache = cache;
  }

  /** {@return the test, such as "pp512" or "tg32"} */
  public String test() {
    return test;
  }

  /** {@return the tokens that were in the cache beforehand} */
  public int depth() {
    return depth;
  }

  /** {@return one speed per repetition, in the order of measuring} */
  public double[] tokensPerSecond() {
    return tokensPerSecond.clone();
  }

  /** {@return the baseline's speeds; empty without one} */
  public double[] baseline() {
    return baseline.clone();
  }

  /** {@return for each repetition the speed as a multiple of the baseline's; empty without one} */
  public double[] ratios() {
    double[] ratios = new double[baseline.length];
    Arrays.setAll(ratios, i -> tokensPerSecond[i] / baseline[i]);
    return ratios;
  }

  /** {@return what the key-value cache takes after it} */
  public CacheUse cache() {
    return cache;
  }

  /** {@return the speed in the middle} */
  public double median() {
    return median(tokensPerSecond);
  }

  /** {@return the slowest repetition} */
  public double slowest() {
    return Arrays.stream(tokensPerSecond).min().orElseThrow();
  }

  /** {@return the fastest repetition} */
  public double fastest() {
    return Arrays.stream(tokensPerSecond).max().orElseThrow();
  }

  /**
   * The number in the middle; of an even number of them the mean of the middle two.
   *
   * @param numbers at least one (required)
   * @return their median
   */
  static double median(double[] numbers) {
    double[] sorted = numbers.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
