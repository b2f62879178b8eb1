package io.github.llmmobile;

import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** How {@link LlmSession#perplexity} measures. */
public final class PerplexityOptions {
  private static final PerplexityOptions DEFAULTS = builder().build();

  private final int contextTokens;
  private final int chunks;
  private final int decodeTokens;
  private final @Nullable Path savePath;
  private final @Nullable Path againstPath;
  private final @Nullable ProgressListener progress;

  private PerplexityOptions(Builder b) {
    contextTokens = b.contextTokens;
    chunks = b.chunks;
    decodeTokens = b.decodeTokens;
    savePath = b.savePath;
    againstPath = b.againstPath;
    progress = b.progress;
  }

  /**
   * The defaults.
   *
   * @return the options (never null)
   */
  public static PerplexityOptions defaults() {
    return DEFAULTS;
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
   * Starts from these options.
   *
   * @return a builder with the same values (never null)
   */
  public Builder toBuilder() {
    Builder b = new Builder().contextTokens(contextTokens).chunks(chunks).decodeTokens(decodeTokens);
    b.savePath = savePath;
    b.againstPath = againstPath;
    b.progress = progress;
    return b;
  }

  /**
   * Tokens of a window. Default: 0, the session's context.
   *
   * @return at least 0
   */
  public int contextTokens() {
    return contextTokens;
  }

  /**
   * How many windows are scored, from the start. Default: -1, all that the tokens fill.
   *
   * @return -1, or at least 1
   */
  public int chunks() {
    return chunks;
  }

  /**
   * How many last tokens of each window are evaluated one by one, as when generating, and scored. Default: 0, windows
   * are read in batches and their second half is scored.
   *
   * @return from 0 to less than the length of a window
   */
  public int decodeTokens() {
    return decodeTokens;
  }

  /**
   * Where the log-probabilities of every scored position go, for a later comparison. Default: nowhere.
   *
   * @return the file (never null)
   */
  public Optional<Path> savePath() {
    return Optional.ofNullable(savePath);
  }

  /**
   * A file of {@link #savePath()} over the same tokens and windows to compare with. Default: none.
   *
   * @return the file (never null)
   */
  public Optional<Path> againstPath() {
    return Optional.ofNullable(againstPath);
  }

  /**
   * Who hears how far the measurement has come, and may cancel it. Default: nobody.
   *
   * @return the listener (never null)
   */
  public Optional<ProgressListener> progress() {
    return Optional.ofNullable(progress);
  }

  @Override
  public String toString() {
    return "PerplexityOptions[contextTokens=" + contextTokens + ", chunks=" + chunks + ", decodeTokens="
        + decodeTokens + ", savePath=" + savePath + ", againstPath=" + againstPath + "]";
  }

  /** Collects {@link PerplexityOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private int contextTokens;
    private int chunks = -1;
    private int decodeTokens;
    private @Nullable Path savePath;
    private @Nullable Path againstPath;
    private @Nullable ProgressListener progress;

    private Builder() {}

    /**
     * Sets {@link PerplexityOptions#contextTokens()}.
     *
     * @param contextTokens tokens of a window, or 0
     * @return this
     */
    public Builder contextTokens(int contextTokens) {
      this.contextTokens = contextTokens;
      return this;
    }

    /**
     * Sets {@link PerplexityOptions#chunks()}.
     *
     * @param chunks windows, or -1
     * @return this
     */
    public Builder chunks(int chunks) {
      this.chunks = chunks;
      return this;
    }

    /**
     * Sets {@link PerplexityOptions#decodeTokens()}.
     *
     * @param decodeTokens tokens, or 0
     * @return this
     */
    public Builder decodeTokens(int decodeTokens) {
      this.decodeTokens = decodeTokens;
      return this;
    }

    /**
     * Sets {@link PerplexityOptions#savePath()}.
     *
     * @param savePath the file to write (required)
     * @return this
     */
    public Builder savePath(Path savePath) {
      this.savePath = Objects.requireNonNull(savePath, "savePath");
      return this;
    }

    /**
     * Sets {@link PerplexityOptions#againstPath()}.
     *
     * @param againstPath the file to read (required)
     * @return this
     */
    public Builder againstPath(Path againstPath) {
      this.againstPath = Objects.requireNonNull(againstPath, "againstPath");
      return this;
    }

    /**
     * Sets {@link PerplexityOptions#progress()}.
     *
     * @param progress the listener (required)
     * @return this
     */
    public Builder progress(ProgressListener progress) {
      this.progress = Objects.requireNonNull(progress, "progress");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException RANGE if a value is outside its range
     */
    public PerplexityOptions build() {
      Checks.atLeast("contextTokens", contextTokens, 0);
      if (chunks < 1 && chunks != -1) {
        throw Checks.range("chunks", chunks, "must be -1 or at least 1");
      }
      Checks.atLeast("decodeTokens", decodeTokens, 0);
      return new PerplexityOptions(this);
    }
  }
}
