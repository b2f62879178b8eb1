package io.github.llmmobile.cli;

/** A failure that the command line itself found, ready to be shown: what is wrong, and what to do. */
final class CliException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final ExitCode exitCode;
  private final String hint;

  /**
   * A failure without an inner cause.
   *
   * @param exitCode how the process ends (required)
   * @param message what is wrong, one line (required)
   * @param hint what to do about it, one line, or "" for nothing to add (required)
   */
  public CliException(ExitCode exitCode, String message, String hint) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
  }

  /**
   * A failure with an inner cause, which {@code --verbose} shows.
   *
   * @param exitCode how the process ends (required)
   * @param message what is wrong, one line (required)
   * @param hint what to do about it, one line, or "" for nothing to add (required)
   * @param cause what happened underneath (required)
   */
  public CliException(ExitCode exitCode, String message, String hint, Throwable cause) {
    super(message, cause);
    this.exitCode = exitCode;
    this.hint = hint;
  }

  /**
   * A wrong option or argument.
   *
   * @param message what is wrong (required)
   * @param hint what to do, or "" (required)
   * @return the exception (never null)
   */
  public static CliException usage(String message, String hint) {
    return new CliException(ExitCode.USAGE, message, hint);
  }

  /** {@return how the process ends} */
  public ExitCode exitCode() {
    return exitCode;
  }

  /** {@return what to do about it, or ""} */
  public String hint() {
    return hint;
  }
}
