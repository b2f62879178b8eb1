package io.github.llmmobile.testing;

import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import io.github.llmmobile.gguf.TensorType;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;

/** Short forms for small files in memory, with f32 tensors. */
public final class GgufWriter {
  private final Map<String, GgufValue> metadata = new LinkedHashMap<>();
  private final List<GgufTensor> tensors = new ArrayList<>();
  private final List<ByteBuffer> data = new ArrayList<>();

  public GgufWriter text(String key, String value) {
    metadata.put(key, GgufValue.text(value));
    return this;
  }

  public GgufWriter number(String key, int value) {
    metadata.put(key, GgufValue.uint32(value));
    return this;
  }

  public GgufWriter real(String key, float value) {
    metadata.put(key, GgufValue.float32(value));
    return this;
  }

  public GgufWriter flag(String key, boolean value) {
    metadata.put(key, GgufValue.bool(value));
    return this;
  }

  public GgufWriter texts(String key, List<String> values) {
    metadata.put(key, GgufValue.texts(values));
    return this;
  }

  public GgufWriter reals(String key, List<Float> values) {
    metadata.put(key, GgufValue.float32s(values));
    return this;
  }

  public GgufWriter numbers(String key, List<Integer> values) {
    metadata.put(key, GgufValue.int32s(values));
    return this;
  }

  /** A tensor of f32; {@code fill} gives its values one after the other. */
  public GgufWriter tensor(String name, DoubleSupplier fill, int... shape) {
    long[] sizes = new long[shape.length];
    for (int i = 0; i < shape.length; i++) {
      sizes[i] = shape[i];
    }
    GgufTensor tensor = GgufTensor.of(name, TensorType.F32, sizes);
    ByteBuffer bytes = ByteBuffer.allocate((int) tensor.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      bytes.putFloat((float) fill.getAsDouble());
    }
    bytes.flip();
    tensors.add(tensor);
    data.add(bytes);
    return this;
  }

  public byte[] toBytes() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (io.github.llmmobile.gguf.GgufWriter writer =
        io.github.llmmobile.gguf.GgufWriter.to(out, metadata, tensors)) {
      data.forEach(bytes -> writer.write(bytes.duplicate()));
      writer.commit();
    }
    return out.toByteArray();
  }

  /** Texts in a list that can be added to. */
  static List<String> listOf(String... values) {
    return new ArrayList<>(List.of(values));
  }
}
