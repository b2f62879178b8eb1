package io.github.llmmobile.edge.wire;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;

/** The check that options of both sides make. */
public final class Range {
  private Range() {}

  /**
   * Refuses what is outside a range.
   *
   * @param name of the option
   * @param value what it was set to
   * @param least that it may be
   * @param most that it may be
   * @throws LlmException RANGE if it is not
   */
  public static void check(String name, long value, long least, long most) {
    if (value < least || value > most) {
      throw new LlmException(ErrorCode.RANGE, name + ": must be from " + least + " to " + most + ", but is " + value);
    }
  }
}
