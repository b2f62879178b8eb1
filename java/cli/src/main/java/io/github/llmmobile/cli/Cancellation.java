package io.github.llmmobile.cli;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.cli.console.Interrupts;
import org.jspecify.annotations.Nullable;

/**
 * Ctrl-C as the library wants it: a token for calls that take one, and a cancelled session for those that do not.
 * Threads: the interrupt may come on any.
 */
final class Cancellation implements AutoCloseable {
  private final CancellationToken token = new CancellationToken();
  private final Interrupts.Registration registration;
  private volatile @Nullable Runnable running;

  Cancellation(Interrupts interrupts) {
    registration = interrupts.onInterrupt(this::cancel);
  }

  /** For the calls that take a token. */
  CancellationToken token() {
    return token;
  }

  /** Whether the user has asked to stop. */
  boolean requested() {
    return token.isCancelled();
  }

  /** A call that an interrupt cuts short throws by itself; this catches one that came between two calls. */
  void stopIfRequested() {
    if (requested()) {
      throw new CliException(ExitCode.INTERRUPTED, "interrupted", "");
    }
  }

  /** From now on an interrupt also stops whatever call runs on this session. */
  void watch(LlmSession watched) {
    watch(watched::cancel);
  }

  /** From now on an interrupt also runs this, which stops whatever is under way. */
  void watch(Runnable stop) {
    running = stop;
    if (requested()) {
      stop.run();
    }
  }

  private void cancel() {
    token.cancel();
    Runnable stop = running;
    if (stop != null) {
      stop.run();
    }
  }

  /** Ctrl-C has its usual meaning again. */
  @Override
  public void close() {
    registration.close();
    running = null;
  }
}
