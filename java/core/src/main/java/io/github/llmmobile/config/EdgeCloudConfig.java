package io.github.llmmobile.config;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Edge-cloud collaboration: {@code edge_cloud_config}. */
public final class EdgeCloudConfig {
  static final String PATH = "edge_cloud_config";
  private static final String BANDWIDTH = "bandwidth_threshold";
  private static final Pattern WITH_UNIT =
      Pattern.compile("\\s*(\\d+(?:\\.\\d+)?)\\s*([kmg]?bps)\\s*", Pattern.CASE_INSENSITIVE);

  private final double bandwidthThresholdMbps;

  private EdgeCloudConfig(Builder b) {
    bandwidthThresholdMbps = b.bandwidthThresholdMbps;
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
    return new Builder().bandwidthThresholdMbps(bandwidthThresholdMbps);
  }

  /**
   * The least bandwidth at which remote work is considered. In JSON {@code bandwidth_threshold}, a number in Mbps or a
   * text such as {@code "500 Kbps"}, {@code "1.0 Mbps"} or {@code "1 Gbps"}. Default: 1.
   *
   * @return megabits (10^6 bits) per second, at least 0
   */
  public double bandwidthThresholdMbps() {
    return bandwidthThresholdMbps;
  }

  static EdgeCloudConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(BANDWIDTH, (r, p) -> b.bandwidthThresholdMbps(r.isText() ? mbps(r.text(p), p) : r.number(p)));
    reader.object(path, fields);
    return b.build();
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
    return json;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof EdgeCloudConfig
        && Double.compare(bandwidthThresholdMbps, ((EdgeCloudConfig) other).bandwidthThresholdMbps) == 0;
  }

  @Override
  public int hashCode() {
    return Double.hashCode(bandwidthThresholdMbps);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects an {@link EdgeCloudConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private double bandwidthThresholdMbps = 1.0;

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
      return new EdgeCloudConfig(this);
    }
  }
}
