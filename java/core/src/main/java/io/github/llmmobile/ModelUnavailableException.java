package io.github.llmmobile;

/**
 * A model that cannot be used: {@link ErrorCode#MODEL_NOT_FOUND}, {@link ErrorCode#MODEL_INVALID} or {@link
 * ErrorCode#MODEL_UNSUPPORTED}. Another file may help; trying again does not.
 */
public final class ModelUnavailableException extends LlmException {
  private static final long serialVersionUID = 1L;

  /**
   * A failure.
   *
   * @param code one of the three codes (required)
   * @param message text for people (required)
   */
  public ModelUnavailableException(ErrorCode code, String message) {
    super(code, message);
  }
}
