package io.github.llmmobile.cli.chat;

import io.github.llmmobile.cli.console.Interrupts;
import io.github.llmmobile.cli.console.Style;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import org.jspecify.annotations.Nullable;

/** Lines typed at a terminal, with editing and a history that is kept from one conversation to the next. */
public final class TerminalChatInput implements ChatInput {
  private static final int HISTORY_LINES = 1000;

  private final Terminal terminal;
  private final LineReader reader;
  private final Style style;

  /**
   * Takes the terminal of this process.
   *
   * @param history file of former lines, readable by its owner alone; null keeps none on disk
   * @param style colours of the prompt (required)
   * @throws UncheckedIOException if the terminal cannot be used
   */
  public TerminalChatInput(@Nullable Path history, Style style) {
    this.style = style;
    try {
      // dumb(true): where nothing better is found, lines without editing are fine and need no warning.
      terminal = TerminalBuilder.builder().name("llm-mobile").system(true).dumb(true)
          .encoding(StandardCharsets.UTF_8).nativeSignals(true).build();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot use the terminal: " + e.getMessage(), e);
    }
    LineReaderBuilder builder = LineReaderBuilder.builder().terminal(terminal).appName("llm-mobile")
        .variable(LineReader.HISTORY_SIZE, HISTORY_LINES)
        .variable(LineReader.HISTORY_FILE_SIZE, HISTORY_LINES)
        .variable(LineReader.SECONDARY_PROMPT_PATTERN, "")
        // "!" is an exclamation mark in a conversation, not a reference to the history.
        .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true);
    if (history != null && preparePrivateFile(history)) {
      builder.variable(LineReader.HISTORY_FILE, history);
    }
    reader = builder.build();
  }

  @Override
  public @Nullable String readLine(boolean continued) {
    try {
      return reader.readLine(style.cyan(continued ? ". " : "> "));
    } catch (UserInterruptException e) {
      throw new LineInterruptedException();
    } catch (EndOfFileException e) {
      return null;
    }
  }

  @Override
  public Interrupts.Registration onInterrupt(Runnable action) {
    Terminal.SignalHandler before = terminal.handle(Terminal.Signal.INT, signal -> action.run());
    return () -> terminal.handle(Terminal.Signal.INT, before);
  }

  @Override
  public boolean interactive() {
    return true;
  }

  @Override
  public void close() {
    try {
      reader.getHistory().save();
      terminal.close();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot save the history: " + e.getMessage(), e);
    }
  }

  /** What a user typed is nobody else's business: the file is made before the reader makes a public one. */
  private static boolean preparePrivateFile(Path file) {
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      if (Files.notExists(file)) {
        if (file.getFileSystem().supportedFileAttributeViews().contains("posix")) {
          Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        } else {
          Files.createFile(file);
        }
      }
      return Files.isWritable(file);
    } catch (IOException e) {
      return false;
    }
  }
}
