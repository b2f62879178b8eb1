package io.github.llmmobile;

import java.util.Objects;

/** How a text becomes a vector. */
public final class EmbeddingOptions {
  private static final EmbeddingOptions DEFAULTS = builder().build();

  private final Pooling pooling;
  private final boolean normalize;
  private final int threads;

  private EmbeddingOptions(Builder b) {
    pooling = b.pooling;
    normalize = b.normalize;
    threads = b.threads;
  }

  /**
   * The defaults.
   *
   * @return the options (never null)
   */
  public static EmbeddingOptions defaults() {
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
    return new Builder().pooling(pooling).normalize(normalize).threads(threads);
  }

  /**
   * How the tokens' hidden states become one vector. Default: {@link Pooling#MEAN}.
   *
   * @return the pooling (never null)
   */
  public Pooling pooling() {
    return pooling;
  }

  /**
   * Whether the vector is scaled to Euclidean length 1, so that a dot product is a cosine. Default: true.
   *
   * @return true to scale it
   */
  public boolean normalize() {
    return normalize;
  }

  /**
   * Threads. Default: 0, one per physical core.
   *
   * @return from 0 to 512
   */
  public int threads() {
    return threads;
  }

  @Override
  public String toString() {
    return "EmbeddingOptions[pooling=" + pooling + ", normalize=" + normalize + ", threads=" + threads + "]";
  }

  /** Collects {@link EmbeddingOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private Pooling pooling = Pooling.MEAN;
    private boolean normalize = true;
    private int threads;

    private Builder() {}

    /**
     * Sets {@link EmbeddingOptions#pooling()}.
     *
     * @param pooling the pooling (required)
     * @return this
     */
    public Builder pooling(Pooling pooling) {
      this.pooling = Objects.requireNonNull(pooling, "pooling");
      return this;
    }

    /**
     * Sets {@link EmbeddingOptions#normalize()}.
     *
     * @param normalize true to scale the vector to length 1
     * @return this
     */
    public Builder normalize(boolean normalize) {
      this.normalize = normalize;
      return this;
    }

    /**
     * Sets {@link EmbeddingOptions#threads()}.
     *
     * @param threads from 0 to 512
     * @return this
     */
    public Builder threads(int threads) {
      this.threads = threads;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException RANGE if a value is outside its range
     */
    public EmbeddingOptions build() {
      Checks.between("threads", threads, 0, 512);
      return new EmbeddingOptions(this);
    }
  }
}
