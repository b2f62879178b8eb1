package io.github.llmmobile.cli;

import io.github.llmmobile.Token;
import io.github.llmmobile.TokenListener;
import io.github.llmmobile.cli.console.CliEnvironment;

/** Prints an answer while it comes into being. A reader that has gone away stops the generation. */
final class AnswerPrinter implements TokenListener {
  private final CliEnvironment env;
  private final boolean enabled;
  private boolean lineOpen;
  private boolean anything;

  /**
   * A printer for one answer.
   *
   * @param enabled false prints nothing, for commands that report the whole answer at the end
   */
  AnswerPrinter(CliEnvironment env, boolean enabled) {
    this.env = env;
    this.enabled = enabled;
  }

  @Override
  public void onToken(Token token) {
    print(token.text());
  }

  /** Prints a piece of the answer. */
  void print(String text) {
    if (!enabled || text.isEmpty()) {
      return;
    }
    env.out().print(text);
    env.flush();
    anything = true;
    lineOpen = !text.endsWith("\n");
  }

  /** Ends the last line. */
  void end() {
    if (enabled && (lineOpen || !anything)) {
      env.out().print('\n');
    }
    env.flush();
    lineOpen = false;
  }
}
