package io.github.llmmobile.cli.console;

/** The reader of standard output has gone away, as {@code head} does once it has seen enough. */
public final class BrokenPipeException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Creates the exception; it has no message because nobody is left to read one. */
  public BrokenPipeException() {
    super("broken pipe", null, false, false);
  }
}
