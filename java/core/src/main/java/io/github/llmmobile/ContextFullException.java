package io.github.llmmobile;

/**
 * Tokens that do not fit the session's context, or pages that do not fit its budget, with {@link
 * ErrorCode#CONTEXT_FULL}. The message gives both sizes; a shorter prompt, a session with more {@link
 * SessionOptions#contextTokens()} or a larger budget helps.
 */
public final class ContextFullException extends LlmException {
  private static final long serialVersionUID = 1L;

  /**
   * A failure.
   *
   * @param message text for people (required)
   */
  public ContextFullException(String message) {
    super(ErrorCode.CONTEXT_FULL, message);
  }
}
