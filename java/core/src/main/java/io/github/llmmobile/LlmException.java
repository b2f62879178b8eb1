package io.github.llmmobile;

import java.util.Objects;

/** A failure of LLM Mobile. {@link #code()} says which; the message says what, which value, and what to do. */
public class LlmException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What kind of failure this is. */
  private final ErrorCode code;

  /**
   * A failure without a cause.
   *
   * @param code what kind of failure (required)
   * @param message text for people (required)
   */
  public LlmException(ErrorCode code, String message) {
    super(message);
    this.code = Objects.requireNonNull(code, "code");
  }

  /**
   * A failure with a cause.
   *
   * @param code what kind of failure (required)
   * @param message text for people (required)
   * @param cause what led to it (required)
   */
  public LlmException(ErrorCode code, String message, Throwable cause) {
    super(message, cause);
    this.code = Objects.requireNonNull(code, "code");
  }

  /**
   * What kind of failure this is.
   *
   * @return the code (never null)
   */
  public final ErrorCode code() {
    return code;
  }
}
