package io.github.llmmobile.config;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Leaving out parts of layers while decoding: {@code layer_compression_config}. What costs how much is known from a
 * profile of the model, which {@code llm-mobile calibrate} makes; without one this section does nothing.
 */
public final class LayerCompressionConfig {
  static final String PATH = "layer_compression_config";
  private static final String RANK = "compression_rank";
  private static final String HOT_PATH = "hot_path_indices";
  private static final String PROFILE = "profile";
  private static final String MODE = "mode";
  private static final String KL_BUDGET = "kl_budget";
  private static final String SKIP_BUDGET = "skip_budget";
  private static final String FACTORS = "factors";
  private static final String LOSSLESS = "lossless";

  private static final double MOST_KL = 100;

  private final int compressionRank;
  private final List<Integer> hotPathIndices;
  private final @Nullable Path profile;
  private final @Nullable Path factors;
  private final LayerMode mode;
  private final double klBudget;
  private final double skipBudget;
  private final boolean lossless;

  private LayerCompressionConfig(Builder b) {
    compressionRank = b.compressionRank;
    hotPathIndices = b.hotPathIndices;
    profile = b.profile;
    mode = b.mode;
    klBudget = b.klBudget;
    skipBudget = b.skipBudget;
    lossless = b.lossless;
    factors = b.factors;
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
    Builder b = new Builder().compressionRank(compressionRank).hotPathIndices(hotPathIndices).mode(mode)
        .klBudget(klBudget).skipBudget(skipBudget).lossless(lossless);
    b.profile = profile;
    b.factors = factors;
    return b;
  }

  /**
   * The greatest rank of {@link #factors()}, of which the first so many components are taken, and of what stands in for parts
   * that are left out, for which the greatest rank of the profile that is not above it is taken. In JSON {@code
   * compression_rank}. Default: 64.
   *
   * @return at least 0; 0 for none, if the profile has measured that
   */
  public int compressionRank() {
    return compressionRank;
  }

  /**
   * The layers that are never skipped; negative numbers count from the end. In JSON {@code hot_path_indices}. Default:
   * none.
   *
   * @return layer numbers, unmodifiable (never null)
   */
  public List<Integer> hotPathIndices() {
    return hotPathIndices;
  }

  /**
   * The profile of the model. In JSON {@code profile}. Default: none, and nothing is left out.
   *
   * @return its file, if there is one (never null)
   */
  public Optional<Path> profile() {
    return Optional.ofNullable(profile);
  }

  /**
   * How it is decided how much is left out. In JSON {@code mode}. Default: {@link LayerMode#AUTO}.
   *
   * @return the mode (never null)
   */
  public LayerMode mode() {
    return mode;
  }

  /**
   * With {@link LayerMode#AUTO}: the mean divergence of a token's prediction from the whole model's that may be caused,
   * in nats. In JSON {@code kl_budget}. Default: 0.02.
   *
   * @return at least 0; 0 leaves nothing out
   */
  public double klBudget() {
    return klBudget;
  }

  /**
   * With {@link LayerMode#STATIC}: the share of a step's reads that may be saved. In JSON {@code skip_budget}. Default:
   * 0.05.
   *
   * @return from 0 to 1
   */
  public double skipBudget() {
    return skipBudget;
  }

  /**
   * Whether the answer must stay that of the whole model. Then nothing is left out; instead tokens are drafted from the
   * history and checked several at a time, as with {@code GenerationOptions.draftTokens}, which is 8 where the options
   * of a generation say 0. A profile is not needed. In JSON {@code lossless}. Default: false.
   *
   * @return true if it is
   */
  public boolean lossless() {
    return lossless;
  }

  /**
   * A file of low-rank factors that make good what this model has lost by quantising, as {@code llm-mobile compress
   * --mode compensate} writes them. In JSON {@code factors}. Default: none.
   *
   * @return the file, if there is one (never null)
   */
  public Optional<Path> factors() {
    return Optional.ofNullable(factors);
  }

  static LayerCompressionConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(RANK, (r, p) -> b.compressionRank(r.integer(p)));
    fields.put(HOT_PATH, (r, p) -> b.hotPathIndices(r.integers(p)));
    fields.put(PROFILE, (r, p) -> b.profile(r.path(p)));
    fields.put(MODE, (r, p) -> b.mode(LayerMode.read(r.text(p), p)));
    fields.put(KL_BUDGET, (r, p) -> b.klBudget(r.number(p)));
    fields.put(SKIP_BUDGET, (r, p) -> b.skipBudget(r.number(p)));
    fields.put(LOSSLESS, (r, p) -> b.lossless(r.flag(p)));
    fields.put(FACTORS, (r, p) -> b.factors(r.path(p)));
    reader.object(path, fields);
    return b.build();
  }

  JsonObject toJson() {
    JsonArray indices = new JsonArray();
    hotPathIndices.forEach(indices::add);
    JsonObject json = new JsonObject();
    json.addProperty(RANK, compressionRank);
    json.add(HOT_PATH, indices);
    profile().ifPresent(file -> json.addProperty(PROFILE, file.toString()));
    json.addProperty(MODE, mode.jsonName());
    json.addProperty(KL_BUDGET, klBudget);
    json.addProperty(SKIP_BUDGET, skipBudget);
    json.addProperty(LOSSLESS, lossless);
    factors().ifPresent(file -> json.addProperty(FACTORS, file.toString()));
    return json;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof LayerCompressionConfig)) {
      return false;
    }
    LayerCompressionConfig that = (LayerCompressionConfig) other;
    return compressionRank == that.compressionRank
        && hotPathIndices.equals(that.hotPathIndices)
        && Objects.equals(factors, that.factors)
        && Objects.equals(profile, that.profile)
        && mode == that.mode
        && Double.compare(klBudget, that.klBudget) == 0
        && Double.compare(skipBudget, that.skipBudget) == 0
        && lossless == that.lossless;
  }

  @Override
  public int hashCode() {
    return Objects.hash(compressionRank, hotPathIndices, factors, profile, mode, klBudget, skipBudget, lossless);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects a {@link LayerCompressionConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private int compressionRank = 64;
    private List<Integer> hotPathIndices = Collections.emptyList();
    private @Nullable Path profile;
    private LayerMode mode = LayerMode.AUTO;
    private double klBudget = 0.02;
    private double skipBudget = 0.05;
    private boolean lossless;
    private @Nullable Path factors;

    private Builder() {}

    /**
     * Sets {@link LayerCompressionConfig#compressionRank()}.
     *
     * @param compressionRank at least 0
     * @return this
     */
    public Builder compressionRank(int compressionRank) {
      this.compressionRank = compressionRank;
      return this;
    }

    /**
     * Sets {@link LayerCompressionConfig#hotPathIndices()}.
     *
     * @param hotPathIndices layer numbers; copied (required)
     * @return this
     */
    public Builder hotPathIndices(List<Integer> hotPathIndices) {
      List<Integer> copy = new ArrayList<>(hotPathIndices);
      copy.forEach(index -> Objects.requireNonNull(index, "hotPathIndices"));
      this.hotPathIndices = Collections.unmodifiableList(copy);
      return this;
    }

    /**
     * Sets {@link LayerCompressionConfig#profile()}.
     *
     * @param profile a file (required)
     * @return this
     */
    public Builder profile(Path profile) {
      this.profile = Objects.requireNonNull(profile, "profile");
      return this;
    }

    /**
     * Sets {@link LayerCompressionConfig#mode()}.
     *
     * @param mode the mode (required)
     * @return this
     */
    public Builder mode(LayerMode mode) {
      this.mode = Objects.requireNonNull(mode, "mode");
      return this;
    }

    /**
     * Sets {@link LayerCompressionConfig#klBudget()}.
     *
     * @param klBudget nats, at least 0
     * @return this
     */
    public Builder klBudget(double klBudget) {
      this.klBudget = klBudget;
      return this;
    }

    /**
     * Sets {@link LayerCompressionConfig#skipBudget()}.
     *
     * @param skipBudget from 0 to 1
     * @return this
     */
    public Builder skipBudget(double skipBudget) {
      this.skipBudget = skipBudget;
      return this;
    }

    /**
     * Sets {@link LayerCompressionConfig#lossless()}.
     *
     * @param lossless true to keep the answer
     * @return this
     */
    public Builder lossless(boolean lossless) {
      this.lossless = lossless;
      return this;
    }

    /**
     * Sets {@link LayerCompressionConfig#factors()}.
     *
     * @param factors a file (required)
     * @return this
     */
    public Builder factors(Path factors) {
      this.factors = Objects.requireNonNull(factors, "factors");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the section (never null)
     * @throws io.github.llmmobile.LlmException CONFIG if a value is outside its range
     */
    public LayerCompressionConfig build() {
      if (compressionRank < 0) {
        throw ConfigReader.error(PATH + "." + RANK, "must be at least 0, but is " + compressionRank);
      }
      if (!(klBudget >= 0 && klBudget <= MOST_KL)) {
        throw ConfigReader.error(PATH + "." + KL_BUDGET, "must be from 0 to " + MOST_KL + ", but is " + klBudget);
      }
      if (!(skipBudget >= 0 && skipBudget <= 1)) {
        throw ConfigReader.error(PATH + "." + SKIP_BUDGET, "must be from 0 to 1, but is " + skipBudget);
      }
      // Negative zero would come back from JSON as another value.
      klBudget += 0.0;
      skipBudget += 0.0;
      if (factors != null && !factors.getFileSystem().equals(FileSystems.getDefault())) {
        throw ConfigReader.error(PATH + "." + FACTORS, factors + " is not on the default file system");
      }
      return new LayerCompressionConfig(this);
    }
  }
}
