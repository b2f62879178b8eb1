package io.github.llmmobile;

/**
 * Hears the tokens of a generation as they come, on the thread that runs the generation. It may close or cancel the
 * session; other calls on the session are {@link ErrorCode#BUSY}.
 */
@FunctionalInterface
public interface TokenListener {
  /**
   * Called once per token, in order.
   *
   * @param token the token (never null). An exception thrown here stops the generation and comes out of the call that
   *     started it; the session stays usable
   */
  void onToken(Token token);
}
