package io.github.llmmobile.cli.compress;

import java.nio.FloatBuffer;
import java.util.List;

/** Shows what goes into weights while a model reads. */
public interface InputRows {
  /**
   * Reads tokens and shows what went into some weights.
   *
   * @param tokens at most as many as the context holds (required)
   * @param weights names of the weights (required)
   * @param rows takes, for each weight, its inputs, one row per token, one after the other; direct, of just that size
   *     (required)
   */
  void read(int[] tokens, List<String> weights, FloatBuffer rows);
}
