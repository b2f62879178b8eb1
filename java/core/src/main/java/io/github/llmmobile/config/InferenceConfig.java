package io.github.llmmobile.config;

import com.google.gson.JsonObject;
import java.io.Reader;
import java.io.StringReader;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * Which techniques an inference uses, and its limits. A section that is absent switches its technique off; within a
 * section that is present, absent keys take their defaults.
 *
 * <p>The JSON form, all parts optional:
 *
 * <pre>{@code
 * { "edge_cloud_config":        { "bandwidth_threshold": 1.0 },
 *   "token_pruning_config":     { "pruning_threshold": 0.01, "max_shadow_size": 100 },
 *   "layer_compression_config": { "compression_rank": 64, "hot_path_indices": [0, 1, -1], "profile": "model.profile" },
 *   "memory_manager_config":    { "max_memory_mb": 512, "page_size": 16, "quantization_enabled": true,
 *                                 "spill_directory": "/tmp/pages", "eviction_enabled": true },
 *   "max_new_tokens": 100,
 *   "strict": false }
 * }</pre>
 *
 * <p>A technique that cannot act is reported and logged, or with {@code "strict": true} refused before anything runs.
 */
public final class InferenceConfig {
  private static final String MAX_NEW_TOKENS = "max_new_tokens";
  private static final String STRICT = "strict";
  private static final InferenceConfig EMPTY = builder().build();

  private final @Nullable EdgeCloudConfig edgeCloud;
  private final @Nullable TokenPruningConfig tokenPruning;
  private final @Nullable LayerCompressionConfig layerCompression;
  private final @Nullable MemoryManagerConfig memoryManager;
  private final @Nullable Integer maxNewTokens;
  private final boolean strict;

  private InferenceConfig(Builder b) {
    edgeCloud = b.edgeCloud;
    tokenPruning = b.tokenPruning;
    layerCompression = b.layerCompression;
    memoryManager = b.memoryManager;
    maxNewTokens = b.maxNewTokens;
    strict = b.strict;
  }

  /**
   * A configuration without any technique or limit.
   *
   * @return the configuration (never null)
   */
  public static InferenceConfig empty() {
    return EMPTY;
  }

  /**
   * Starts from {@link #empty()}.
   *
   * @return a builder (never null)
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Starts from this configuration.
   *
   * @return a builder with the same values (never null)
   */
  public Builder toBuilder() {
    Builder b = new Builder();
    b.edgeCloud = edgeCloud;
    b.tokenPruning = tokenPruning;
    b.layerCompression = layerCompression;
    b.memoryManager = memoryManager;
    b.maxNewTokens = maxNewTokens;
    b.strict = strict;
    return b;
  }

  /**
   * This configuration for work that stays on the device.
   *
   * @return the same without {@link #edgeCloud()} (never null)
   */
  public InferenceConfig withoutEdgeCloud() {
    Builder b = toBuilder();
    b.edgeCloud = null;
    return b.build();
  }

  /**
   * Reads the JSON form.
   *
   * @param json one JSON object (required)
   * @return the configuration (never null)
   * @throws io.github.llmmobile.LlmException CONFIG if it is malformed, or a key is unknown, given twice, of a wrong
   *     type or outside its range; the message begins with the key's path
   */
  public static InferenceConfig fromJson(String json) {
    return fromJson(new StringReader(json));
  }

  /**
   * Reads the JSON form to its end. The reader stays open.
   *
   * @param json one JSON object (required)
   * @return the configuration (never null)
   * @throws io.github.llmmobile.LlmException IO if reading fails; CONFIG as {@link #fromJson(String)}
   */
  public static InferenceConfig fromJson(Reader json) {
    Objects.requireNonNull(json, "json");
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(EdgeCloudConfig.PATH, (r, p) -> b.edgeCloud(EdgeCloudConfig.read(r, p)));
    fields.put(TokenPruningConfig.PATH, (r, p) -> b.tokenPruning(TokenPruningConfig.read(r, p)));
    fields.put(LayerCompressionConfig.PATH, (r, p) -> b.layerCompression(LayerCompressionConfig.read(r, p)));
    fields.put(MemoryManagerConfig.PATH, (r, p) -> b.memoryManager(MemoryManagerConfig.read(r, p)));
    fields.put(MAX_NEW_TOKENS, (r, p) -> b.maxNewTokens(r.integer(p)));
    fields.put(STRICT, (r, p) -> b.strict(r.flag(p)));
    ConfigReader.read(json, fields);
    return b.build();
  }

  /**
   * Writes the JSON form; reading it gives an equal configuration.
   *
   * @return one JSON object (never null)
   */
  public String toJson() {
    JsonObject json = new JsonObject();
    edgeCloud().ifPresent(section -> json.add(EdgeCloudConfig.PATH, section.toJson()));
    tokenPruning().ifPresent(section -> json.add(TokenPruningConfig.PATH, section.toJson()));
    layerCompression().ifPresent(section -> json.add(LayerCompressionConfig.PATH, section.toJson()));
    memoryManager().ifPresent(section -> json.add(MemoryManagerConfig.PATH, section.toJson()));
    maxNewTokens().ifPresent(n -> json.addProperty(MAX_NEW_TOKENS, n));
    if (strict) {
      json.addProperty(STRICT, true);
    }
    return json.toString();
  }

  /**
   * Edge-cloud collaboration. In JSON {@code edge_cloud_config}.
   *
   * @return the section, if it is present (never null)
   */
  public Optional<EdgeCloudConfig> edgeCloud() {
    return Optional.ofNullable(edgeCloud);
  }

  /**
   * Token pruning. In JSON {@code token_pruning_config}.
   *
   * @return the section, if it is present (never null)
   */
  public Optional<TokenPruningConfig> tokenPruning() {
    return Optional.ofNullable(tokenPruning);
  }

  /**
   * Layer compression. In JSON {@code layer_compression_config}.
   *
   * @return the section, if it is present (never null)
   */
  public Optional<LayerCompressionConfig> layerCompression() {
    return Optional.ofNullable(layerCompression);
  }

  /**
   * The memory manager. In JSON {@code memory_manager_config}.
   *
   * @return the section, if it is present (never null)
   */
  public Optional<MemoryManagerConfig> memoryManager() {
    return Optional.ofNullable(memoryManager);
  }

  /**
   * The most tokens to generate. In JSON {@code max_new_tokens}. Default: none, which leaves the choice to the caller.
   *
   * @return at least 0, or -1 to go on until the context is full; if it is present (never null)
   */
  public OptionalInt maxNewTokens() {
    return maxNewTokens == null ? OptionalInt.empty() : OptionalInt.of(maxNewTokens);
  }

  /**
   * Whether a technique that cannot act is an error. In JSON {@code strict}. Default: false.
   *
   * @return true if it is
   */
  public boolean strict() {
    return strict;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof InferenceConfig)) {
      return false;
    }
    InferenceConfig that = (InferenceConfig) other;
    return Objects.equals(edgeCloud, that.edgeCloud)
        && Objects.equals(tokenPruning, that.tokenPruning)
        && Objects.equals(layerCompression, that.layerCompression)
        && Objects.equals(memoryManager, that.memoryManager)
        && Objects.equals(maxNewTokens, that.maxNewTokens)
        && strict == that.strict;
  }

  @Override
  public int hashCode() {
    return Objects.hash(edgeCloud, tokenPruning, layerCompression, memoryManager, maxNewTokens, strict);
  }

  @Override
  public String toString() {
    return "InferenceConfig" + toJson();
  }

  /** Collects an {@link InferenceConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private @Nullable EdgeCloudConfig edgeCloud;
    private @Nullable TokenPruningConfig tokenPruning;
    private @Nullable LayerCompressionConfig layerCompression;
    private @Nullable MemoryManagerConfig memoryManager;
    private @Nullable Integer maxNewTokens;
    private boolean strict;

    private Builder() {}

    /**
     * Sets {@link InferenceConfig#edgeCloud()}.
     *
     * @param edgeCloud the section (required)
     * @return this
     */
    public Builder edgeCloud(EdgeCloudConfig edgeCloud) {
      this.edgeCloud = Objects.requireNonNull(edgeCloud, "edgeCloud");
      return this;
    }

    /**
     * Sets {@link InferenceConfig#tokenPruning()}.
     *
     * @param tokenPruning the section (required)
     * @return this
     */
    public Builder tokenPruning(TokenPruningConfig tokenPruning) {
      this.tokenPruning = Objects.requireNonNull(tokenPruning, "tokenPruning");
      return this;
    }

    /**
     * Sets {@link InferenceConfig#layerCompression()}.
     *
     * @param layerCompression the section (required)
     * @return this
     */
    public Builder layerCompression(LayerCompressionConfig layerCompression) {
      this.layerCompression = Objects.requireNonNull(layerCompression, "layerCompression");
      return this;
    }

    /**
     * Sets {@link InferenceConfig#memoryManager()}.
     *
     * @param memoryManager the section (required)
     * @return this
     */
    public Builder memoryManager(MemoryManagerConfig memoryManager) {
      this.memoryManager = Objects.requireNonNull(memoryManager, "memoryManager");
      return this;
    }

    /**
     * Sets {@link InferenceConfig#maxNewTokens()}.
     *
     * @param maxNewTokens at least 0, or -1
     * @return this
     */
    public Builder maxNewTokens(int maxNewTokens) {
      this.maxNewTokens = maxNewTokens;
      return this;
    }

    /**
     * Sets {@link InferenceConfig#strict()}.
     *
     * @param strict true to refuse what cannot act
     * @return this
     */
    public Builder strict(boolean strict) {
      this.strict = strict;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the configuration (never null)
     * @throws io.github.llmmobile.LlmException CONFIG if a value is outside its range
     */
    public InferenceConfig build() {
      if (maxNewTokens != null && maxNewTokens < -1) {
        throw ConfigReader.error(MAX_NEW_TOKENS, "must be at least -1, but is " + maxNewTokens);
      }
      return new InferenceConfig(this);
    }
  }
}
