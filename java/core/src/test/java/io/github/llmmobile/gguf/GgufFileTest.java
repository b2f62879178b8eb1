package io.github.llmmobile.gguf;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GgufInfo;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.testing.TinyModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files there and back, and files that are wrong in one place. */
class GgufFileTest {
  private static final int KEY_COUNT_AT = 16;
  private static final int TENSOR_COUNT_AT = 8;
  private static final int FIRST_KEY_AT = 24;

  @TempDir Path folder;

  private static Map<String, GgufValue> metadata() {
    Map<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put("t", GgufValue.text("na\u00efve"));
    metadata.put("u", GgufValue.uint32(4_000_000_000L));
    metadata.put("f", GgufValue.float32(0.25f));
    metadata.put("b", GgufValue.bool(true));
    metadata.put("ts", GgufValue.texts(List.of("one", "", "three")));
    metadata.put("is", GgufValue.int32s(List.of(-1, 2)));
    metadata.put("fs", GgufValue.float32s(List.of(1f, 2f, 3f)));
    return metadata;
  }

  /** One key and one tensor, so that offsets are easy to tell. */
  private static byte[] small() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (GgufWriter writer = GgufWriter.to(out, Map.of("key", GgufValue.texts(List.of("a"))),
        List.of(GgufTensor.of("w", TensorType.Q8_0, 32, 2)))) {
      writer.write(new byte[68]);
      writer.commit();
    }
    return out.toByteArray();
  }

  private Path file(byte[] bytes) {
    try {
      return Files.write(folder.resolve("file.gguf"), bytes);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static byte[] with(byte[] bytes, int at, long value, int size) {
    byte[] changed = bytes.clone();
    ByteBuffer buffer = ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN);
    if (size == 8) {
      buffer.putLong(at, value);
    } else {
      buffer.putInt(at, (int) value);
    }
    return changed;
  }

  private void refused(ErrorCode code, byte[] bytes) {
    fails(code, () -> GgufFile.open(file(bytes)).close());
  }

  @Test
  void whatIsWrittenIsRead() {
    Path path = folder.resolve("out.gguf");
    List<GgufTensor> tensors = List.of(GgufTensor.of("a", TensorType.F32, 3, 5), GgufTensor.of("b", TensorType.Q4_0, 64),
        GgufTensor.of("c", TensorType.I8, 7));
    Random random = new Random(3);
    byte[][] data = new byte[3][];
    try (GgufWriter writer = GgufWriter.create(path, metadata(), tensors)) {
      for (int i = 0; i < 3; i++) {
        data[i] = new byte[(int) tensors.get(i).bytes()];
        random.nextBytes(data[i]);
        writer.write(Arrays.copyOf(data[i], 5));
        writer.write(ByteBuffer.wrap(data[i], 5, data[i].length - 5));
      }
      writer.commit();
    }
    try (GgufFile file = GgufFile.open(path)) {
      assertEquals(3, file.version());
      assertEquals(32, file.alignment());
      assertEquals(metadata(), file.metadata());
      assertEquals(List.copyOf(metadata().keySet()), List.copyOf(file.metadata().keySet()));
      assertEquals("na\u00efve", file.metadata().get("t").asText());
      assertEquals(4_000_000_000L, file.metadata().get("u").asInteger());
      assertEquals(0.25, file.metadata().get("f").asReal());
      assertTrue(file.metadata().get("b").asBool());
      assertEquals(List.of("one", "", "three"), file.metadata().get("ts").asTexts());
      assertEquals(2, file.metadata().get("is").count());
      assertEquals(GgufValue.Kind.FLOAT32, file.metadata().get("fs").elementKind());
      for (int i = 0; i < 3; i++) {
        GgufTensor tensor = file.tensors().get(i);
        assertEquals(tensors.get(i).toString(), tensor.toString());
        byte[] read = new byte[(int) tensor.bytes()];
        file.data(tensor).get(read);
        assertArrayEquals(data[i], read);
      }
      byte[] some = new byte[4];
      file.data(file.tensor("a").orElseThrow(), 8, 4).get(some);
      assertArrayEquals(Arrays.copyOfRange(data[0], 8, 12), some);
    }
  }

  @Test
  void aCopyIsTheSameToTheByte() throws IOException {
    Path original = file(TinyModel.bytes());
    Path copy = folder.resolve("copy.gguf");
    try (GgufFile file = GgufFile.open(original);
        GgufWriter writer = GgufWriter.create(copy, file.metadata(), file.tensors())) {
      file.tensors().forEach(tensor -> writer.copy(file, tensor));
      writer.commit();
    }
    assertArrayEquals(TinyModel.bytes(), Files.readAllBytes(copy));
  }

  @Test
  void theNativeReaderAgrees() {
    Path path = folder.resolve("types.gguf");
    List<GgufTensor> tensors = Arrays.stream(TensorType.values())
        .map(type -> GgufTensor.of(type.name(), type, 256, 3)).collect(Collectors.toList());
    Map<String, GgufValue> metadata = metadata();
    metadata.put(GgufFile.ALIGNMENT_KEY, GgufValue.uint32(64));
    try (GgufWriter writer = GgufWriter.create(path, metadata, tensors)) {
      tensors.forEach(tensor -> writer.write(new byte[(int) tensor.bytes()]));
      writer.commit();
    }
    GgufInfo info = LlmModel.inspect(path);
    for (int i = 0; i < tensors.size(); i++) {
      assertEquals(tensors.get(i).type().name(), info.tensors().get(i).type().toUpperCase());
      assertEquals(tensors.get(i).shape(), info.tensors().get(i).shape());
      assertEquals(tensors.get(i).bytes(), info.tensors().get(i).bytes());
    }
    assertEquals(List.of(-1L, 2L), info.metadata().get("is"));
    try (GgufFile file = GgufFile.open(path)) {
      assertEquals(64, file.alignment());
      assertEquals(info.dataOffset(), file.dataOffset());
    }
  }

  @Test
  void closingWithoutCommitLeavesNothing() throws IOException {
    Path path = folder.resolve("out.gguf");
    Files.write(path, new byte[] {1});
    List<GgufTensor> tensors = List.of(GgufTensor.of("a", TensorType.F32, 4));
    try (GgufWriter writer = GgufWriter.create(path, Map.of(), tensors)) {
      writer.write(new byte[8]);
      assertThrows(IllegalStateException.class, writer::commit);
      fails(ErrorCode.RANGE, () -> writer.write(new byte[9]));
    }
    try (var files = Files.list(folder)) {
      assertEquals(List.of(path), files.collect(Collectors.toList()));
    }
    assertArrayEquals(new byte[] {1}, Files.readAllBytes(path));
  }

  @Test
  void whatCannotBeWrittenIsRefused() {
    fails(ErrorCode.IO, () -> GgufWriter.create(folder.resolve("no/such/folder"), Map.of(), List.of()));
    GgufTensor tensor = GgufTensor.of("a", TensorType.F32, 4);
    fails(ErrorCode.RANGE, () -> GgufWriter.create(folder.resolve("x"), Map.of(), List.of(tensor, tensor)));
    fails(ErrorCode.RANGE, () -> GgufTensor.of("", TensorType.F32, 4));
    fails(ErrorCode.RANGE, () -> GgufTensor.of("x".repeat(64), TensorType.F32, 4));
    fails(ErrorCode.RANGE, () -> GgufTensor.of("a", TensorType.F32));
    fails(ErrorCode.RANGE, () -> GgufTensor.of("a", TensorType.F32, 4, 0));
    fails(ErrorCode.RANGE, () -> GgufTensor.of("a", TensorType.F32, 1L << 40, 1L << 40));
    String rows = fails(ErrorCode.NOT_AVAILABLE, () -> GgufTensor.of("a", TensorType.Q3_K, 576));
    assertTrue(rows.contains("576") && rows.contains("256"), rows);
    fails(ErrorCode.RANGE, () -> GgufValue.uint32(-1));
  }

  @Test
  void valuesOfAnotherTypeAreRefused() {
    fails(ErrorCode.MODEL_INVALID, () -> GgufValue.text("x").asInteger());
    fails(ErrorCode.MODEL_INVALID, () -> GgufValue.uint32(1).asText());
    fails(ErrorCode.MODEL_INVALID, () -> GgufValue.uint32(1).asReal());
    fails(ErrorCode.MODEL_INVALID, () -> GgufValue.uint32(1).asBool());
    fails(ErrorCode.MODEL_INVALID, () -> GgufValue.int32s(List.of(1)).asTexts());
  }

  @Test
  void missingFilesAndFolders() {
    fails(ErrorCode.MODEL_NOT_FOUND, () -> GgufFile.open(folder.resolve("missing")));
    fails(ErrorCode.MODEL_NOT_FOUND, () -> GgufFile.open(folder));
  }

  @Test
  void brokenHeaders() {
    byte[] sound = small();
    refused(ErrorCode.MODEL_INVALID, new byte[0]);
    refused(ErrorCode.MODEL_INVALID, new byte[] {'G', 'G'});
    refused(ErrorCode.MODEL_INVALID, with(sound, 0, 0x46474747, 4));
    for (int version : new int[] {0, 1, 4, 0x03000000}) {
      refused(ErrorCode.MODEL_UNSUPPORTED, with(sound, 4, version, 4));
    }
    for (long count : new long[] {-1, 5, 1000, Long.MAX_VALUE, Long.MIN_VALUE}) {
      refused(ErrorCode.MODEL_INVALID, with(sound, KEY_COUNT_AT, count, 8));
      refused(ErrorCode.MODEL_INVALID, with(sound, TENSOR_COUNT_AT, count, 8));
      refused(ErrorCode.MODEL_INVALID, with(sound, FIRST_KEY_AT, count, 8));
    }
    int type = FIRST_KEY_AT + 8 + 3;
    refused(ErrorCode.MODEL_INVALID, with(sound, type, 13, 4));
    refused(ErrorCode.MODEL_INVALID, with(sound, type, -1, 4));
    refused(ErrorCode.MODEL_INVALID, with(sound, type + 4, 99, 4));
    refused(ErrorCode.MODEL_UNSUPPORTED, with(sound, type + 4, 9, 4));
    for (long count : new long[] {-1, 1000, Long.MAX_VALUE}) {
      refused(ErrorCode.MODEL_INVALID, with(sound, type + 8, count, 8));
      refused(ErrorCode.MODEL_INVALID, with(sound, type + 16, count, 8));
    }
  }

  @Test
  void brokenTensors() {
    byte[] sound = small();
    int name = FIRST_KEY_AT + 8 + 3 + 4 + 4 + 8 + 8 + 1;
    int dimensions = name + 8 + 1;
    refused(ErrorCode.MODEL_INVALID, with(sound, name, 64, 8));
    refused(ErrorCode.MODEL_INVALID, with(sound, name, -1, 8));
    refused(ErrorCode.MODEL_INVALID, with(sound, dimensions, 5, 4));
    refused(ErrorCode.MODEL_INVALID, with(sound, dimensions, -1, 4));
    for (long size : new long[] {0, -32, 33, 1L << 60, Long.MAX_VALUE, 64}) {
      refused(ErrorCode.MODEL_INVALID, with(sound, dimensions + 4, size, 8));
    }
    for (long size : new long[] {0, -1, 1L << 60, 3}) {
      refused(ErrorCode.MODEL_INVALID, with(sound, dimensions + 12, size, 8));
    }
    for (int type : new int[] {4, 43, -1}) {
      refused(ErrorCode.MODEL_UNSUPPORTED, with(sound, dimensions + 20, type, 4));
    }
    for (long offset : new long[] {1, 64, -32, Long.MAX_VALUE - 31}) {
      refused(ErrorCode.MODEL_INVALID, with(sound, dimensions + 24, offset, 8));
    }
  }

  @Test
  void truncationIsFoundWhereverItIs() {
    byte[] sound = small();
    // What follows the last tensor's bytes is only padding.
    int needed = sound.length - 28;
    for (int length = 0; length < needed; length++) {
      refused(ErrorCode.MODEL_INVALID, Arrays.copyOf(sound, length));
    }
    GgufFile.open(file(Arrays.copyOf(sound, needed))).close();
  }

  @Test
  void flippedBytesAreReadOrRefused() {
    byte[] sound = TinyModel.adapterBytes(1);
    Random random = new Random(11);
    for (int i = 0; i < 2000; i++) {
      byte[] changed = sound.clone();
      changed[random.nextInt(400)] = (byte) random.nextInt();
      try (GgufFile file = GgufFile.open(file(changed))) {
        file.tensors().forEach(file::data);
      } catch (LlmException e) {
        assertTrue(e.code() == ErrorCode.MODEL_INVALID || e.code() == ErrorCode.MODEL_UNSUPPORTED, e.toString());
      }
    }
  }

  @Test
  void bytesThatATensorDoesNotHaveAreRefused() {
    try (GgufFile file = GgufFile.open(file(small()))) {
      GgufTensor tensor = file.tensor("w").orElseThrow();
      fails(ErrorCode.RANGE, () -> file.data(tensor, 1, 68));
      fails(ErrorCode.RANGE, () -> file.data(tensor, -1, 2));
      fails(ErrorCode.RANGE, () -> file.data(tensor, 0, -1));
      fails(ErrorCode.INVALID_ARGUMENT, () -> file.data(GgufTensor.of("w", TensorType.Q8_0, 32, 2)));
    }
  }
}
