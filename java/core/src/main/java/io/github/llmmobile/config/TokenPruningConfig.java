package io.github.llmmobile.config;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** Token pruning with a shadow set: {@code token_pruning_config}. */
public final class TokenPruningConfig {
  static final String PATH = "token_pruning_config";
  private static final String THRESHOLD = "pruning_threshold";
  private static final String SHADOW = "max_shadow_size";

  private final double pruningThreshold;
  private final int maxShadowSize;

  private TokenPruningConfig(Builder b) {
    pruningThreshold = b.pruningThreshold;
    maxShadowSize = b.maxShadowSize;
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
    return new Builder().pruningThreshold(pruningThreshold).maxShadowSize(maxShadowSize);
  }

  /**
   * The importance below which a token is pruned. In JSON {@code pruning_threshold}. Default: 0.01.
   *
   * @return from 0 to 1
   */
  public double pruningThreshold() {
    return pruningThreshold;
  }

  /**
   * How many pruned tokens are kept so that they can come back. In JSON {@code max_shadow_size}. Default: 100.
   *
   * @return a number of tokens; -1 for no limit
   */
  public int maxShadowSize() {
    return maxShadowSize;
  }

  static TokenPruningConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(THRESHOLD, (r, p) -> b.pruningThreshold(r.number(p)));
    fields.put(SHADOW, (r, p) -> b.maxShadowSize(r.integer(p)));
    reader.object(path, fields);
    return b.build();
  }

  JsonObject toJson() {
    JsonObject json = new JsonObject();
    json.addProperty(THRESHOLD, pruningThreshold);
    json.addProperty(SHADOW, maxShadowSize);
    return json;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof TokenPruningConfig)) {
      return false;
    }
    TokenPruningConfig that = (TokenPruningConfig) other;
    return Double.compare(pruningThreshold, that.pruningThreshold) == 0 && maxShadowSize == that.maxShadowSize;
  }

  @Override
  public int hashCode() {
    return Objects.hash(pruningThreshold, maxShadowSize);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects a {@link TokenPruningConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private double pruningThreshold = 0.01;
    private int maxShadowSize = 100;

    private Builder() {}

    /**
     * Sets {@link TokenPruningConfig#pruningThreshold()}.
     *
     * @param pruningThreshold from 0 to 1
     * @return this
     */
    public Builder pruningThreshold(double pruningThreshold) {
      this.pruningThreshold = pruningThreshold;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#maxShadowSize()}.
     *
     * @param maxShadowSize tokens, or -1 for no limit
     * @return this
     */
    public Builder maxShadowSize(int maxShadowSize) {
      this.maxShadowSize = maxShadowSize;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the section (never null)
     * @throws io.github.llmmobile.LlmException CONFIG if a value is outside its range
     */
    public TokenPruningConfig build() {
      // Negative zero would come back from JSON as another value.
      pruningThreshold += 0.0;
      if (!(pruningThreshold >= 0 && pruningThreshold <= 1)) {
        throw ConfigReader.error(PATH + "." + THRESHOLD, "must be from 0 to 1, but is " + pruningThreshold);
      }
      if (maxShadowSize < -1) {
        throw ConfigReader.error(PATH + "." + SHADOW, "must be at least -1, but is " + maxShadowSize);
      }
      return new TokenPruningConfig(this);
    }
  }
}
