package io.github.llmmobile.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import org.junit.jupiter.api.function.Executable;

/** Failures with their codes. */
public final class Failures {
  private Failures() {}

  /** Asserts that something fails with a code and says something, and returns what it says. */
  public static String fails(ErrorCode code, Executable action) {
    LlmException e = assertThrows(LlmException.class, action);
    assertEquals(code, e.code(), () -> "the message is: " + e.getMessage());
    assertNotNull(e.getMessage());
    return e.getMessage();
  }
}
