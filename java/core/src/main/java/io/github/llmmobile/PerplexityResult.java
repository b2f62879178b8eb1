package io.github.llmmobile;

/** How well a model predicts a text. The last three values are NaN without {@link PerplexityOptions#againstPath()}. */
public final class PerplexityResult {
  private final int scoredTokens;
  private final double perplexity;
  private final double standardError;
  private final double klMean;
  private final double klP99;
  private final double top1Agreement;

  PerplexityResult(
      int scoredTokens, double perplexity, double standardError, double klMean, double klP99, double top1Agreement) {
    this.scoredTokens = scoredTokens;
    this.perplexity = perplexity;
    this.standardError = standardError;
    this.klMean = klMean;
    this.klP99 = klP99;
    this.top1Agreement = top1Agreement;
  }

  /**
   * How many tokens were scored: the second half of each window.
   *
   * @return a count
   */
  public int scoredTokens() {
    return scoredTokens;
  }

  /**
   * The exponential of the mean negative log-probability of the scored tokens. Lower is better.
   *
   * @return at least 1
   */
  public double perplexity() {
    return perplexity;
  }

  /**
   * The standard error of {@link #perplexity()}.
   *
   * @return in the unit of the perplexity
   */
  public double standardError() {
    return standardError;
  }

  /**
   * The mean Kullback-Leibler divergence of this run from the base.
   *
   * @return in nats, or NaN
   */
  public double klMean() {
    return klMean;
  }

  /**
   * The 99th percentile of the Kullback-Leibler divergence.
   *
   * @return in nats, or NaN
   */
  public double klP99() {
    return klP99;
  }

  /**
   * The share of positions at which both runs find the same token most probable.
   *
   * @return from 0 to 1, or NaN
   */
  public double top1Agreement() {
    return top1Agreement;
  }

  @Override
  public String toString() {
    return "PerplexityResult[scoredTokens=" + scoredTokens + ", perplexity=" + perplexity + ", standardError="
        + standardError + ", klMean=" + klMean + ", klP99=" + klP99 + ", top1Agreement=" + top1Agreement + "]";
  }
}
