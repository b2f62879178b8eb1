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
  private static final String EVICTION = "eviction_enabled";
  private static final String RECENT = "recent_window";
  private static final String PINNED = "pinned_prefix";

  private final int maxMemoryMb;
  private final int pageSize;
  private final boolean quantizationEnabled;
  private final boolean evictionEnabled;
  private final int recentWindow;
  private final int pinnedPrefix;

  private MemoryManagerConfig(Builder b) {
    maxMemoryMb = b.maxMemoryMb;
    pageSize = b.pageSize;
    quantizationEnabled = b.quantizationEnabled;
    evictionEnabled = b.evictionEnabled;
    recentWindow = b.recentWindow;
    pinnedPrefix = b.pinnedPrefix;
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
    return new Builder()
        .maxMemoryMb(maxMemoryMb)
        .pageSize(pageSize)
        .quantizationEnabled(quantizationEnabled)
        .evictionEnabled(evictionEnabled)
        .recentWindow(recentWindow)
        .pinnedPrefix(pinnedPrefix);
  }

  /**
   * The budget of the pages, which their keys, values and tables never exceed. When it is full, older pages are
   * quantised at once, then evicted if that is allowed, then a call that needs more fails with CONTEXT_FULL. In JSON
   * {@code max_memory_mb}. Default: 512.
   *
   * @return megabytes (2^20 bytes), above 0
   */
  public int maxMemoryMb() {
    return maxMemoryMb;
  }

  /**
   * How many tokens a page holds. In JSON {@code page_size}. Larger pages take fewer bytes for their scales; smaller ones are given up in finer steps. Default: 32.
   *
   * @return 16, 32 or 64
   */
  public int pageSize() {
    return pageSize;
  }

  /**
   * Whether pages older than the recent window are kept in 4 bits per element. In JSON {@code quantization_enabled}.
   * Default: true.
   *
   * @return true if they are
   */
  public boolean quantizationEnabled() {
    return quantizationEnabled;
  }

  /**
   * Whether the oldest pages may be forgotten when the budget is full, so that a conversation goes on without them. In
   * JSON {@code eviction_enabled}. Default: false.
   *
   * @return true if they may
   */
  public boolean evictionEnabled() {
    return evictionEnabled;
  }

  /**
   * How many of the newest tokens stay as stored while the budget allows, and are never evicted. In JSON {@code
   * recent_window}. Default: 128.
   *
   * @return tokens, from 0
   */
  public int recentWindow() {
    return recentWindow;
  }

  /**
   * How many of the first tokens are treated as the recent window is: attention sinks, or a system prompt. In JSON
   * {@code pinned_prefix}. Default: 16.
   *
   * @return tokens, from 0
   */
  public int pinnedPrefix() {
    return pinnedPrefix;
  }

  static MemoryManagerConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(MEMORY, (r, p) -> b.maxMemoryMb(r.integer(p)));
    fields.put(PAGE, (r, p) -> b.pageSize(r.integer(p)));
    fields.put(QUANTIZATION, (r, p) -> b.quantizationEnabled(r.flag(p)));
    fields.put(EVICTION, (r, p) -> b.evictionEnabled(r.flag(p)));
    fields.put(RECENT, (r, p) -> b.recentWindow(r.integer(p)));
    fields.put(PINNED, (r, p) -> b.pinnedPrefix(r.integer(p)));
    reader.object(path, fields);
    return b.build();
  }

  JsonObject toJson() {
    JsonObject json = new JsonObject();
    json.addProperty(MEMORY, maxMemoryMb);
    json.addProperty(PAGE, pageSize);
    json.addProperty(QUANTIZATION, quantizationEnabled);
    json.addProperty(EVICTION, evictionEnabled);
    json.addProperty(RECENT, recentWindow);
    json.addProperty(PINNED, pinnedPrefix);
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
        && quantizationEnabled == that.quantizationEnabled
        && evictionEnabled == that.evictionEnabled
        && recentWindow == that.recentWindow
        && pinnedPrefix == that.pinnedPrefix;
  }

  @Override
  public int hashCode() {
    return Objects.hash(maxMemoryMb, pageSize, quantizationEnabled, evictionEnabled, recentWindow, pinnedPrefix);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects a {@link MemoryManagerConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private static final int MAX_TOKENS = 1 << 27;

    private int maxMemoryMb = 512;
    private int pageSize = 32;
    private boolean quantizationEnabled = true;
    private boolean evictionEnabled;
    private int recentWindow = 128;
    private int pinnedPrefix = 16;

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
     * Sets {@link MemoryManagerConfig#evictionEnabled()}.
     *
     * @param evictionEnabled true to let the oldest pages be forgotten
     * @return this
     */
    public Builder evictionEnabled(boolean evictionEnabled) {
      this.evictionEnabled = evictionEnabled;
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#recentWindow()}.
     *
     * @param recentWindow tokens, from 0 to 134217728
     * @return this
     */
    public Builder recentWindow(int recentWindow) {
      this.recentWindow = recentWindow;
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#pinnedPrefix()}.
     *
     * @param pinnedPrefix tokens, from 0 to 134217728
     * @return this
     */
    public Builder pinnedPrefix(int pinnedPrefix) {
      this.pinnedPrefix = pinnedPrefix;
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
      checkTokens(RECENT, recentWindow);
      checkTokens(PINNED, pinnedPrefix);
      return new MemoryManagerConfig(this);
    }

    private static void checkTokens(String key, int tokens) {
      if (tokens < 0 || tokens > MAX_TOKENS) {
        throw ConfigReader.error(PATH + "." + key, "must be from 0 to " + MAX_TOKENS + ", but is " + tokens);
      }
    }
  }
}
