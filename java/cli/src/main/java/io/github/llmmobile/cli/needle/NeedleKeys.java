package io.github.llmmobile.cli.needle;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.ToIntFunction;

/** Draws a right key and wrong ones for it. */
final class NeedleKeys {
  /** Wrong keys per needle. */
  static final int WRONG = 9;

  private static final int LEAST = 10_000;
  private static final int END = 100_000;
  private static final int MOST_DRAWS = 2_000;

  private NeedleKeys() {}

  /**
   * Ten different numbers of five digits that take the same number of tokens; the first is the right one.
   *
   * @throws IllegalArgumentException if the model's tokens do not allow it
   */
  static List<String> draw(SplittableRandom random, ToIntFunction<String> tokens) {
    Map<Integer, List<String>> byLength = new HashMap<>();
    Set<String> drawn = new HashSet<>();
    for (int i = 0; i < MOST_DRAWS; i++) {
      String key = Integer.toString(random.nextInt(LEAST, END));
      if (drawn.add(key)) {
        List<String> keys = byLength.computeIfAbsent(tokens.applyAsInt(key), length -> new ArrayList<>());
        keys.add(key);
        if (keys.size() == WRONG + 1) {
          return keys;
        }
      }
    }
    throw new IllegalArgumentException("this model has no ten numbers of the same length in tokens");
  }
}
