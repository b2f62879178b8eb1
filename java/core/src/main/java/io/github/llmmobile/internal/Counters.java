package io.github.llmmobile.internal;

/** The counters of a session, in the order of {@code llmm_stats}, without its size. */
public final class Counters {
  private final long[] integers;
  private final double[] reals;

  Counters(long[] integers, double[] reals) {
    this.integers = integers;
    this.reals = reals;
  }

  /**
   * The fields of integer types.
   *
   * @return the array itself
   */
  public long[] integers() {
    return integers;
  }

  /**
   * The fields of type double.
   *
   * @return the array itself
   */
  public double[] reals() {
    return reals;
  }
}
