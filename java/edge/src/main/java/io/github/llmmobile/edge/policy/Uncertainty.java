package io.github.llmmobile.edge.policy;

/** Measures of how unsure a model is of the next token: 0 is sure, 1 knows nothing. */
public enum Uncertainty {
  /** 1 - p1: how improbable it is that the most probable token is right. */
  TOP1,
  /** 1 - (p1 - p2): how near the second most probable token comes. */
  MARGIN,
  /** H / ln V: entropy, by that of a model that knows nothing. Needs the whole distribution. */
  ENTROPY;

  /**
   * Of {@link #TOP1} or {@link #MARGIN}, from the two largest log-probabilities.
   *
   * @param logprob1 of the most probable token, at most 0
   * @param logprob2 of the second, at most {@code logprob1}; negative infinity if there is none
   * @return from 0 to 1
   * @throws IllegalStateException if this measure needs more than two
   */
  public double of(double logprob1, double logprob2) {
    switch (this) {
      case TOP1:
        return clip(1 - Math.exp(logprob1));
      case MARGIN:
        return clip(1 - (Math.exp(logprob1) - Math.exp(logprob2)));
      default:
        throw new IllegalStateException(this + " needs the whole distribution");
    }
  }

  /**
   * From the logits of the whole vocabulary.
   *
   * @param logits at least two numbers (required)
   * @return from 0 to 1
   */
  public double of(float[] logits) {
    double largest = Double.NEGATIVE_INFINITY;
    double second = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      if (logit > largest) {
        second = largest;
        largest = logit;
      } else if (logit > second) {
        second = logit;
      }
    }
    double sum = 0;
    double weighted = 0;
    for (float logit : logits) {
      double below = logit - largest;
      double p = Math.exp(below);
      sum += p;
      if (p > 0) {
        weighted += p * below;
      }
    }
    double logSum = Math.log(sum);
    if (this != ENTROPY) {
      return of(-logSum, second - largest - logSum);
    }
    return clip((logSum - weighted / sum) / Math.log(logits.length));
  }

  private static double clip(double value) {
    return Math.max(0, Math.min(1, value));
  }
}
