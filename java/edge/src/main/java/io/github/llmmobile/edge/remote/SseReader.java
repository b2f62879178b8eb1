package io.github.llmmobile.edge.remote;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * The data of server-sent events, one by one. Lines end with CR, LF or both; several data lines of an event are joined;
 * comments and other fields are left out.
 */
final class SseReader {
  static final int MAX_LINE_BYTES = 256 * 1024;
  /** An event of many lines must not take more either. */
  static final int MAX_EVENT_BYTES = 1024 * 1024;

  private final InputStream in;
  private final byte[] buffer = new byte[8192];
  private int at;
  private int end;
  private boolean skipLineFeed;
  private long bytes;

  SseReader(InputStream in) {
    this.in = in;
  }

  /** Bytes read so far. */
  long bytes() {
    return bytes;
  }

  /**
   * The data of the next event; null at the end. An event that the end cuts off is no event.
   *
   * @throws RemoteException TOO_LARGE if a line or an event has no end
   */
  @Nullable String next() throws IOException {
    ByteArrayOutputStream data = null;
    while (true) {
      byte[] line = line();
      if (line == null) {
        return null;
      }
      if (line.length == 0) {
        if (data != null) {
          return new String(data.toByteArray(), StandardCharsets.UTF_8);
        }
        continue;
      }
      if (!startsWithData(line)) {
        continue;
      }
      if (data == null) {
        data = new ByteArrayOutputStream();
      } else {
        data.write('\n');
      }
      int from = line.length == 4 ? 4 : line.length > 5 && line[5] == ' ' ? 6 : 5;
      data.write(line, from, line.length - from);
      if (data.size() > MAX_EVENT_BYTES) {
        throw new RemoteException(RemoteException.Kind.TOO_LARGE, "an event of more than " + MAX_EVENT_BYTES + " bytes");
      }
    }
  }

  private static boolean startsWithData(byte[] line) {
    return line.length >= 4 && line[0] == 'd' && line[1] == 'a' && line[2] == 't' && line[3] == 'a'
        && (line.length == 4 || line[4] == ':');
  }

  /** A line without its end; null if the end of the stream comes first. */
  private byte @Nullable [] line() throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream(256);
    while (true) {
      int b = read();
      if (b < 0) {
        return null;
      }
      if (b == '\n' && skipLineFeed) {
        skipLineFeed = false;
        continue;
      }
      skipLineFeed = b == '\r';
      if (b == '\n' || b == '\r') {
        return line.toByteArray();
      }
      if (line.size() == MAX_LINE_BYTES) {
        throw new RemoteException(RemoteException.Kind.TOO_LARGE, "a line of more than " + MAX_LINE_BYTES + " bytes");
      }
      line.write(b);
    }
  }

  private int read() throws IOException {
    if (at == end) {
      end = in.read(buffer);
      at = 0;
      if (end <= 0) {
        end = 0;
        return -1;
      }
      bytes += end;
    }
    return buffer[at++] & 0xff;
  }
}
