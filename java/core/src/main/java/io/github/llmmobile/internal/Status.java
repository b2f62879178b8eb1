package io.github.llmmobile.internal;

import io.github.llmmobile.ContextFullException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmCancelledException;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.ModelUnavailableException;
import io.github.llmmobile.internal.jni.Llmm;

/** The one place where a native status becomes an exception. */
final class Status {
  private Status() {}

  /**
   * Does nothing if the status is LLMM_OK. Must follow its call at once: the text is that of this thread's last
   * failure.
   */
  static void check(int status) {
    if (status != Llmm.LLMM_OK) {
      ErrorCode code = ErrorCode.of(status);
      String text = Buffers.text(Llmm.llmm_last_error());
      throw exception(code, text.isEmpty() ? "native status " + status : text);
    }
  }

  /** The exception class that belongs to a code. */
  static LlmException exception(ErrorCode code, String message) {
    switch (code) {
      case MODEL_NOT_FOUND:
      case MODEL_INVALID:
      case MODEL_UNSUPPORTED:
        return new ModelUnavailableException(code, message);
      case CONTEXT_FULL:
        return new ContextFullException(message);
      case CANCELLED:
        return new LlmCancelledException(message);
      default:
        return new LlmException(code, message);
    }
  }
}
