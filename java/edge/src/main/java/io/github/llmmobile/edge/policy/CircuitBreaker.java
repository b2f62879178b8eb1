package io.github.llmmobile.edge.policy;

import java.util.ArrayDeque;
import java.util.Objects;
import java.util.Optional;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Keeps a device from asking an endpoint that does not answer: after 5 failures within 10 s, or one that cost the user a
 * whole deadline, it opens, and only one attempt is let through when its time is over; that attempt closes it or opens
 * it again. The time is 5 s while a user waits for an answer; otherwise it doubles from 5 s to 60 s. Threads: any.
 */
public final class CircuitBreaker {
  /** Whether attempts are let through. */
  public enum State {
    /** All are. */
    CLOSED,
    /** None is until the time is over. */
    OPEN,
    /** One is on its way; the others wait for it. */
    HALF_OPEN,
    /** None ever is, because trying again cannot help. */
    DISABLED
  }

  private static final int FAILURES = 5;
  private static final long WINDOW_NANOS = 10_000_000_000L;
  private static final long FIRST_OPEN_NANOS = 5_000_000_000L;
  private static final long LONGEST_OPEN_NANOS = 60_000_000_000L;

  private final LongSupplier nanoClock;
  private final ArrayDeque<Long> failures = new ArrayDeque<>();
  private State state = State.CLOSED;
  private long openedAt;
  private long openNanos = FIRST_OPEN_NANOS;
  private @Nullable String disabledBecause;

  /**
   * A closed breaker.
   *
   * @param nanoClock a clock such as {@link System#nanoTime} (required)
   */
  public CircuitBreaker(LongSupplier nanoClock) {
    this.nanoClock = Objects.requireNonNull(nanoClock, "nanoClock");
  }

  /**
   * Asks to make an attempt. Whoever is let through says with {@link #success()}, {@link #failure()} or {@link
   * #abandoned()} how it went.
   *
   * @param inTurn whether a user waits for an answer
   * @return whether to make the attempt
   */
  public synchronized boolean tryAcquire(boolean inTurn) {
    if (state == State.CLOSED) {
      return true;
    }
    long wait = inTurn ? FIRST_OPEN_NANOS : openNanos;
    if (state == State.OPEN && nanoClock.getAsLong() - openedAt >= wait) {
      state = State.HALF_OPEN;
      return true;
    }
    return false;
  }

  /** The attempt went well. */
  public synchronized void success() {
    if (state == State.HALF_OPEN) {
      state = State.CLOSED;
      openNanos = FIRST_OPEN_NANOS;
      failures.clear();
    }
  }

  /** The attempt did not come back in time. Another one now would let the user wait as long again. */
  public synchronized void late() {
    if (state == State.CLOSED) {
      open(nanoClock.getAsLong());
    } else {
      failure();
    }
  }

  /** The attempt failed at once, for a reason that may pass. */
  public synchronized void failure() {
    long now = nanoClock.getAsLong();
    if (state == State.HALF_OPEN) {
      openNanos = Math.min(2 * openNanos, LONGEST_OPEN_NANOS);
      open(now);
      return;
    }
    failures.addLast(now);
    while (now - failures.peekFirst() > WINDOW_NANOS) {
      failures.removeFirst();
    }
    if (state == State.CLOSED && failures.size() >= FAILURES) {
      open(now);
    }
  }

  private void open(long now) {
    state = State.OPEN;
    openedAt = now;
    failures.clear();
  }

  /** The attempt was given up before anything was known; the next one may take its place at once. */
  public synchronized void abandoned() {
    if (state == State.HALF_OPEN) {
      state = State.OPEN;
    }
  }

  /**
   * Trying again cannot help, as with a wrong key or another model.
   *
   * @param reason why, for people (required)
   */
  public synchronized void disable(String reason) {
    state = State.DISABLED;
    disabledBecause = Objects.requireNonNull(reason, "reason");
  }

  /**
   * Why the endpoint is out of use for good.
   *
   * @return the reason, or empty if it is not (never null)
   */
  public synchronized Optional<String> disabledBecause() {
    return Optional.ofNullable(disabledBecause);
  }

  /**
   * Whether attempts are let through.
   *
   * @return the state (never null)
   */
  public synchronized State state() {
    return state;
  }

  @Override
  public synchronized String toString() {
    return "CircuitBreaker[" + state + "]";
  }
}
