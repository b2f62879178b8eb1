package io.github.llmmobile;

import java.util.Locale;

/** Layers [begin, end) of a model, for a model or a session that has a part of them. */
public final class LayerRange {
  /** All layers. */
  public static final LayerRange ALL = new LayerRange(0, 0);

  private final int begin;
  private final int end;

  private LayerRange(int begin, int end) {
    this.begin = begin;
    this.end = end;
  }

  /**
   * A range.
   *
   * @param begin the first layer, from 0
   * @param end the layer after the last; 0 for the end of the model
   * @return the range (never null)
   * @throws LlmException RANGE if begin is negative, or the end is neither 0 nor past it
   */
  public static LayerRange of(int begin, int end) {
    Checks.atLeast("begin", begin, 0);
    if (end != 0 && end <= begin) {
      throw Checks.range("end", end, "must be 0 or greater than begin, " + begin);
    }
    return new LayerRange(begin, end);
  }

  /**
   * A range as people write it: {@code 15:30}, {@code :15}, {@code 15:}.
   *
   * @param text begin and end around a colon; left out for the first and the last layer (required)
   * @return the range (never null)
   * @throws LlmException INVALID_ARGUMENT if it is none; RANGE
   */
  public static LayerRange parse(String text) {
    if (!text.matches("[0-9]{0,6}:[0-9]{0,6}")) {
      throw Checks.invalid("layers", "\"" + text + "\" is no range of layers such as 15:30");
    }
    int colon = text.indexOf(':');
    return of(number(text.substring(0, colon)), number(text.substring(colon + 1)));
  }

  private static int number(String digits) {
    return digits.isEmpty() ? 0 : Integer.parseInt(digits);
  }

  /**
   * The first layer.
   *
   * @return at least 0
   */
  public int begin() {
    return begin;
  }

  /**
   * The layer after the last.
   *
   * @return greater than {@link #begin()}; or 0 for the end of the model
   */
  public int end() {
    return end;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof LayerRange && begin == ((LayerRange) other).begin && end == ((LayerRange) other).end;
  }

  @Override
  public int hashCode() {
    return 31 * begin + end;
  }

  @Override
  public String toString() {
    return String.format(Locale.ROOT, "%d:%s", begin, end == 0 ? "" : String.valueOf(end));
  }
}
