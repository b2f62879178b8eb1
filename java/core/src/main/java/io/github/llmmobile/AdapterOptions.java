package io.github.llmmobile;

/** How a LoRA adapter is opened. */
public final class AdapterOptions {
  private static final AdapterOptions DEFAULTS = builder().build();

  private final int rank;
  private final boolean exact;

  private AdapterOptions(Builder b) {
    rank = b.rank;
    exact = b.exact;
  }

  /**
   * The defaults.
   *
   * @return the options (never null)
   */
  public static AdapterOptions defaults() {
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
    return new Builder().rank(rank).exact(exact);
  }

  /**
   * How many components of each product are taken, from the first on; all where a matrix has fewer. Files of {@code
   * llm-mobile compress} have the components that do most first. The adapter's strength stays what it is with the
   * whole file. Default: 0, all.
   *
   * @return at least 0
   */
  public int rank() {
    return rank;
  }

  /**
   * Whether llama.cpp's own nodes apply the adapter: its results bit for bit, at four nodes for each matrix. Otherwise
   * one node of this library's does, in f32, which is faster; the results differ in their rounding. Default: false.
   *
   * @return true for llama.cpp's
   */
  public boolean exact() {
    return exact;
  }

  @Override
  public String toString() {
    return "AdapterOptions[rank=" + rank + ", exact=" + exact + "]";
  }

  /** Collects {@link AdapterOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private int rank;
    private boolean exact;

    private Builder() {}

    /**
     * Sets {@link AdapterOptions#rank()}.
     *
     * @param rank at least 0
     * @return this
     */
    public Builder rank(int rank) {
      this.rank = rank;
      return this;
    }

    /**
     * Sets {@link AdapterOptions#exact()}. Not together with a rank.
     *
     * @param exact true for llama.cpp's nodes
     * @return this
     */
    public Builder exact(boolean exact) {
      this.exact = exact;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException RANGE if the rank is negative; INVALID_ARGUMENT if there is a rank and exact
     */
    public AdapterOptions build() {
      Checks.between("rank", rank, 0, Integer.MAX_VALUE);
      if (exact && rank > 0) {
        throw Checks.invalid("rank", "must be 0 for an exact adapter, but is " + rank);
      }
      return new AdapterOptions(this);
    }
  }
}
