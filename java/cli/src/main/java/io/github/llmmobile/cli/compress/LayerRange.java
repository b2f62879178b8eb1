package io.github.llmmobile.cli.compress;

/**
 * Layers from one to another.
 *
 * @param from the first, 0 or more
 * @param to the first that is not among them
 */
public record LayerRange(int from, int to) {
  /** All layers. */
  public static final LayerRange ALL = new LayerRange(0, Integer.MAX_VALUE);

  /**
   * Checks.
   *
   * @param from the first
   * @param to the first that is not among them
   * @throws IllegalArgumentException if the range is empty
   */
  public LayerRange {
    if (from < 0 || to <= from) {
      throw new IllegalArgumentException("--layers needs A:B with 0 <= A < B, but is " + from + ":" + to);
    }
  }

  /**
   * A range as it is typed.
   *
   * @param text A:B, where either may be left out (required)
   * @return the range (never null)
   * @throws IllegalArgumentException if it is no range
   */
  public static LayerRange parse(String text) {
    String[] ends = text.split(":", -1);
    try {
      if (ends.length == 2) {
        return new LayerRange(ends[0].isEmpty() ? 0 : Integer.parseInt(ends[0]),
            ends[1].isEmpty() ? Integer.MAX_VALUE : Integer.parseInt(ends[1]));
      }
    } catch (NumberFormatException e) {
      // as below
    }
    throw new IllegalArgumentException("--layers needs A:B, such as 2:28, but is " + text);
  }

  /**
   * Whether a layer is among them.
   *
   * @param layer its number
   * @return true if it is
   */
  public boolean contains(int layer) {
    return layer >= from && layer < to;
  }

  @Override
  public String toString() {
    return from + ":" + (to == Integer.MAX_VALUE ? "" : to);
  }
}
