package io.github.llmmobile;

/**
 * A call that was cancelled before it had a result, with {@link ErrorCode#CANCELLED}: by a {@link CancellationToken},
 * by {@link LlmSession#cancel()}, by closing the session, by a progress listener, or by interrupting the thread, which
 * keeps its interrupt flag.
 */
public final class LlmCancelledException extends LlmException {
  private static final long serialVersionUID = 1L;

  /**
   * A failure.
   *
   * @param message text for people (required)
   */
  public LlmCancelledException(String message) {
    super(ErrorCode.CANCELLED, message);
  }
}
