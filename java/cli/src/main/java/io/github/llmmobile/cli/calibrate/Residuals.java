package io.github.llmmobile.cli.calibrate;

import java.nio.FloatBuffer;
import java.util.List;

/** Shows the residual stream while a model reads. */
public interface Residuals {
  /**
   * Reads tokens and shows the residual stream at some places.
   *
   * @param tokens at most as many as the context holds (required)
   * @param places their numbers (required)
   * @param rows takes, for each place, one row per token, one after the other; direct, of just that size (required)
   */
  void read(int[] tokens, List<Integer> places, FloatBuffer rows);
}
