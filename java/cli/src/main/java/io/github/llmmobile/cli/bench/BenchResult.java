package io.github.llmmobile.cli.bench;

import java.util.Arrays;

/** One row of a benchmark: a test at a depth, measured several times. */
public final class BenchResult {
  private final String test;
  private final int depth;
  private final double[] tokensPerSecond;
  private final CacheUse cache;

  /**
   * A row.
   *
   * @param test such as "pp512" or "tg32" (required)
   * @param depth tokens in the cache before each measurement
   * @param tokensPerSecond one speed per repetition, in the order of measuring, at least one (required)
   * @param cache what the key-value cache takes after it (required)
   */
  public BenchResult(String test, int depth, double[] tokensPerSecond, CacheUse cache) {
    if (tokensPerSecond.length == 0) {
      throw new IllegalArgumentException("no repetition of " + test);
    }
    this.test = test;
    this.depth = depth;
    this.tokensPerSecond = tokensPerSecond.clone();
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

  /** {@return what the key-value cache takes after it} */
  public CacheUse cache() {
    return cache;
  }

  /** {@return the speed in the middle; with an even number of repetitions the mean of the middle two} */
  public double median() {
    double[] sorted = sorted();
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  /** {@return the slowest repetition} */
  public double slowest() {
    return sorted()[0];
  }

  /** {@return the fastest repetition} */
  public double fastest() {
    return sorted()[tokensPerSecond.length - 1];
  }

  private double[] sorted() {
    double[] sorted = tokensPerSecond.clone();
    Arrays.sort(sorted);
    return sorted;
  }
}
