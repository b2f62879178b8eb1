package io.github.llmmobile.edge.policy;

import java.util.function.LongSupplier;

/** A clock that stands still until it is moved. */
public final class FakeClock implements LongSupplier {
  // Near the end of the range, as System.nanoTime may be: differences must still come out right.
  private long nanos = Long.MAX_VALUE - 1_000_000_000L;

  @Override
  public long getAsLong() {
    return nanos;
  }

  public void advanceMillis(long millis) {
    nanos += millis * 1_000_000L;
  }
}
