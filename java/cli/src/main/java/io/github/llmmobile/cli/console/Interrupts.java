package io.github.llmmobile.cli.console;

/** Where Ctrl-C arrives while a command works. */
public interface Interrupts {
  /**
   * Runs an action when the user interrupts the program. The action may come on any thread and must return quickly.
   *
   * @param action what stops the running work (required)
   * @return the registration; closing it withdraws the action (never null)
   */
  Registration onInterrupt(Runnable action);

  /** Tells that the program's last output is written, so that an exit on a signal need not wait any longer. */
  void finished();

  /**
   * How long an exit on a signal waits at most until {@link #finished()}.
   *
   * @param seconds the time; 10 if nobody says otherwise
   */
  default void patience(int seconds) {}

  /** One action in force. */
  interface Registration extends AutoCloseable {
    @Override
    void close();
  }
}
