package io.github.llmmobile;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/** Argument checks with one form of message: the field, the value, the range. */
final class Checks {
  private Checks() {}

  static int atLeast(String name, int value, int least) {
    if (value < least) {
      throw range(name, value, "must be at least " + least);
    }
    return value;
  }

  static int between(String name, int value, int least, int most) {
    if (value < least || value > most) {
      throw range(name, value, "must be from " + least + " to " + most);
    }
    return value;
  }

  static float between(String name, float value, float least, float most) {
    between(name, (double) value, least, most);
    return value;
  }

  /** NaN is outside every range. */
  static double between(String name, double value, double least, double most) {
    if (!(value >= least && value <= most)) {
      throw range(name, value, "must be a number from " + plain(least) + " to " + plain(most));
    }
    return value;
  }

  static LlmException range(String name, Object value, String rule) {
    return new LlmException(ErrorCode.RANGE, name + ": " + rule + ", but is " + value);
  }

  static LlmException invalid(String name, String rule) {
    return new LlmException(ErrorCode.INVALID_ARGUMENT, name + ": " + rule);
  }

  /** A list that nobody else can change; null elements are refused. */
  static <T> List<T> copy(String name, List<? extends T> values) {
    List<T> copy = new ArrayList<>(values.size());
    for (T value : values) {
      copy.add(Objects.requireNonNull(value, name));
    }
    return Collections.unmodifiableList(copy);
  }

  /** Without the fraction of a whole number, as people write ranges. */
  private static String plain(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e9
        ? Long.toString((long) value)
        : Double.toString(value);
  }
}
