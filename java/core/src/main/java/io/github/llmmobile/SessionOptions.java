package io.github.llmmobile;

import java.util.Objects;

/** How a session is set up. */
public final class SessionOptions {
  private static final SessionOptions DEFAULTS = builder().build();

  private final int contextTokens;
  private final int batchTokens;
  private final int threads;
  private final int batchThreads;
  private final FlashAttention flashAttention;
  private final LayerRange layers;

  private SessionOptions(Builder b) {
    contextTokens = b.contextTokens;
    batchTokens = b.batchTokens;
    threads = b.threads;
    batchThreads = b.batchThreads;
    flashAttention = b.flashAttention;
    layers = b.layers;
  }

  /**
   * The defaults.
   *
   * @return the options (never null)
   */
  public static SessionOptions defaults() {
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
    return new Builder()
        .contextTokens(contextTokens)
        .batchTokens(batchTokens)
        .threads(threads)
        .batchThreads(batchThreads)
        .flashAttention(flashAttention)
        .layers(layers);
  }

  /**
   * Tokens that the session can hold, prompt and answer together. The library rounds them up to a multiple of 256.
   * Default: 0, which is the smaller of 4096 and what the model was trained for.
   *
   * @return at least 0
   */
  public int contextTokens() {
    return contextTokens;
  }

  /**
   * Tokens per step of reading a prompt: larger steps are faster and need more working memory; progress and
   * interruption come between steps. Default: 512.
   *
   * @return from 1 to 4096
   */
  public int batchTokens() {
    return batchTokens;
  }

  /**
   * Threads for decoding. Default: 0, one per physical core.
   *
   * @return from 0 to 512
   */
  public int threads() {
    return threads;
  }

  /**
   * Threads for reading prompts. Default: 0, as {@link #threads()}.
   *
   * @return from 0 to 512
   */
  public int batchThreads() {
    return batchThreads;
  }

  /**
   * The attention kernel. Default: {@link FlashAttention#AUTO}.
   *
   * @return the choice (never null)
   */
  public FlashAttention flashAttention() {
    return flashAttention;
  }

  /**
   * The layers that the session evaluates, of those that the model was loaded with. With fewer than the model has, the
   * session takes and gives hidden states: {@link LlmSession#evalHidden}. Default: {@link LayerRange#ALL}.
   *
   * @return the layers (never null)
   */
  public LayerRange layers() {
    return layers;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof SessionOptions)) {
      return false;
    }
    SessionOptions that = (SessionOptions) other;
    return contextTokens == that.contextTokens
        && batchTokens == that.batchTokens
        && threads == that.threads
        && batchThreads == that.batchThreads
        && flashAttention == that.flashAttention
        && layers.equals(that.layers);
  }

  @Override
  public int hashCode() {
    return Objects.hash(contextTokens, batchTokens, threads, batchThreads, flashAttention, layers);
  }

  @Override
  public String toString() {
    return "SessionOptions[contextTokens=" + contextTokens + ", batchTokens=" + batchTokens + ", threads=" + threads
        + ", batchThreads=" + batchThreads + ", flashAttention=" + flashAttention + ", layers=" + layers + "]";
  }

  /** Collects {@link SessionOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private static final int MAX_CONTEXT = 1 << 27;
    private static final int MAX_BATCH = 4096;
    private static final int MAX_THREADS = 512;

    private int contextTokens;
    private int batchTokens = 512;
    private int threads;
    private int batchThreads;
    private FlashAttention flashAttention = FlashAttention.AUTO;
    private LayerRange layers = LayerRange.ALL;

    private Builder() {}

    /**
     * Sets {@link SessionOptions#contextTokens()}.
     *
     * @param contextTokens from 0 to 134217728
     * @return this
     */
    public Builder contextTokens(int contextTokens) {
      this.contextTokens = contextTokens;
      return this;
    }

    /**
     * Sets {@link SessionOptions#batchTokens()}.
     *
     * @param batchTokens from 1 to 4096
     * @return this
     */
    public Builder batchTokens(int batchTokens) {
      this.batchTokens = batchTokens;
      return this;
    }

    /**
     * Sets {@link SessionOptions#threads()}.
     *
     * @param threads from 0 to 512
     * @return this
     */
    public Builder threads(int threads) {
      this.threads = threads;
      return this;
    }

    /**
     * Sets {@link SessionOptions#batchThreads()}.
     *
     * @param batchThreads from 0 to 512
     * @return this
     */
    public Builder batchThreads(int batchThreads) {
      this.batchThreads = batchThreads;
      return this;
    }

    /**
     * Sets {@link SessionOptions#flashAttention()}.
     *
     * @param flashAttention the choice (required)
     * @return this
     */
    public Builder flashAttention(FlashAttention flashAttention) {
      this.flashAttention = Objects.requireNonNull(flashAttention, "flashAttention");
      return this;
    }

    /**
     * Sets {@link SessionOptions#layers()}.
     *
     * @param layers the layers (required)
     * @return this
     */
    public Builder layers(LayerRange layers) {
      this.layers = Objects.requireNonNull(layers, "layers");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException RANGE if a value is outside its range
     */
    public SessionOptions build() {
      Checks.between("contextTokens", contextTokens, 0, MAX_CONTEXT);
      Checks.between("batchTokens", batchTokens, 1, MAX_BATCH);
      Checks.between("threads", threads, 0, MAX_THREADS);
      Checks.between("batchThreads", batchThreads, 0, MAX_THREADS);
      return new SessionOptions(this);
    }
  }
}
