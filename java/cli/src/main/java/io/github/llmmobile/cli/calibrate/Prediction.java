package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.algebra.LogSumExp;

/** What a model says of the next token. */
final class Prediction {
  private final double[] logProbabilities;
  private final double entropy;
  private final double first;
  private final double second;

  /**
   * From logits.
   *
   * @param logits of the whole vocabulary (required)
   */
  Prediction(float[] logits) {
    double total = LogSumExp.of(logits);
    logProbabilities = new double[logits.length];
    double nats = 0;
    double largest = Double.NEGATIVE_INFINITY;
    double next = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < logits.length; i++) {
      double value = logits[i] - total;
      logProbabilities[i] = value;
      nats -= Math.exp(value) * value;
      if (value > largest) {
        next = largest;
        largest = value;
      } else if (value > next) {
        next = value;
      }
    }
    entropy = nats;
    first = Math.exp(largest);
    second = Math.exp(next);
  }

  /** Nats. */
  double entropy() {
    return entropy;
  }

  /** The probability of the most probable token. */
  double first() {
    return first;
  }

  /** The probability of the token after it. */
  double second() {
    return second;
  }

  /** Minus the logarithm of a token's probability. */
  double surprise(int token) {
    return -logProbabilities[token];
  }

  /** The divergence of another prediction from this one, nats (Kullback and Leibler). */
  double divergence(Prediction other) {
    double sum = 0;
    for (int i = 0; i < logProbabilities.length; i++) {
      sum += Math.exp(logProbabilities[i]) * (logProbabilities[i] - other.logProbabilities[i]);
    }
    return Math.max(0, sum);
  }
}
