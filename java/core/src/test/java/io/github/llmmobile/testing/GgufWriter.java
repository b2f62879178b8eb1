package io.github.llmmobile.testing;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleSupplier;

/** Writes GGUF version 3 with f32 tensors. Just enough of the format for models of a few hundred kilobytes. */
public final class GgufWriter {
  private static final int ALIGNMENT = 32;
  private static final int UINT32 = 4;
  private static final int INT32 = 5;
  private static final int FLOAT32 = 6;
  private static final int BOOL = 7;
  private static final int STRING = 8;
  private static final int ARRAY = 9;
  private static final int TENSOR_F32 = 0;

  private final Bytes metadata = new Bytes();
  private final Bytes tensorInfos = new Bytes();
  private final Bytes data = new Bytes();
  private int keys;
  private int tensors;

  public GgufWriter text(String key, String value) {
    key(key, STRING).text(value);
    return this;
  }

  public GgufWriter number(String key, int value) {
    key(key, UINT32).i32(value);
    return this;
  }

  public GgufWriter real(String key, float value) {
    key(key, FLOAT32).f32(value);
    return this;
  }

  public GgufWriter flag(String key, boolean value) {
    key(key, BOOL).i8(value ? 1 : 0);
    return this;
  }

  public GgufWriter texts(String key, List<String> values) {
    Bytes out = key(key, ARRAY).i32(STRING).i64(values.size());
    values.forEach(out::text);
    return this;
  }

  public GgufWriter reals(String key, List<Float> values) {
    Bytes out = key(key, ARRAY).i32(FLOAT32).i64(values.size());
    values.forEach(out::f32);
    return this;
  }

  public GgufWriter numbers(String key, List<Integer> values) {
    Bytes out = key(key, ARRAY).i32(INT32).i64(values.size());
    values.forEach(out::i32);
    return this;
  }

  /** A tensor of f32; {@code fill} gives its values one after the other. */
  public GgufWriter tensor(String name, DoubleSupplier fill, int... shape) {
    tensors++;
    tensorInfos.text(name).i32(shape.length);
    int elements = 1;
    for (int size : shape) {
      tensorInfos.i64(size);
      elements *= size;
    }
    tensorInfos.i32(TENSOR_F32).i64(data.size());
    for (int i = 0; i < elements; i++) {
      data.f32((float) fill.getAsDouble());
    }
    data.align();
    return this;
  }

  public byte[] toBytes() {
    Bytes file = new Bytes();
    file.raw("GGUF".getBytes(StandardCharsets.US_ASCII)).i32(3).i64(tensors).i64(keys);
    file.raw(metadata.toByteArray()).raw(tensorInfos.toByteArray()).align();
    return file.raw(data.toByteArray()).toByteArray();
  }

  private Bytes key(String key, int type) {
    keys++;
    return metadata.text(key).i32(type);
  }

  private static final class Bytes {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    int size() {
      return out.size();
    }

    byte[] toByteArray() {
      return out.toByteArray();
    }

    Bytes raw(byte[] bytes) {
      out.write(bytes, 0, bytes.length);
      return this;
    }

    Bytes i8(int value) {
      out.write(value);
      return this;
    }

    Bytes i32(int value) {
      return raw(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
    }

    Bytes i64(long value) {
      return raw(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
    }

    Bytes f32(float value) {
      return i32(Float.floatToRawIntBits(value));
    }

    Bytes text(String value) {
      byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
      return i64(bytes.length).raw(bytes);
    }

    Bytes align() {
      while (out.size() % ALIGNMENT != 0) {
        out.write(0);
      }
      return this;
    }
  }

  /** Texts in a list that can be added to. */
  static List<String> listOf(String... values) {
    return new ArrayList<>(List.of(values));
  }
}
