package io.github.llmmobile.cli.algebra;

/** The logarithm of a sum of exponentials: what is taken off logits to make log-probabilities of them. */
public final class LogSumExp {
  private LogSumExp() {}

  /**
   * Computes it without overflow.
   *
   * @param values at least one (required)
   * @return the logarithm
   */
  public static double of(float[] values) {
    double most = Double.NEGATIVE_INFINITY;
    for (float value : values) {
      most = Math.max(most, value);
    }
    double sum = 0;
    for (float value : values) {
      sum += Math.exp(value - most);
    }
    return most + Math.log(sum);
  }
}
