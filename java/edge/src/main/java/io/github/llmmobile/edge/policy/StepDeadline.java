package io.github.llmmobile.edge.policy;

import java.util.Arrays;

/**
 * How long a step may take before the device goes on by itself: three times the 95th percentile of the last 64 steps,
 * within bounds; the upper one before enough is known. Threads: any.
 */
public final class StepDeadline {
  private static final int KEPT = 64;
  private static final long NANOS_PER_MILLI = 1_000_000L;

  private final long least;
  private final long most;
  private final int enough;
  private final long[] nanos = new long[KEPT];
  private int count;

  /** Knows nothing yet; from 250 ms to 3 s. */
  public StepDeadline() {
    this(250, 3000, 1);
  }

  /**
   * Knows nothing yet.
   *
   * @param leastMillis the shortest deadline, above 0
   * @param mostMillis the longest, at least as much
   * @param enough steps that must have come back before they count, at least 1
   */
  public StepDeadline(int leastMillis, int mostMillis, int enough) {
    if (leastMillis < 1 || mostMillis < leastMillis) {
      throw new IllegalArgumentException("deadlines must be above 0 and in order, but are " + leastMillis + " and "
          + mostMillis + " ms");
    }
    least = leastMillis * NANOS_PER_MILLI;
    most = mostMillis * NANOS_PER_MILLI;
    this.enough = enough;
  }

  /**
   * Takes the time of a step that came back.
   *
   * @param stepNanos nanoseconds, at least 0
   */
  public synchronized void took(long stepNanos) {
    nanos[count++ % KEPT] = stepNanos;
  }

  /**
   * The deadline of the next step.
   *
   * @return nanoseconds from its start
   */
  public synchronized long nanos() {
    int n = Math.min(count, KEPT);
    if (count < enough) {
      return most;
    }
    long[] sorted = Arrays.copyOf(nanos, n);
    Arrays.sort(sorted);
    long p95 = sorted[(int) Math.ceil(0.95 * n) - 1];
    return Math.min(most, Math.max(least, p95 > most ? most : 3 * p95));
  }
}
