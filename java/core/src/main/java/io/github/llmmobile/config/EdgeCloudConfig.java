package io.github.llmmobile.config;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Edge-cloud collaboration: {@code edge_cloud_config}. */
public final class EdgeCloudConfig {
  static final String PATH = "edge_cloud_config";
  private static final String BANDWIDTH = "bandwidth_threshold";
  private static final String WORKER = "worker";
  private static final String TLS = "tls";
  private static final String INSECURE = "insecure";
  private static final String PIN = "pin";
  private static final String SPLIT = "split";
  private static final String CODEC = "codec";
  private static final String BASIS = "basis";
  private static final String KEEP = "keep_dims";
  private static final String AUTO = "auto";
  private static final Pattern WITH_UNIT =
      Pattern.compile("\\s*(\\d+(?:\\.\\d+)?)\\s*([kmg]?bps)\\s*", Pattern.CASE_INSENSITIVE);

  private final double bandwidthThresholdMbps;
  private final @Nullable String worker;
  private final @Nullable Path tls;
  private final boolean insecure;
  private final @Nullable String pin;
  private final int split;
  private final @Nullable String codec;
  private final @Nullable Path basis;
  private final int keepDims;

  private EdgeCloudConfig(Builder b) {
    bandwidthThresholdMbps = b.bandwidthThresholdMbps;
    worker = b.worker;
    tls = b.tls;
    insecure = b.insecure;
    pin = b.pin;
    split = b.split;
    codec = b.codec;
    basis = b.basis;
    keepDims = b.keepDims;
  }

  /**
   * Starts from the defaults.
   *
   * @return a builder (never null)
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Starts from this section.
   *
   * @return a builder with the same values (never null)
   */
  public Builder toBuilder() {
    Builder b = new Builder();
    b.bandwidthThresholdMbps = bandwidthThresholdMbps;
    b.worker = worker;
    b.tls = tls;
    b.insecure = insecure;
    b.pin = pin;
    b.split = split;
    b.codec = codec;
    b.basis = basis;
    b.keepDims = keepDims;
    return b;
  }

  /**
   * The least bandwidth at which anything is sent, as measured. In JSON {@code bandwidth_threshold}, a number in Mbps or a
   * text such as {@code "500 Kbps"}, {@code "1.0 Mbps"} or {@code "1 Gbps"}. Default: 1.
   *
   * @return megabits (10^6 bits) per second, at least 0
   */
  public double bandwidthThresholdMbps() {
    return bandwidthThresholdMbps;
  }

  /**
   * The worker that has the last layers, such as {@code worker.example:7443}. In JSON {@code worker}. Default: none.
   *
   * @return host and port (never null)
   */
  public Optional<String> worker() {
    return Optional.ofNullable(worker);
  }

  /**
   * The folder with keys and certificates for the worker, as {@code llm-mobile keys} makes it. In JSON {@code tls}.
   *
   * @return the folder; empty without TLS (never null)
   */
  public Optional<Path> tls() {
    return Optional.ofNullable(tls);
  }

  /**
   * Whether the worker is spoken to without TLS, which is for workers on this machine. In JSON {@code insecure}. Default:
   * false.
   *
   * @return true if so
   */
  public boolean insecure() {
    return insecure;
  }

  /**
   * Which key the worker's certificate must have, such as {@code sha256/} and Base64, as {@code llm-mobile keys} tells it. In
   * JSON {@code pin}. Default: none, that of the folder with the keys.
   *
   * @return the pin, if one is given (never null)
   */
  public Optional<String> pin() {
    return Optional.ofNullable(pin);
  }

  /**
   * Layers that the device evaluates itself. In JSON {@code split}, a number or {@code "auto"}. Default: 0, which is
   * {@code "auto"}: measured times decide where to split, and whether to.
   *
   * @return at least 0
   */
  public int split() {
    return split;
  }

  /**
   * How hidden states travel. In JSON {@code codec}; docs/edge-cloud.md has the names. Default: none, the choice of the
   * module that sends them.
   *
   * @return the name, if one is given (never null)
   */
  public Optional<String> codec() {
    return Optional.ofNullable(codec);
  }

  /**
   * The basis in which hidden states are reduced before they travel, as {@code llm-mobile calibrate --basis-layers} makes it;
   * the worker needs the same file. In JSON {@code basis}. Default: none, they travel whole.
   *
   * @return the file, if there is one (never null)
   */
  public Optional<Path> basis() {
    return Optional.ofNullable(basis);
  }

  /**
   * How many numbers of a reduced hidden state are kept. In JSON {@code keep_dims}. Default: 0, half of all.
   *
   * @return at least 0
   */
  public int keepDims() {
    return keepDims;
  }

  static EdgeCloudConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(BANDWIDTH, (r, p) -> b.bandwidthThresholdMbps(r.isText() ? mbps(r.text(p), p) : r.number(p)));
    fields.put(WORKER, (r, p) -> b.worker(r.text(p)));
    fields.put(TLS, (r, p) -> b.tls(r.path(p)));
    fields.put(INSECURE, (r, p) -> b.insecure(r.flag(p)));
    fields.put(PIN, (r, p) -> b.pin(r.text(p)));
    fields.put(SPLIT, (r, p) -> b.split(r.isText() ? auto(r.text(p), p) : r.integer(p)));
    fields.put(CODEC, (r, p) -> b.codec(r.text(p)));
    fields.put(BASIS, (r, p) -> b.basis(r.path(p)));
    fields.put(KEEP, (r, p) -> b.keepDims(r.integer(p)));
    reader.object(path, fields);
    return b.build();
  }

  private static int auto(String text, String path) {
    if (!text.equals(AUTO)) {
      throw ConfigReader.error(path, "must be a number of layers or \"auto\", but is " + ConfigReader.quoted(text));
    }
    return 0;
  }

  private static double mbps(String text, String path) {
    Matcher parts = WITH_UNIT.matcher(text);
    if (!parts.matches()) {
      throw ConfigReader.error(
          path, "must be a number in Mbps or a text such as \"500 Kbps\", but is \"" + text + "\"");
    }
    double value = Double.parseDouble(parts.group(1));
    switch (parts.group(2).toLowerCase(Locale.ROOT)) {
      case "bps":
        return value / 1e6;
      case "kbps":
        return value / 1e3;
      case "gbps":
        return value * 1e3;
      default:
        return value;
    }
  }

  JsonObject toJson() {
    JsonObject json = new JsonObject();
    json.addProperty(BANDWIDTH, bandwidthThresholdMbps);
    if (worker != null) {
      json.addProperty(WORKER, worker);
    }
    if (tls != null) {
      json.addProperty(TLS, tls.toString());
    }
    if (insecure) {
      json.addProperty(INSECURE, true);
    }
    if (pin != null) {
      json.addProperty(PIN, pin);
    }
    if (split > 0) {
      json.addProperty(SPLIT, split);
    }
    if (codec != null) {
      json.addProperty(CODEC, codec);
    }
    if (basis != null) {
      json.addProperty(BASIS, basis.toString());
    }
    if (keepDims > 0) {
      json.addProperty(KEEP, keepDims);
    }
    return json;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof EdgeCloudConfig)) {
      return false;
    }
    EdgeCloudConfig that = (EdgeCloudConfig) other;
    return Double.compare(bandwidthThresholdMbps, that.bandwidthThresholdMbps) == 0 && insecure == that.insecure
        && split == that.split && Objects.equals(pin, that.pin)
        && Objects.equals(worker, that.worker) && Objects.equals(tls, that.tls)
        && Objects.equals(codec, that.codec) && Objects.equals(basis, that.basis) && keepDims == that.keepDims;
  }

  @Override
  public int hashCode() {
    return Objects.hash(bandwidthThresholdMbps, worker, tls, insecure, pin, split, codec, basis, keepDims);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects an {@link EdgeCloudConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private double bandwidthThresholdMbps = 1.0;
    private @Nullable String worker;
    private @Nullable Path tls;
    private boolean insecure;
    private @Nullable String pin;
    private int split;
    private @Nullable String codec;
    private @Nullable Path basis;
    private int keepDims;

    private Builder() {}

    /**
     * Sets {@link EdgeCloudConfig#bandwidthThresholdMbps()}.
     *
     * @param bandwidthThresholdMbps megabits per second, finite and at least 0
     * @return this
     */
    public Builder bandwidthThresholdMbps(double bandwidthThresholdMbps) {
      this.bandwidthThresholdMbps = bandwidthThresholdMbps;
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#worker()}.
     *
     * @param worker host and port (required)
     * @return this
     */
    public Builder worker(String worker) {
      this.worker = Objects.requireNonNull(worker, "worker");
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#tls()}.
     *
     * @param tls the folder (required)
     * @return this
     */
    public Builder tls(Path tls) {
      this.tls = Objects.requireNonNull(tls, "tls");
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#insecure()}.
     *
     * @param insecure true to go without TLS
     * @return this
     */
    public Builder insecure(boolean insecure) {
      this.insecure = insecure;
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#pin()}.
     *
     * @param pin the pin (required)
     * @return this
     */
    public Builder pin(String pin) {
      this.pin = Objects.requireNonNull(pin, "pin");
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#split()}.
     *
     * @param split layers, at least 1; 0 for auto
     * @return this
     */
    public Builder split(int split) {
      this.split = split;
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#codec()}.
     *
     * @param codec the codec's name (required)
     * @return this
     */
    public Builder codec(String codec) {
      this.codec = Objects.requireNonNull(codec, "codec");
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#basis()}.
     *
     * @param basis the file (required)
     * @return this
     */
    public Builder basis(Path basis) {
      this.basis = Objects.requireNonNull(basis, "basis");
      return this;
    }

    /**
     * Sets {@link EdgeCloudConfig#keepDims()}.
     *
     * @param keepDims numbers, at least 1; 0 for half of all
     * @return this
     */
    public Builder keepDims(int keepDims) {
      this.keepDims = keepDims;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the section (never null)
     * @throws io.github.llmmobile.LlmException CONFIG if a value is outside its range
     */
    public EdgeCloudConfig build() {
      // Negative zero would come back from JSON as another value.
      bandwidthThresholdMbps += 0.0;
      if (!(bandwidthThresholdMbps >= 0 && bandwidthThresholdMbps <= Double.MAX_VALUE)) {
        throw ConfigReader.error(
            PATH + "." + BANDWIDTH, "must be finite and at least 0, but is " + bandwidthThresholdMbps);
      }
      if (split < 0) {
        throw ConfigReader.error(PATH + "." + SPLIT, "must be at least 0, but is " + split);
      }
      if (keepDims < 0) {
        throw ConfigReader.error(PATH + "." + KEEP, "must be at least 0, but is " + keepDims);
      }
      if (keepDims > 0 && basis == null) {
        throw ConfigReader.error(PATH + "." + KEEP, "needs a " + BASIS);
      }
      if (worker == null && (tls != null || insecure)) {
        throw ConfigReader.error(PATH, TLS + " and " + INSECURE + " need a " + WORKER);
      }
      if (worker != null && (tls == null) != insecure) {
        throw ConfigReader.error(PATH, "a " + WORKER + " needs either " + TLS + " or " + INSECURE);
      }
      if (pin != null && tls == null) {
        throw ConfigReader.error(PATH + "." + PIN, "needs " + TLS);
      }
      return new EdgeCloudConfig(this);
    }
  }
}
