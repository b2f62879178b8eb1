package io.github.llmmobile.edge;

/** Hears what a split session does. On the session's thread, and quick; what it throws comes out of the session's call. */
public interface SplitListener {
  /**
   * A token was generated.
   *
   * @param token its id; {@link SplitSession#NO_TOKEN} for text that was held back and comes out at the end
   * @param text whole characters that became complete with it; empty while a character is not (never null)
   */
  default void onToken(int token, String text) {}

  /**
   * A step was made.
   *
   * @param event where, and why (never null)
   */
  default void onStep(SplitEvent event) {}
}
