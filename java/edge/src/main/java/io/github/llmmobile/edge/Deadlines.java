package io.github.llmmobile.edge;

import io.github.llmmobile.edge.policy.StepDeadline;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** How long a step may take before it is made here: what {@link StepDeadline} says for one row, and more for more. Threads: any. */
final class Deadlines {
  private static final int ENOUGH = 8;
  private static final long MOST_WITH_ROWS = TimeUnit.SECONDS.toNanos(30);
  private static final long UNKNOWN_ROW = TimeUnit.MILLISECONDS.toNanos(50);
  private static final int FACTOR = 3;

  private final long fixed;
  private final StepDeadline single = new StepDeadline(250, 3000, ENOUGH);
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
      single.took(nanos);
    } else {
      perRow = Math.max(1, nanos / rows);
    }
  }

  /** What a step may take, in nanoseconds. */
  synchronized long forRows(int rows) {
    long one = fixed == 0 ? single.nanos() : fixed;
    return rows == 1 ? one : Math.min(MOST_WITH_ROWS, one + FACTOR * rows * perRow);
  }
}
