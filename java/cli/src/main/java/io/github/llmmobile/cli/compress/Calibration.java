package io.github.llmmobile.cli.compress;

/** What goes into the weights of a model when it reads a text. */
public interface Calibration {
  /**
   * The second moment of the inputs of a weight, X X^T divided by the number of tokens.
   *
   * @param weight its name, such as {@code blk.3.ffn_down.weight} (required)
   * @return inputs by inputs, row by row (never null)
   */
  double[] secondMoment(String weight);
}
