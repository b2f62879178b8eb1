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

/** Low-rank layers and layer skipping: {@code layer_compression_config}. */
public final class LayerCompressionConfig {
  static final String PATH = "layer_compression_config";
  private static final String RANK = "compression_rank";
  private static final String HOT_PATH = "hot_path_indices";
  private static final String FACTORS = "factors";

  private final int compressionRank;
  private final List<Integer> hotPathIndices;
  private final @Nullable Path factors;

  private LayerCompressionConfig(Builder b) {
    compressionRank = b.compressionRank;
    hotPathIndices = b.hotPathIndices;
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
    Builder b = new Builder().compressionRank(compressionRank).hotPathIndices(hotPathIndices);
    b.factors = factors;
    return b;
  }

  /**
   * The rank of the low-rank factors: so many components are taken of those that {@link #factors()} has, or all if they
   * are fewer. In JSON {@code compression_rank}. Default: 8.
   *
   * @return at least 0; 0 uses none
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
    factors().ifPresent(file -> json.addProperty(FACTORS, file.toString()));
    return json;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof LayerCompressionConfig)) {
      return false;
    }
    LayerCompressionConfig that = (LayerCompressionConfig) other;
    return compressionRank == that.compressionRank && hotPathIndices.equals(that.hotPathIndices)
        && Objects.equals(factors, that.factors);
  }

  @Override
  public int hashCode() {
    return Objects.hash(compressionRank, hotPathIndices, factors);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects a {@link LayerCompressionConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private int compressionRank = 8;
    private List<Integer> hotPathIndices = Collections.emptyList();
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
      if (factors != null && !factors.getFileSystem().equals(FileSystems.getDefault())) {
        throw ConfigReader.error(PATH + "." + FACTORS, factors + " is not on the default file system");
      }
      return new LayerCompressionConfig(this);
    }
  }
}
