package io.github.llmmobile.cli.chat;

import io.github.llmmobile.cli.console.Interrupts;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Lines from a script. The line {@link #CTRL_C} stands for Ctrl-C at the prompt. */
final class ScriptedInput implements ChatInput {
  static final String CTRL_C = "\u0003";

  final List<Boolean> prompts = new ArrayList<>();
  final List<Runnable> interrupts = new ArrayList<>();
  private final Deque<String> lines;
  private final boolean interactive;

  ScriptedInput(boolean interactive, String... lines) {
    this.interactive = interactive;
    this.lines = new ArrayDeque<>(Arrays.asList(lines));
  }

  @Override
  public @Nullable String readLine(boolean continued) {
    prompts.add(continued);
    String line = lines.poll();
    if (CTRL_C.equals(line)) {
      throw new LineInterruptedException();
    }
    return line;
  }

  @Override
  public Interrupts.Registration onInterrupt(Runnable action) {
    interrupts.add(action);
    return () -> interrupts.remove(action);
  }

  @Override
  public boolean interactive() {
    return interactive;
  }

  @Override
  public void close() {}
}
