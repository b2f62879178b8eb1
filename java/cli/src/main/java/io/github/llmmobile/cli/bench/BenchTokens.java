package io.github.llmmobile.cli.bench;

import java.util.SplittableRandom;
import java.util.function.IntFunction;

/** What a benchmark fills the cache with. Each call gives the next so many tokens. */
public final class BenchTokens {
  private BenchTokens() {}

  /**
   * Random tokens.
   *
   * @param seed of the random numbers
   * @param vocabulary number of different tokens
   * @return a source (never null)
   */
  public static IntFunction<int[]> random(long seed, int vocabulary) {
    SplittableRandom random = new SplittableRandom(seed);
    return count -> random.ints(count, 0, vocabulary).toArray();
  }

  /**
   * A text, from its beginning again after its end.
   *
   * @param text its tokens, at least one (required)
   * @return a source (never null)
   */
  public static IntFunction<int[]> of(int[] text) {
    int[] at = {0};
    return count -> {
      int[] some = new int[count];
      for (int i = 0; i < count; i++) {
        some[i] = text[at[0]];
        at[0] = (at[0] + 1) % text.length;
      }
      return some;
    };
  }
}
