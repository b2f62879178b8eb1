package io.github.llmmobile.edge.policy;

import java.util.Arrays;

/**
 * How long a step may take before the device goes on by itself: three times the 95th percentile of the last 64 steps,
 * between 250 ms and 3 s; 3 s before anything is known. Threads: any.
 */
public final class StepDeadline {
  private static final int KEPT = 64;
  private static final long LEAST_NANOS = 250_000_000L;
  private static final long MOST_NANOS = 3_000_000_000L;

  private final long[] nanos = new long[KEPT];
  private int count;

  /** Knows nothing yet. */
  public StepDeadline() {}

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
    if (n == 0) {
      return MOST_NANOS;
    }
    long[] sorted = Arrays.copyOf(nanos, n);
    Arrays.sort(sorted);
    long p95 = sorted[(int) Math.ceil(0.95 * n) - 1];
    return Math.min(MOST_NANOS, Math.max(LEAST_NANOS, p95 > MOST_NANOS ? MOST_NANOS : 3 * p95));
  }
}
