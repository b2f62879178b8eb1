package io.github.llmmobile.internal;

import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmBuffer;
import java.nio.charset.StandardCharsets;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

/** Results of native calls. Each method frees the native buffer, whatever happens. */
final class Buffers {
  private Buffers() {}

  /** A call that fills in a buffer and returns a status. */
  interface Source {
    int fill(LlmmBuffer out);
  }

  /** Reads a buffer while it exists. */
  interface Reader {
    void read(Pointer data, int bytes);
  }

  /** The text that a call gives. */
  static String text(Source source) {
    try (Owned buffer = new Owned(source)) {
      return new String(buffer.bytes(), StandardCharsets.UTF_8);
    }
  }

  /** The token ids that a call gives. */
  static int[] ints(Source source) {
    try (Owned buffer = new Owned(source)) {
      return buffer.ints();
    }
  }

  /** The bytes that a call gives. */
  static byte[] bytes(Source source) {
    try (Owned buffer = new Owned(source)) {
      return buffer.bytes();
    }
  }

  /** Hands out the bytes that a call gives; the pointer is null if there are none. */
  static void read(Source source, Reader reader) {
    try (Owned buffer = new Owned(source)) {
      reader.read(buffer.data(), buffer.size());
    }
  }

  /** A zero-terminated text that the library keeps; null is empty. */
  static String text(@Nullable BytePointer pointer) {
    return pointer == null || pointer.isNull() ? "" : new String(pointer.getStringBytes(), StandardCharsets.UTF_8);
  }

  private static final class Owned implements AutoCloseable {
    private final LlmmBuffer buffer = new LlmmBuffer();

    Owned(Source source) {
      Status.check(source.fill(buffer));
    }

    byte[] bytes() {
      int size = size();
      byte[] bytes = new byte[size];
      if (size > 0) {
        new BytePointer(data()).get(bytes, 0, size);
      }
      return bytes;
    }

    int[] ints() {
      int count = size() / Integer.BYTES;
      int[] ints = new int[count];
      if (count > 0) {
        new IntPointer(data()).get(ints, 0, count);
      }
      return ints;
    }

    private int size() {
      return Math.toIntExact(Llmm.llmm_buffer_size(buffer));
    }

    private Pointer data() {
      return Llmm.llmm_buffer_data(buffer);
    }

    @Override
    public void close() {
      Llmm.llmm_buffer_free(buffer);
    }
  }
}
