package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/** Waits for what other threads bring about; a test fails only if it never comes. */
public final class Eventually {
  private static final long NEVER = TimeUnit.SECONDS.toNanos(60);

  private Eventually() {}

  /** Returns once the condition holds. */
  public static void await(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + NEVER;
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        fail("it never came to this: " + what);
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
    }
  }
}
