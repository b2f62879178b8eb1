package io.github.llmmobile.cli.console;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Interrupts of the real process through a shutdown hook.
 *
 * <p>On SIGINT or SIGTERM the JVM runs its hooks and then exits with 128 plus the signal's number, whatever the
 * program does. The hook asks the running work to stop and waits until the main thread has written what it has. A
 * signal handler of our own would need {@code sun.misc.Signal}, which is no supported interface.
 */
final class ShutdownInterrupts implements Interrupts {
  /** Long enough for one graph node and the last lines of output; a program that hangs must still end. */
  private static final int GRACE_SECONDS = 10;

  private final List<Runnable> actions = new CopyOnWriteArrayList<>();
  private final CountDownLatch finished = new CountDownLatch(1);
  private volatile int graceSeconds = GRACE_SECONDS;

  ShutdownInterrupts() {
    Runtime.getRuntime().addShutdownHook(new Thread(this::stop, "llmm-interrupt"));
  }

  @Override
  public Registration onInterrupt(Runnable action) {
    actions.add(action);
    return () -> actions.remove(action);
  }

  @Override
  public void finished() {
    finished.countDown();
  }

  @Override
  public void patience(int seconds) {
    graceSeconds = seconds;
  }

  private void stop() {
    if (finished.getCount() == 0 || actions.isEmpty()) {
      return;
    }
    actions.forEach(Runnable::run);
    try {
      finished.await(graceSeconds, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
