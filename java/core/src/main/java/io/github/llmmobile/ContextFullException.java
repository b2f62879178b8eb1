package io.github.llmmobile;

/**
 * Tokens that do not fit the session's context, with {@link ErrorCode#CONTEXT_FULL}. The message gives both lengths; a
 * shorter prompt or a session with more {@link SessionOptions#contextTokens()} helps.
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
