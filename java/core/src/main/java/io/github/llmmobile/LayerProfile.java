package io.github.llmmobile;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import io.github.llmmobile.gguf.TensorCodec;
import io.github.llmmobile.gguf.TensorType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.TreeMap;

/**
 * What leaving out parts of a model's layers costs, and what can stand in for them: the file that {@code llm-mobile
 * calibrate} writes, a GGUF file described in {@code docs/layer-profile.md}. Part numbers are those of {@link
 * LayerGates}. Immutable; the stand-ins stay in the file until a session needs them.
 */
public final class LayerProfile {
  /** Version of the format. */
  public static final int VERSION = 1;
  /** Metadata: the format, {@link #TYPE}. */
  public static final String TYPE_KEY = "general.type";
  /** Value of {@link #TYPE_KEY}. */
  public static final String TYPE = "layer-profile";
  /** Metadata: the version, UINT32. */
  public static final String VERSION_KEY = "llmm.profile.version";
  /** Metadata: {@link ModelInfo#fingerprint()} of the model, a text; the same key as in adapters. */
  public static final String FINGERPRINT_KEY = "llmm.base.fingerprint";
  /** Metadata: all numbers, as JSON. */
  public static final String DATA_KEY = "llmm.profile.data";

  private final Path file;
  private final String fingerprint;
  private final int layers;
  private final int width;
  private final List<Integer> hotPath;
  private final List<Integer> order;
  private final NavigableMap<Integer, List<Level>> levels;
  private final List<Double> entropyEdges;
  private final List<Double> entropyShares;
  private final List<Double> relativeDivergence;
  private final String report;

  private LayerProfile(Path file, String fingerprint, JsonObject data) {
    this.file = file;
    this.fingerprint = fingerprint;
    layers = integer(data, "layers", 3, 1 << 16);
    width = integer(data, "embedding", 1, 1 << 20);
    hotPath = integers(data, "hot_path", 0, layers - 1);
    order = integers(data, "order", 2, 2 * layers - 3);
    levels = new TreeMap<>();
    for (JsonElement element : array(data, "levels")) {
      JsonObject json = object(element, "levels");
      int rank = integer(json, "rank", 0, width);
      if (levels.put(rank, levels(json, order.size())) != null) {
        throw invalid("rank " + rank + " stands twice");
      }
    }
    JsonObject gates = object(member(data, "gates"), "gates");
    entropyEdges = reals(gates, "entropy_edges");
    entropyShares = reals(gates, "shares");
    relativeDivergence = reals(gates, "relative_kl");
    if (entropyShares.size() != entropyEdges.size() + 1 || relativeDivergence.size() != entropyShares.size()) {
      throw invalid("the ranges of entropy and their values are not as many");
    }
    for (int i = 1; i < entropyEdges.size(); i++) {
      if (entropyEdges.get(i) <= entropyEdges.get(i - 1)) {
        throw invalid("the bounds of entropy do not ascend");
      }
    }
    report = data.has("report") ? data.get("report").toString() : "{}";
  }

  /**
   * What a prefix of the order costs, measured on a text that took no part in choosing it.
   */
  public static final class Level {
    private final double divergence;
    private final double perplexity;
    private final double workSaved;

    Level(double divergence, double perplexity, double workSaved) {
      this.divergence = divergence;
      this.perplexity = perplexity;
      this.workSaved = workSaved;
    }

    /**
     * Mean divergence (Kullback and Leibler) of predictions from those of the whole model, every token having left the
     * parts out.
     *
     * @return nats, at least 0
     */
    public double divergence() {
      return divergence;
    }

    /**
     * The perplexity, as a multiple of the whole model's.
     *
     * @return above 0
     */
    public double perplexity() {
      return perplexity;
    }

    /**
     * Bytes that a step need not read, as a share of those it reads, stand-ins counted in.
     *
     * @return below 1
     */
    public double workSaved() {
      return workSaved;
    }
  }

  /** Factors that stand in for a part. */
  static final class StandIn {
    final int rank;
    /** Width by rank. */
    final float[] down;
    /** Rank by width. */
    final float[] up;
    final float[] bias;

    StandIn(int rank, float[] down, float[] up, float[] bias) {
      this.rank = rank;
      this.down = down;
      this.up = up;
      this.bias = bias;
    }
  }

  /**
   * Reads and checks a profile.
   *
   * @param file its path (required)
   * @return the profile (never null)
   * @throws LlmException MODEL_NOT_FOUND if there is no file; PROFILE_INVALID if it is broken, no profile or of another
   *     version; IO if it cannot be read
   */
  public static LayerProfile read(Path file) {
    Objects.requireNonNull(file, "file");
    try (GgufFile gguf = open(file)) {
      Map<String, GgufValue> metadata = gguf.metadata();
      if (!metadata.containsKey(TYPE_KEY) || !metadata.get(TYPE_KEY).asText().equals(TYPE)) {
        throw invalid("it is a GGUF file, but no layer profile");
      }
      long version = value(metadata, VERSION_KEY).asInteger();
      if (version != VERSION) {
        throw invalid("it has version " + version + ", this library reads " + VERSION);
      }
      JsonObject data = object(JsonParser.parseString(value(metadata, DATA_KEY).asText()), DATA_KEY);
      LayerProfile profile = new LayerProfile(file, value(metadata, FINGERPRINT_KEY).asText(), data);
      for (int part : profile.order) {
        profile.checkTensors(gguf, part);
      }
      return profile;
    } catch (LlmException e) {
      throw e.code() == ErrorCode.PROFILE_INVALID || e.code() == ErrorCode.MODEL_INVALID
          ? new LlmException(ErrorCode.PROFILE_INVALID, "layer profile " + file + ": " + e.getMessage(), e)
          : e;
    } catch (JsonParseException | IllegalStateException | NumberFormatException | UnsupportedOperationException e) {
      throw new LlmException(ErrorCode.PROFILE_INVALID, "layer profile " + file + ": its data is malformed: "
          + e.getMessage(), e);
    }
  }

  private static GgufFile open(Path file) {
    try {
      return GgufFile.open(file);
    } catch (ModelUnavailableException e) {
      if (e.code() == ErrorCode.MODEL_NOT_FOUND) {
        throw e;
      }
      throw new LlmException(ErrorCode.PROFILE_INVALID, String.valueOf(e.getMessage()), e);
    }
  }

  /**
   * The model that the profile was made of.
   *
   * @return {@link ModelInfo#fingerprint()} (never null)
   */
  public String fingerprint() {
    return fingerprint;
  }

  /**
   * Layers of the model.
   *
   * @return a count
   */
  public int layers() {
    return layers;
  }

  /**
   * Layers that are dear to skip: neither of their parts is in the order.
   *
   * @return layer numbers, ascending, unmodifiable (never null)
   */
  public List<Integer> hotPath() {
    return hotPath;
  }

  /**
   * Parts, the one that costs least for the work it saves first.
   *
   * @return part numbers, unmodifiable (never null)
   */
  public List<Integer> order() {
    return order;
  }

  /**
   * Ranks of stand-ins whose cost was measured.
   *
   * @return ascending, unmodifiable; 0 stands for none (never null)
   */
  public List<Integer> ranks() {
    return Collections.unmodifiableList(new ArrayList<>(levels.keySet()));
  }

  /**
   * What leaving out the first one, two, ... parts of the order costs.
   *
   * @param rank one of {@link #ranks()}
   * @return as many as the order has parts, unmodifiable (never null)
   * @throws LlmException RANGE if that rank was not measured
   */
  public List<Level> levels(int rank) {
    List<Level> list = levels.get(rank);
    if (list == null) {
      throw Checks.range("rank", rank, "the profile has ranks " + levels.keySet());
    }
    return list;
  }

  /**
   * Bounds between ranges of entropy of the last prediction.
   *
   * @return nats, ascending, unmodifiable (never null)
   */
  public List<Double> entropyEdges() {
    return entropyEdges;
  }

  /**
   * How many of the tokens are in each range of entropy.
   *
   * @return shares, one more than edges, unmodifiable (never null)
   */
  public List<Double> entropyShares() {
    return entropyShares;
  }

  /**
   * What skipping costs in each range of entropy, as a multiple of what it costs on average.
   *
   * @return one more than edges, unmodifiable (never null)
   */
  public List<Double> relativeDivergence() {
    return relativeDivergence;
  }

  /**
   * What was measured of each part and how: for people.
   *
   * @return one JSON object (never null)
   */
  public String report() {
    return report;
  }

  /**
   * The stand-in of a part.
   *
   * @param rank at least 1 and at most what the file has
   * @throws LlmException PROFILE_INVALID if the file has none, or fewer ranks
   */
  StandIn standIn(int part, int rank) {
    try (GgufFile gguf = open(file)) {
      checkTensors(gguf, part);
      // All but the mean are stored by rank, so that the first rows are the stand-in of a smaller rank.
      float[] downRows = numbers(gguf, name(part, "down"), rank * width);
      float[] up = numbers(gguf, name(part, "up"), rank * width);
      float[] shift = numbers(gguf, name(part, "shift"), rank);
      float[] bias = numbers(gguf, name(part, "mean"), width);
      float[] down = new float[downRows.length];
      for (int r = 0; r < rank; r++) {
        for (int i = 0; i < width; i++) {
          down[i * rank + r] = downRows[r * width + i];
          bias[i] -= up[r * width + i] * shift[r];
        }
      }
      return new StandIn(rank, down, up, bias);
    }
  }

  private static float[] numbers(GgufFile gguf, String name, int count) {
    GgufTensor tensor = tensor(gguf, name);
    return TensorCodec.dequantize(tensor.type(), gguf.data(tensor, 0, tensor.type().rowBytes(count)), count);
  }

  private void checkTensors(GgufFile gguf, int part) {
    int most = levels.isEmpty() ? 0 : levels.lastKey();
    if (most == 0) {
      return;
    }
    checkShape(tensor(gguf, name(part, "down")), (long) most * width);
    checkShape(tensor(gguf, name(part, "up")), (long) most * width);
    checkShape(tensor(gguf, name(part, "shift")), most);
    checkShape(tensor(gguf, name(part, "mean")), width);
  }

  private void checkShape(GgufTensor tensor, long least) {
    boolean plain = tensor.type() == TensorType.F16 || tensor.type() == TensorType.F32;
    if (!plain || tensor.elements() < least || tensor.elements() > (long) width * width) {
      throw invalid(tensor + " does not have the " + least + " numbers that its rank and the model's width ask for");
    }
  }

  /**
   * Name of a tensor of a stand-in.
   *
   * @param part number of the part
   * @param which {@code down} and {@code up}, [rank][width], {@code shift}, [rank], or {@code mean}, [width]: to the
   *     residual stream x of root mean square m, mean + up^T (down (x / m) - shift) is added (required)
   * @return the name (never null)
   */
  public static String name(int part, String which) {
    return "part." + part + "." + which;
  }

  private static GgufTensor tensor(GgufFile gguf, String name) {
    return gguf.tensor(name).orElseThrow(() -> invalid("there is no tensor " + name));
  }

  // ---- reading JSON ---------------------------------------------------------------------------------------------

  private static List<Level> levels(JsonObject json, int parts) {
    List<Double> divergence = reals(json, "kl");
    List<Double> perplexity = reals(json, "perplexity");
    List<Double> work = reals(json, "work_saved");
    if (divergence.size() != parts || perplexity.size() != parts || work.size() != parts) {
      throw invalid("there are not as many levels as parts in the order");
    }
    List<Level> levels = new ArrayList<>();
    for (int i = 0; i < parts; i++) {
      levels.add(new Level(divergence.get(i), perplexity.get(i), work.get(i)));
    }
    return Collections.unmodifiableList(levels);
  }

  private static GgufValue value(Map<String, GgufValue> metadata, String key) {
    GgufValue value = metadata.get(key);
    if (value == null) {
      throw invalid(key + " is missing");
    }
    return value;
  }

  private static JsonElement member(JsonObject json, String key) {
    JsonElement value = json.get(key);
    if (value == null) {
      throw invalid(key + " is missing");
    }
    return value;
  }

  private static JsonObject object(JsonElement element, String what) {
    if (!element.isJsonObject()) {
      throw invalid(what + " is no object");
    }
    return element.getAsJsonObject();
  }

  private static JsonArray array(JsonObject json, String key) {
    JsonElement value = member(json, key);
    if (!value.isJsonArray()) {
      throw invalid(key + " is no array");
    }
    return value.getAsJsonArray();
  }

  private static int integer(JsonObject json, String key, int least, int most) {
    return integer(member(json, key), key, least, most);
  }

  private static int integer(JsonElement element, String key, int least, int most) {
    double value = element.getAsDouble();
    if (value != Math.rint(value) || value < least || value > most) {
      throw invalid(key + " must be a whole number from " + least + " to " + most + ", but is " + element);
    }
    return (int) value;
  }

  private static List<Integer> integers(JsonObject json, String key, int least, int most) {
    List<Integer> values = new ArrayList<>();
    for (JsonElement element : array(json, key)) {
      int value = integer(element, key, least, most);
      if (values.contains(value)) {
        throw invalid(key + " has " + value + " twice");
      }
      values.add(value);
    }
    return Collections.unmodifiableList(values);
  }

  private static List<Double> reals(JsonObject json, String key) {
    List<Double> values = new ArrayList<>();
    for (JsonElement element : array(json, key)) {
      double value = element.getAsDouble();
      if (!Double.isFinite(value)) {
        throw invalid(key + " has " + element);
      }
      values.add(value);
    }
    return Collections.unmodifiableList(values);
  }

  private static LlmException invalid(String message) {
    return new LlmException(ErrorCode.PROFILE_INVALID, message);
  }
}
