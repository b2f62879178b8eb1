package io.github.llmmobile.edge;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.edge.wire.Rotation;
import io.github.llmmobile.edge.wire.Sha256;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import io.github.llmmobile.gguf.GgufWriter;
import io.github.llmmobile.gguf.TensorCodec;
import io.github.llmmobile.gguf.TensorType;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * Coordinates in which the hidden states of a model at some splits have few large numbers: the file that {@code llm-mobile
 * calibrate --basis-layers} writes, a GGUF file described in {@code docs/row-basis.md}. Device and worker need the same
 * file. Immutable; all of it is kept in memory, 4 (width)^2 bytes for each split.
 */
public final class RowBasis {
  private static final int VERSION = 1;
  private static final String TYPE_KEY = "general.type";
  private static final String TYPE = "row-basis";
  private static final String VERSION_KEY = "llmm.basis.version";
  private static final String FINGERPRINT_KEY = "llmm.base.fingerprint";
  private static final String DATA_KEY = "llmm.basis.data";
  /** How far the length of a vector may be from 1. Halves round to a two thousandth. */
  private static final double LENGTH_TOLERANCE = 0.01;

  private final Path file;
  private final byte[] digest;
  private final String fingerprint;
  private final int width;
  private final NavigableMap<Integer, Rotation> rotations = new TreeMap<>();

  private RowBasis(Path file, GgufFile gguf, byte[] digest) {
    this.file = file;
    this.digest = digest;
    Map<String, GgufValue> metadata = gguf.metadata();
    if (!metadata.containsKey(TYPE_KEY) || !metadata.get(TYPE_KEY).asText().equals(TYPE)) {
      throw invalid("it is a GGUF file, but no basis");
    }
    long version = value(metadata, VERSION_KEY).asInteger();
    if (version != VERSION) {
      throw invalid("it has version " + version + ", this library reads " + VERSION);
    }
    fingerprint = value(metadata, FINGERPRINT_KEY).asText();
    JsonObject data = JsonParser.parseString(value(metadata, DATA_KEY).asText()).getAsJsonObject();
    width = integer(data.get("embedding"), 2, 1 << 16);
    for (JsonElement element : data.getAsJsonArray("splits")) {
      JsonObject split = element.getAsJsonObject();
      int number = integer(split.get("split"), 1, 1 << 16);
      if (rotations.put(number, rotation(gguf, number, split.getAsJsonArray("apart"))) != null) {
        throw invalid("split " + number + " stands twice");
      }
    }
    if (rotations.isEmpty()) {
      throw invalid("it has no splits");
    }
  }

  /** The coordinates at one split. Immutable. */
  public static final class Axes {
    private final int[] apart;
    private final float[] vectors;

    /**
     * Coordinates.
     *
     * @param apart channels that stay as they are, ascending, at least one; copied (required)
     * @param vectors at right angles and of length 1, one after another, as many as there are other channels; not copied
     *     (required)
     */
    public Axes(int[] apart, float[] vectors) {
      this.apart = apart.clone();
      this.vectors = vectors;
    }
  }

  /**
   * Reads and checks a basis.
   *
   * @param file its path (required)
   * @return the basis (never null)
   * @throws LlmException MODEL_NOT_FOUND if there is no file; BASIS_INVALID if it is broken, no basis or of another version;
   *     IO if it cannot be read
   */
  public static RowBasis read(Path file) {
    try (GgufFile gguf = GgufFile.open(file)) {
      return new RowBasis(file, gguf, Sha256.of(file));
    } catch (LlmException e) {
      throw e.code() == ErrorCode.IO || e.code() == ErrorCode.MODEL_NOT_FOUND ? e
          : new LlmException(ErrorCode.BASIS_INVALID, "basis " + file + ": " + e.getMessage(), e);
    } catch (JsonParseException | IllegalStateException | NumberFormatException | ClassCastException
        | NullPointerException | UnsupportedOperationException e) {
      throw new LlmException(ErrorCode.BASIS_INVALID, "basis " + file + ": its data is malformed: " + e.getMessage(), e);
    }
  }

  private Rotation rotation(GgufFile gguf, int split, JsonArray list) {
    int[] apart = new int[list.size()];
    for (int i = 0; i < apart.length; i++) {
      apart[i] = integer(list.get(i), i == 0 ? 0 : apart[i - 1] + 1, width - 1);
    }
    int size = width - apart.length;
    if (apart.length == 0 || size == 0) {
      throw invalid("split " + split + " has " + apart.length + " channels apart");
    }
    String name = tensorName(split);
    GgufTensor tensor = gguf.tensor(name).orElseThrow(() -> invalid("there is no tensor " + name));
    if (tensor.type() != TensorType.F16 || !tensor.shape().equals(Arrays.asList((long) size, (long) size))) {
      throw invalid(name + " is not of type F16 and shape [" + size + "][" + size + "]");
    }
    float[] vectors = TensorCodec.dequantize(TensorType.F16, gguf.data(tensor), size * size);
    for (int i = 0; i < size; i++) {
      double squares = 0;
      for (int j = 0; j < size; j++) {
        squares += (double) vectors[i * size + j] * vectors[i * size + j];
      }
      if (!(Math.abs(squares - 1) <= LENGTH_TOLERANCE)) {
        throw invalid("vector " + i + " of " + name + " is not of length 1");
      }
    }
    return new Rotation(width, apart, vectors);
  }

  /**
   * Writes a basis.
   *
   * @param target its path (required)
   * @param model the model that it was made of (required)
   * @param modelName for people (required)
   * @param axes coordinates by split (required)
   * @param report how they were made, a JSON object: for people (required)
   * @throws LlmException IO if it cannot be written
   */
  public static void write(Path target, ModelInfo model, String modelName, Map<Integer, Axes> axes,
      String report) {
    JsonObject data = new JsonObject();
    data.addProperty("embedding", model.embedding());
    JsonArray splits = new JsonArray();
    List<GgufTensor> tensors = new ArrayList<>();
    axes.forEach((number, at) -> {
      JsonObject split = new JsonObject();
      split.addProperty("split", number);
      JsonArray apart = new JsonArray();
      for (int channel : at.apart) {
        apart.add(channel);
      }
      split.add("apart", apart);
      splits.add(split);
      int size = model.embedding() - at.apart.length;
      tensors.add(GgufTensor.of(tensorName(number), TensorType.F16, size, size));
    });
    data.add("splits", splits);
    data.add("report", JsonParser.parseString(report));
    Map<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put(TYPE_KEY, GgufValue.text(TYPE));
    metadata.put("general.name", GgufValue.text("Row basis of " + modelName));
    metadata.put(VERSION_KEY, GgufValue.uint32(VERSION));
    metadata.put(FINGERPRINT_KEY, GgufValue.text(model.fingerprint()));
    metadata.put(DATA_KEY, GgufValue.text(data.toString()));
    try (GgufWriter writer = GgufWriter.create(target, metadata, tensors)) {
      for (Axes at : axes.values()) {
        int size = model.embedding() - at.apart.length;
        writer.write(ByteBuffer.wrap(TensorCodec.quantize(TensorType.F16, size, size, at.vectors)));
      }
      writer.commit();
    }
  }

  /**
   * Checks that the basis was made of a model.
   *
   * @param model the model (required)
   * @throws LlmException BASIS_INVALID if it was made of another one
   */
  public void check(ModelInfo model) {
    if (!fingerprint.equals(model.fingerprint()) || width != model.embedding()) {
      throw new LlmException(ErrorCode.BASIS_INVALID, "basis " + file + " was made of another model: its fingerprint is "
          + fingerprint + ", not " + model.fingerprint());
    }
  }

  /**
   * The model that the basis was made of.
   *
   * @return {@link ModelInfo#fingerprint()} (never null)
   */
  public String fingerprint() {
    return fingerprint;
  }

  /**
   * Numbers in a row.
   *
   * @return at least 2
   */
  public int width() {
    return width;
  }

  /**
   * Splits that the basis is for: the numbers of the first layers of a worker's part.
   *
   * @return ascending, unmodifiable (never null)
   */
  public List<Integer> splits() {
    return Collections.unmodifiableList(new ArrayList<>(rotations.keySet()));
  }

  /**
   * Coefficients of a row, and so the most that can be kept. A few channels of the row come on top: they are large, and
   * always sent.
   *
   * @param split one of the splits
   * @return their number
   * @throws LlmException RANGE if the basis has no such split
   */
  public int dims(int split) {
    return at(split).size();
  }

  /**
   * SHA-256 of the file, by which both sides tell whether they have the same.
   *
   * @return 32 bytes, a copy (never null)
   */
  public byte[] digest() {
    return digest.clone();
  }

  /** The coordinates at a split. */
  Rotation at(int split) {
    Rotation rotation = rotations.get(split);
    if (rotation == null) {
      throw new LlmException(
          ErrorCode.RANGE, "split: must be one of " + rotations.keySet() + " that the basis is for, but is " + split);
    }
    return rotation;
  }

  private static String tensorName(int split) {
    return "split." + split + ".vectors";
  }

  private static GgufValue value(Map<String, GgufValue> metadata, String key) {
    GgufValue value = metadata.get(key);
    if (value == null) {
      throw invalid(key + " is missing");
    }
    return value;
  }

  private static int integer(JsonElement element, int least, int most) {
    double value = element.getAsDouble();
    if (value != Math.rint(value) || value < least || value > most) {
      throw invalid("a number must be from " + least + " to " + most + ", but is " + element);
    }
    return (int) value;
  }

  private static LlmException invalid(String what) {
    return new LlmException(ErrorCode.BASIS_INVALID, what);
  }
}
