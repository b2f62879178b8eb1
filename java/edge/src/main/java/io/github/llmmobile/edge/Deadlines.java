package io.github.llmmobile.edge;

import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** How long a step may take before it is made here: three times what steps have taken lately, within bounds. Threads: any. */
final class Deadlines {
  private static final long LEAST = TimeUnit.MILLISECONDS.toNanos(250);
  private static final long MOST = TimeUnit.SECONDS.toNanos(3);
  private static final long MOST_WITH_ROWS = TimeUnit.SECONDS.toNanos(30);
  private static final long UNKNOWN_ROW = TimeUnit.MILLISECONDS.toNanos(50);
  private static final int SAMPLES = 64;
  private static final int ENOUGH = 8;
  private static final int FACTOR = 3;

  private final long fixed;
  private final long[] single = new long[SAMPLES];
  private int count;
  private long perRow = UNKNOWN_ROW;

  /**
   * Deadlines.
   *
   * @param fixed what a step of one row may take, instead of what was measured
   */
  Deadlines(Optional<Duration> fixed) {
    this.fixed = fixed.map(Duration::toNanos).orElse(0L);
  }

  /** A step came back in time. */
  synchronized void record(int rows, long nanos) {
    if (rows == 1) {
      single[count++ % SAMPLES] = nanos;
    } else {
      perRow = Math.max(1, nanos / rows);
    }
  }

  /** What a step may take, in nanoseconds. */
  synchronized long forRows(int rows) {
    long one = fixed;
    if (one == 0) {
      one = MOST;
      if (count >= ENOUGH) {
        long[] sorted = Arrays.copyOf(single, Math.min(count, SAMPLES));
        Arrays.sort(sorted);
        one = Math.max(LEAST, Math.min(MOST, FACTOR * sorted[sorted.length * 95 / 100]));
      }
    }
    return rows == 1 ? one : Math.min(MOST_WITH_ROWS, one + FACTOR * rows * perRow);
  }
}
