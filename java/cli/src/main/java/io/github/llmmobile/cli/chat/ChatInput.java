package io.github.llmmobile.cli.chat;

import io.github.llmmobile.cli.console.Interrupts;
import org.jspecify.annotations.Nullable;

/** Where the lines of a conversation come from. Threads: one. */
public interface ChatInput extends AutoCloseable {
  /**
   * Reads a line.
   *
   * @param continued true inside a message of several lines, where another prompt is shown
   * @return the line without its end, or null at the end of the input
   * @throws LineInterruptedException if the user pressed Ctrl-C at the prompt
   */
  @Nullable String readLine(boolean continued);

  /**
   * Runs an action when the user presses Ctrl-C while an answer is being written.
   *
   * @param action what stops the answer (required)
   * @return the registration; closing it withdraws the action (never null)
   */
  Interrupts.Registration onInterrupt(Runnable action);

  /** {@return whether a person types and reads along} */
  boolean interactive();

  /** Gives the terminal back. */
  @Override
  void close();

  /** The user pressed Ctrl-C at the prompt: what has been typed so far is dropped. */
  final class LineInterruptedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** Creates the exception, which carries nothing. */
    public LineInterruptedException() {
      super("line interrupted", null, false, false);
    }
  }
}
