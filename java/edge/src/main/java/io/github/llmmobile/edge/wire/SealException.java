package io.github.llmmobile.edge.wire;

/** A frame that is not what the other side has sealed. Its message has nothing of what was in it. */
public final class SealException extends Exception {
  private static final long serialVersionUID = 1L;

  /**
   * A frame that does not open.
   *
   * @param message why
   */
  public SealException(String message) {
    super(message);
  }
}
