package io.github.llmmobile.cli.console;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * A stream that remembers its first failure. {@link java.io.PrintStream} swallows exceptions and keeps only a flag,
 * which cannot tell a reader that has left from a full disk.
 */
final class WatchedOutput extends FilterOutputStream {
  private volatile @Nullable IOException failure;

  WatchedOutput(OutputStream target) {
    super(target);
  }

  @Override
  public void write(int b) throws IOException {
    try {
      out.write(b);
    } catch (IOException e) {
      throw remember(e);
    }
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    try {
      out.write(bytes, offset, length);
    } catch (IOException e) {
      throw remember(e);
    }
  }

  @Override
  public void flush() throws IOException {
    try {
      out.flush();
    } catch (IOException e) {
      throw remember(e);
    }
  }

  /**
   * Throws what went wrong so far, if anything did.
   *
   * @throws BrokenPipeException if the reader has gone away
   * @throws UncheckedIOException for any other failure, such as a full disk
   */
  void check() {
    IOException e = failure;
    if (e == null) {
      return;
    }
    if (isBrokenPipe(e)) {
      throw new BrokenPipeException();
    }
    throw new UncheckedIOException("cannot write the output: " + e.getMessage(), e);
  }

  private IOException remember(IOException e) {
    if (failure == null) {
      failure = e;
    }
    return e;
  }

  /** EPIPE has no exception class of its own; Linux and macOS say "Broken pipe", Windows "The pipe is being closed". */
  private static boolean isBrokenPipe(IOException e) {
    String text = String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
    return text.contains("broken pipe") || text.contains("pipe is being closed") || text.contains("pipe closed");
  }
}
