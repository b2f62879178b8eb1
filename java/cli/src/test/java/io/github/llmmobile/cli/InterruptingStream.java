package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.Interrupts;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A stream that presses Ctrl-C whenever something is written to it once it holds a certain text. */
final class InterruptingStream extends ByteArrayOutputStream implements Interrupts {
  final List<Runnable> actions = new ArrayList<>();
  private final String trigger;

  /** The empty trigger stands for any byte. */
  InterruptingStream(String trigger) {
    this.trigger = trigger;
  }

  @Override
  public synchronized void write(int b) {
    super.write(b);
    interrupt();
  }

  @Override
  public synchronized void write(byte[] bytes, int from, int count) {
    super.write(bytes, from, count);
    interrupt();
  }

  private void interrupt() {
    if (trigger.isEmpty() || toString(StandardCharsets.UTF_8).contains(trigger)) {
      List.copyOf(actions).forEach(Runnable::run);
    }
  }

  @Override
  public Registration onInterrupt(Runnable action) {
    actions.add(action);
    return () -> actions.remove(action);
  }

  @Override
  public void finished() {}
}
