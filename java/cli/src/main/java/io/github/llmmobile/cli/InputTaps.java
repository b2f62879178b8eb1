package io.github.llmmobile.cli;

import io.github.llmmobile.LlmSession;
import io.github.llmmobile.TapRequest;
import io.github.llmmobile.cli.compress.InputRows;

/** What goes into weights, from a session. */
final class InputTaps {
  private InputTaps() {}

  /** The rows that a session shows; its history is cleared. */
  static InputRows of(LlmSession session) {
    return (tokens, weights, rows) -> {
      TapRequest request = TapRequest.create();
      weights.forEach(request::input);
      session.taps(tokens, request, rows);
    };
  }
}
