package io.github.llmmobile.cli.chat;

import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.Interrupts;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/** Lines from a pipe or a file: no prompts, no editing. Ctrl-C ends the program. */
public final class PlainChatInput implements ChatInput {
  private final BufferedReader reader;
  private final Interrupts interrupts;

  /**
   * Reads standard input.
   *
   * @param env where it comes from (required)
   */
  public PlainChatInput(CliEnvironment env) {
    reader = new BufferedReader(new InputStreamReader(env.in(), StandardCharsets.UTF_8));
    interrupts = env.interrupts();
  }

  @Override
  public @Nullable String readLine(boolean continued) {
    try {
      return reader.readLine();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read standard input: " + e.getMessage(), e);
    }
  }

  @Override
  public Interrupts.Registration onInterrupt(Runnable action) {
    return interrupts.onInterrupt(action);
  }

  @Override
  public boolean interactive() {
    return false;
  }

  /** Standard input belongs to the process and stays open. */
  @Override
  public void close() {}
}
