package io.github.llmmobile.config;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The paged, quantised cache of keys and values: {@code memory_manager_config}.
 *
 * <p>A session that runs into its budget gives way in this order: older pages are quantised at once, then further; then
 * they go to the spill file; then they are evicted; then recent and pinned ones are quantised. What is not allowed is
 * left out. Only then a call fails with CONTEXT_FULL.
 */
public final class MemoryManagerConfig {
  static final String PATH = "memory_manager_config";
  private static final String MEMORY = "max_memory_mb";
  private static final String PAGE = "page_size";
  private static final String QUANTIZATION = "quantization_enabled";
  private static final String SMALLEST = "smallest_tier";
  private static final String PROBE = "probe_enabled";
  private static final String SPILL = "spill_directory";
  private static final String EVICTION = "eviction_enabled";
  private static final String RECENT = "recent_window";
  private static final String PINNED = "pinned_prefix";
  private static final String EXACT = "exact_attention";
  private static final String CACHE = "cache_directory";

  private final int maxMemoryMb;
  private final int pageSize;
  private final boolean quantizationEnabled;
  private final boolean smallestTier;
  private final boolean probeEnabled;
  private final @Nullable Path spillDirectory;
  private final boolean evictionEnabled;
  private final int recentWindow;
  private final int pinnedPrefix;
  private final boolean exactAttention;
  private final @Nullable Path cacheDirectory;

  private MemoryManagerConfig(Builder b) {
    maxMemoryMb = b.maxMemoryMb;
    pageSize = b.pageSize;
    quantizationEnabled = b.quantizationEnabled;
    smallestTier = b.smallestTier;
    probeEnabled = b.probeEnabled;
    spillDirectory = b.spillDirectory;
    evictionEnabled = b.evictionEnabled;
    recentWindow = b.recentWindow;
    pinnedPrefix = b.pinnedPrefix;
    exactAttention = b.exactAttention;
    cacheDirectory = b.cacheDirectory;
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
    b.maxMemoryMb = maxMemoryMb;
    b.pageSize = pageSize;
    b.quantizationEnabled = quantizationEnabled;
    b.smallestTier = smallestTier;
    b.probeEnabled = probeEnabled;
    b.spillDirectory = spillDirectory;
    b.evictionEnabled = evictionEnabled;
    b.recentWindow = recentWindow;
    b.pinnedPrefix = pinnedPrefix;
    b.exactAttention = exactAttention;
    b.cacheDirectory = cacheDirectory;
    return b;
  }

  /**
   * The budget of the pages, which their keys, values, tables and buffers never exceed. A session can be given another
   * one while it lives. In JSON {@code max_memory_mb}. Default: 512.
   *
   * @return megabytes (2^20 bytes), above 0
   */
  public int maxMemoryMb() {
    return maxMemoryMb;
  }

  /**
   * How many tokens a page holds. In JSON {@code page_size}. Larger pages take fewer bytes for their scales; smaller
   * ones are given up in finer steps. Default: 32.
   *
   * @return 16, 32 or 64
   */
  public int pageSize() {
    return pageSize;
  }

  /**
   * Whether pages older than the recent window are kept in 4 bits per element, and their values in 2 bits where the
   * budget presses. In JSON {@code quantization_enabled}. Default: true.
   *
   * @return true if they are
   */
  public boolean quantizationEnabled() {
    return quantizationEnabled;
  }

  /**
   * Whether pages older than the recent window take the smallest format at once, whatever the budget: keys in 4 bits,
   * values in 2. Needs {@link #quantizationEnabled()}. In JSON {@code smallest_tier}. Default: false.
   *
   * @return true if they do
   */
  public boolean smallestTier() {
    return smallestTier;
  }

  /**
   * Whether a model is tried before it gets quantised pages for the first time. Formats that change its predictions too
   * much are then not used, which the technique's report says. The trial takes as long as reading a prompt of about 1500
   * tokens; {@link #cacheDirectory()} keeps its outcome. In JSON {@code probe_enabled}. Default: true.
   *
   * @return true if it is; false to take what is configured
   */
  public boolean probeEnabled() {
    return probeEnabled;
  }

  /**
   * The folder of the spill file, which takes the pages that do not fit the budget: nothing is forgotten, but each step
   * reads them. The folder is made if it is missing; the file goes with its session. In JSON {@code spill_directory}.
   * Default: none.
   *
   * @return the folder, if there is one (never null)
   */
  public Optional<Path> spillDirectory() {
    return Optional.ofNullable(spillDirectory);
  }

  /**
   * Whether the pages that attention has used least may be forgotten when the budget or the context is full. The history
   * may then grow past the context, and a conversation has no end. In JSON {@code eviction_enabled}. Default: false.
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

  /**
   * Whether pages are copied into llama.cpp's layout for each step, so that its own attention runs: the bits are those
   * of a session without pages as long as nothing is quantised or evicted. For comparisons; slow. In JSON {@code
   * exact_attention}. Default: false.
   *
   * @return true if they are
   */
  public boolean exactAttention() {
    return exactAttention;
  }

  /**
   * The folder that keeps what was found out about models, in small files. In JSON {@code cache_directory}. Default:
   * none, which is the folder of the system property {@code llmm.cachedir}, else of the variables {@code
   * LLMM_CACHE_DIR} or {@code XDG_CACHE_HOME}, else {@code .cache/llm-mobile} at home. Android knows no such folder:
   * apps give one, such as {@code Context.getCacheDir()}, or each loaded model is tried anew.
   *
   * @return the folder, if there is one (never null)
   */
  public Optional<Path> cacheDirectory() {
    return Optional.ofNullable(cacheDirectory);
  }

  static MemoryManagerConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(MEMORY, (r, p) -> b.maxMemoryMb(r.integer(p)));
    fields.put(PAGE, (r, p) -> b.pageSize(r.integer(p)));
    fields.put(QUANTIZATION, (r, p) -> b.quantizationEnabled(r.flag(p)));
    fields.put(SMALLEST, (r, p) -> b.smallestTier(r.flag(p)));
    fields.put(PROBE, (r, p) -> b.probeEnabled(r.flag(p)));
    fields.put(SPILL, (r, p) -> b.spillDirectory(r.path(p)));
    fields.put(EVICTION, (r, p) -> b.evictionEnabled(r.flag(p)));
    fields.put(RECENT, (r, p) -> b.recentWindow(r.integer(p)));
    fields.put(PINNED, (r, p) -> b.pinnedPrefix(r.integer(p)));
    fields.put(EXACT, (r, p) -> b.exactAttention(r.flag(p)));
    fields.put(CACHE, (r, p) -> b.cacheDirectory(r.path(p)));
    reader.object(path, fields);
    return b.build();
  }

  JsonObject toJson() {
    JsonObject json = new JsonObject();
    json.addProperty(MEMORY, maxMemoryMb);
    json.addProperty(PAGE, pageSize);
    json.addProperty(QUANTIZATION, quantizationEnabled);
    json.addProperty(SMALLEST, smallestTier);
    json.addProperty(PROBE, probeEnabled);
    spillDirectory().ifPresent(folder -> json.addProperty(SPILL, folder.toString()));
    json.addProperty(EVICTION, evictionEnabled);
    json.addProperty(RECENT, recentWindow);
    json.addProperty(PINNED, pinnedPrefix);
    json.addProperty(EXACT, exactAttention);
    cacheDirectory().ifPresent(folder -> json.addProperty(CACHE, folder.toString()));
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
        && smallestTier == that.smallestTier
        && probeEnabled == that.probeEnabled
        && Objects.equals(spillDirectory, that.spillDirectory)
        && evictionEnabled == that.evictionEnabled
        && recentWindow == that.recentWindow
        && pinnedPrefix == that.pinnedPrefix
        && exactAttention == that.exactAttention
        && Objects.equals(cacheDirectory, that.cacheDirectory);
  }

  @Override
  public int hashCode() {
    return Objects.hash(maxMemoryMb, pageSize, quantizationEnabled, smallestTier, probeEnabled, spillDirectory,
        evictionEnabled, recentWindow, pinnedPrefix, exactAttention, cacheDirectory);
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
    private boolean smallestTier;
    private boolean probeEnabled = true;
    private @Nullable Path spillDirectory;
    private boolean evictionEnabled;
    private int recentWindow = 128;
    private int pinnedPrefix = 16;
    private boolean exactAttention;
    private @Nullable Path cacheDirectory;

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
     * Sets {@link MemoryManagerConfig#smallestTier()}.
     *
     * @param smallestTier true to keep older pages in the smallest format
     * @return this
     */
    public Builder smallestTier(boolean smallestTier) {
      this.smallestTier = smallestTier;
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#probeEnabled()}.
     *
     * @param probeEnabled true to try what quantised pages do to the model
     * @return this
     */
    public Builder probeEnabled(boolean probeEnabled) {
      this.probeEnabled = probeEnabled;
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#spillDirectory()}.
     *
     * @param spillDirectory a folder, which need not exist (required)
     * @return this
     */
    public Builder spillDirectory(Path spillDirectory) {
      this.spillDirectory = Objects.requireNonNull(spillDirectory, "spillDirectory");
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#evictionEnabled()}.
     *
     * @param evictionEnabled true to let the least used pages be forgotten
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
     * Sets {@link MemoryManagerConfig#exactAttention()}.
     *
     * @param exactAttention true to let llama.cpp's attention run
     * @return this
     */
    public Builder exactAttention(boolean exactAttention) {
      this.exactAttention = exactAttention;
      return this;
    }

    /**
     * Sets {@link MemoryManagerConfig#cacheDirectory()}.
     *
     * @param cacheDirectory a folder, which need not exist (required)
     * @return this
     */
    public Builder cacheDirectory(Path cacheDirectory) {
      this.cacheDirectory = Objects.requireNonNull(cacheDirectory, "cacheDirectory");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the section (never null)
     * @throws io.github.llmmobile.LlmException CONFIG if a value is outside its range or contradicts another
     */
    public MemoryManagerConfig build() {
      if (maxMemoryMb <= 0) {
        throw ConfigReader.error(PATH + "." + MEMORY, "must be above 0, but is " + maxMemoryMb);
      }
      if (pageSize != 16 && pageSize != 32 && pageSize != 64) {
        throw ConfigReader.error(PATH + "." + PAGE, "must be 16, 32 or 64, but is " + pageSize);
      }
      if (smallestTier && !quantizationEnabled) {
        throw ConfigReader.error(PATH + "." + SMALLEST, "needs " + QUANTIZATION);
      }
      checkFolder(SPILL, spillDirectory);
      checkFolder(CACHE, cacheDirectory);
      checkTokens(RECENT, recentWindow);
      checkTokens(PINNED, pinnedPrefix);
      return new MemoryManagerConfig(this);
    }

    private static void checkFolder(String key, @Nullable Path folder) {
      // Native code opens files there, and knows no other file system.
      if (folder != null && !folder.getFileSystem().equals(FileSystems.getDefault())) {
        throw ConfigReader.error(PATH + "." + key, folder + " is not on the default file system");
      }
    }

    private static void checkTokens(String key, int tokens) {
      if (tokens < 0 || tokens > MAX_TOKENS) {
        throw ConfigReader.error(PATH + "." + key, "must be from 0 to " + MAX_TOKENS + ", but is " + tokens);
      }
    }
  }
}
