package io.github.llmmobile;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * A wish to stop that can be handed to calls before, while and after it is made. It is a level, not an event: once
 * cancelled, a token stays cancelled, and every call that gets it ends at once. One token may serve several calls.
 * Threads: any.
 */
public final class CancellationToken {
  private static final CancellationToken NONE = new CancellationToken();

  private final Object lock = new Object();
  // Both guarded by lock.
  private final Set<Registration> registrations = new LinkedHashSet<>();
  private boolean cancelled;

  /** A token that nobody has cancelled yet. */
  public CancellationToken() {}

  /**
   * A token that is never cancelled.
   *
   * @return the token; its {@link #cancel()} does nothing (never null)
   */
  public static CancellationToken none() {
    return NONE;
  }

  /** Cancels; further calls change nothing. Returns when the calls that hold this token have been told to stop. */
  public void cancel() {
    if (this == NONE) {
      return;
    }
    List<Registration> toTell;
    synchronized (lock) {
      if (cancelled) {
        return;
      }
      cancelled = true;
      toTell = new ArrayList<>(registrations);
      registrations.clear();
    }
    // Outside the lock: an action takes the locks of a session, whose calls register here.
    for (Registration registration : toTell) {
      registration.action.run();
    }
  }

  /**
   * Whether someone has cancelled.
   *
   * @return true from the first {@link #cancel()} on
   */
  public boolean isCancelled() {
    synchronized (lock) {
      return cancelled;
    }
  }

  /**
   * Has an action run when the token is cancelled, at once if it is already. The action must be quick and may run
   * after the registration is closed, if that happens at the same moment.
   */
  Registration register(Runnable action) {
    Registration registration = new Registration(Objects.requireNonNull(action, "action"));
    boolean now;
    synchronized (lock) {
      now = cancelled;
      if (!now && this != NONE) {
        registrations.add(registration);
      }
    }
    if (now) {
      action.run();
    }
    return registration;
  }

  /** How many actions wait for this token. */
  int registered() {
    synchronized (lock) {
      return registrations.size();
    }
  }

  /** An action that waits for the token. */
  final class Registration implements AutoCloseable {
    private final Runnable action;

    private Registration(Runnable action) {
      this.action = action;
    }

    @Override
    public void close() {
      synchronized (lock) {
        registrations.remove(this);
      }
    }
  }
}
