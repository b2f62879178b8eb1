package io.github.llmmobile.config;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** The paged, quantised cache of keys and values: {@code memory_manager_config}. */
public final class MemoryManagerConfig {
  static final String PATH = "memory_manager_config";
  private static final String MEMORY = "max_memory_mb";
  private static final String PAGE = "page_size";
  private static final String QUANTIZATION = "quantization_enabled";

  private final int maxMemoryMb;
  private final int pageSize;
  private final boolean quantizationEnabled;

  private MemoryManagerConfig(Builder b) {
    maxMemoryMb = b.maxMemoryMb;
    pageSize = b.pageSize;
    quantizationEnabled = b.quantizationEnabled;
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
    return new Builder().maxMemoryMb(maxMemoryMb).pageSize(pageSize).quantizationEnabled(quantizationEnabled);
  }

  /**
   * The budget of the cache. In JSON {@code max_memory_mb}. Default: 512.
   *
   * @return megabytes (2^20 bytes), above 0
   */
  public int maxMemoryMb() {
    return maxMemoryMb;
  }

  /**
   * How many tokens a page holds. In JSON {@code page_size}. Default: 16.
   *
   * @return 16, 32 or 64
   */
  public int pageSize() {
    return pageSize;
  }

  /**
   * Whether older pages are kept in fewer bits. In JSON {@code quantization_enabled}. Default: true.
   *
   * @return true if they are
   */
  public boolean quantizationEnabled() {
    return quantizationEnabled;
  }

  static MemoryManagerConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(MEMORY, (r, p) -> b.maxMemoryMb(r.integer(p)));
    fields.put(PAGE, (r, p) -> b.pageSize(r.integer(p)));
    fields.put(QUANTIZATION, (r, p) -> b.quantizationEnabled(r.flag(p)));
    reader.object(path, fields);
    return b.build();
  }

  JsonObject toJson() {
    JsonObject json = new JsonObject();
    json.addProperty(MEMORY, maxMemoryMb);
    json.addProperty(PAGE, pageSize);
    json.addProperty(QUANTIZATION, quantizationEnabled);
    return json;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof MemoryManagerConfig)) {
      return false;
    }
    MemoryManagerConfig that = (MemoryManagerConfig) other;
    return maxMemoryMb == that.maxMemoryMb
        && pageSize == that.pageSize
        && quantizationEnabled == that.quantizationEnabled;
  }

  @Override
  public int hashCode() {
    return Objects.hash(maxMemoryMb, pageSize, quantizationEnabled);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects a {@link MemoryManagerConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private int maxMemoryMb = 512;
    private int pageSize = 16;
    private boolean quantizationEnabled = true;

    private Builder() {}

    /**
     * Sets {@link MemoryManagerConfig#maxMemoryMb()}.
     *
     * @param maxMemoryMb megabytes, above 0
     * @return this
     */
    public Builder maxMemoryMb(int maxMemoryMb) {
      this.maxMemoryMb = maxMemoryMb;
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#pageSize()}.
     *
     * @param pageSize 16, 32 or 64
     * @return this
     */
    public Builder pageSize(int pageSize) {
      this.pageSize = pageSize;
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#quantizationEnabled()}.
     *
     * @param quantizationEnabled true to keep older pages in fewer bits
     * @return this
     */
    public Builder quantizationEnabled(boolean quantizationEnabled) {
      this.quantizationEnabled = quantizationEnabled;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the section (never null)
     * @throws io.github.llmmobile.LlmException CONFIG if a value is outside its range
     */
    public MemoryManagerConfig build() {
      if (maxMemoryMb <= 0) {
        throw ConfigReader.error(PATH + "." + MEMORY, "must be above 0, but is " + maxMemoryMb);
      }
      if (pageSize != 16 && pageSize != 32 && pageSize != 64) {
        throw ConfigReader.error(PATH + "." + PAGE, "must be 16, 32 or 64, but is " + pageSize);
      }
      return new MemoryManagerConfig(this);
    }
  }
}
