package io.github.llmmobile.cli.bench;

import java.util.List;

/**
 * What is measured.
 *
 * @param depths tokens that are in the cache before each measurement
 * @param promptTokens tokens per prefill measurement; 0 leaves prefill out
 * @param generatedTokens decoded tokens per decode measurement; 0 leaves decoding out
 * @param repeats measurements of each kind at each depth
 */
public record BenchPlan(List<Integer> depths, int promptTokens, int generatedTokens, int repeats) {
  /**
   * Checks and copies.
   *
   * @param depths at least one, each 0 or more (required)
   * @param promptTokens 0 or more, not 0 together with generatedTokens
   * @param generatedTokens 0 or more
   * @param repeats 1 or more
   * @throws IllegalArgumentException naming the option that is out of range
   */
  public BenchPlan {
    depths = List.copyOf(depths);
    if (depths.isEmpty() || depths.stream().anyMatch(depth -> depth < 0)) {
      throw new IllegalArgumentException("--depth needs numbers of 0 or more, but has " + depths);
    }
    if (promptTokens < 0 || generatedTokens < 0) {
      throw new IllegalArgumentException("--prompt and --gen must be 0 or more, but are " + promptTokens + " and "
          + generatedTokens);
    }
    if (promptTokens == 0 && generatedTokens == 0) {
      throw new IllegalArgumentException("--prompt and --gen are both 0, so there is nothing to measure");
    }
    if (repeats < 1) {
      throw new IllegalArgumentException("--repeat must be 1 or more, but is " + repeats);
    }
  }

  /**
   * Room that a session needs to measure at a depth. A decode measurement adds the token it starts from and the one
   * that is sampled last and never evaluated.
   *
   * @param depth tokens in the cache beforehand
   * @return tokens of context
   */
  public int contextTokens(int depth) {
    return depth + Math.max(promptTokens, generatedTokens == 0 ? 0 : generatedTokens + 2);
  }

  /** {@return the name of the prefill test, such as "pp512"} */
  public String promptTest() {
    return "pp" + promptTokens;
  }

  /** {@return the name of the decode test, such as "tg32"} */
  public String generationTest() {
    return "tg" + generatedTokens;
  }
}
