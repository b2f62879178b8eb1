package io.github.llmmobile.gguf;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.ModelUnavailableException;
import java.io.IOException;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;

/** Reads little-endian values from the start of a file and never past its end. */
final class HeaderReader {
  private static final int CHUNK = 1 << 16;

  private final FileChannel channel;
  private final long size;
  private final ByteBuffer chunk = ByteBuffer.allocate(CHUNK).order(ByteOrder.LITTLE_ENDIAN);
  /** Where in the file the chunk ends. */
  private long chunkEnd;

  HeaderReader(FileChannel channel, long size) {
    this.channel = channel;
    this.size = size;
    ((Buffer) chunk).limit(0);
  }

  /** Bytes read so far. */
  long position() {
    return chunkEnd - chunk.remaining();
  }

  /** Bytes that are left in the file. */
  long left() {
    return size - position();
  }

  byte[] bytes(long count, String what) {
    if (count < 0 || count > left()) {
      throw invalid(what + " claims " + Long.toUnsignedString(count) + " bytes, but " + left() + " are left");
    }
    if (count > Integer.MAX_VALUE - 8) {
      throw invalid(what + " has " + count + " bytes, which is too many");
    }
    byte[] bytes = new byte[(int) count];
    int done = 0;
    while (done < bytes.length) {
      if (!chunk.hasRemaining()) {
        fill();
      }
      int n = Math.min(chunk.remaining(), bytes.length - done);
      chunk.get(bytes, done, n);
      done += n;
    }
    return bytes;
  }

  int int32(String what) {
    return ByteBuffer.wrap(bytes(Integer.BYTES, what)).order(ByteOrder.LITTLE_ENDIAN).getInt();
  }

  long int64(String what) {
    return ByteBuffer.wrap(bytes(Long.BYTES, what)).order(ByteOrder.LITTLE_ENDIAN).getLong();
  }

  String text(String what, long most) {
    long length = int64(what);
    if (length < 0 || length > most) {
      throw invalid(what + " claims a length of " + Long.toUnsignedString(length) + " bytes");
    }
    return new String(bytes(length, what), StandardCharsets.UTF_8);
  }

  /** A value of the metadata, its type first. */
  GgufValue value(String key) {
    GgufValue.Kind kind = kind(key);
    if (kind == GgufValue.Kind.STRING) {
      GgufValue.Payload payload = new GgufValue.Payload();
      appendText(payload, key);
      return new GgufValue(kind, kind, 1, payload.bytes());
    }
    if (kind != GgufValue.Kind.ARRAY) {
      return new GgufValue(kind, kind, 1, bytes(kind.bytes(), key));
    }
    GgufValue.Kind element = kind(key);
    if (element == GgufValue.Kind.ARRAY) {
      throw new ModelUnavailableException(ErrorCode.MODEL_UNSUPPORTED, key + " is an array of arrays");
    }
    long count = int64(key);
    int least = element == GgufValue.Kind.STRING ? Long.BYTES : element.bytes();
    if (count < 0 || count > left() / least) {
      throw invalid(key + " claims " + Long.toUnsignedString(count) + " elements, more than the file holds");
    }
    if (element != GgufValue.Kind.STRING) {
      return new GgufValue(kind, element, count, bytes(count * element.bytes(), key));
    }
    GgufValue.Payload payload = new GgufValue.Payload();
    for (long i = 0; i < count; i++) {
      appendText(payload, key);
    }
    return new GgufValue(kind, element, count, payload.bytes());
  }

  private void appendText(GgufValue.Payload payload, String key) {
    long length = int64(key);
    byte[] bytes = bytes(length, key);
    if (payload.size() > Integer.MAX_VALUE - 64 - bytes.length) {
      throw invalid(key + " has more bytes than can be read");
    }
    payload.int64(length).raw(bytes);
  }

  private GgufValue.Kind kind(String key) {
    int number = int32(key);
    GgufValue.Kind kind = GgufValue.Kind.of(number);
    if (kind == null) {
      throw invalid(key + " has the unknown value type " + number);
    }
    return kind;
  }

  private void fill() {
    ((Buffer) chunk).clear();
    try {
      int n = channel.read(chunk, chunkEnd);
      if (n < 1) {
        throw new LlmException(ErrorCode.IO, "the file ended while it was read");
      }
      chunkEnd += n;
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "reading the file failed: " + e.getMessage(), e);
    }
    ((Buffer) chunk).flip();
  }

  static LlmException invalid(String what) {
    return new ModelUnavailableException(ErrorCode.MODEL_INVALID, "broken GGUF: " + what);
  }
}
