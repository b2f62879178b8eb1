package io.github.llmmobile.cli.needle;

import java.util.List;
import java.util.Locale;

/**
 * What is measured for each filler.
 *
 * @param tokens length of the context with the needle in it
 * @param depths where the needles are, in per cent of the context
 * @param gap tokens that are evaluated one by one between context and question
 * @param order where the question is stated
 * @param opening how the opening of the answer is evaluated
 * @param seed of fillers and keys
 */
public record NeedlePlan(int tokens, List<Integer> depths, int gap, Order order, Opening opening, long seed) {
  /** Where the question is stated. */
  public enum Order {
    /** After the context only. */
    QUESTION_LAST("question-last"),
    /** Before the context as well, so that whoever reads it knows what will be asked. */
    QUESTION_AWARE("question-aware");

    private final String text;

    Order(String text) {
      this.text = text;
    }

    /** {@return it as it is typed} */
    @Override
    public String toString() {
      return text;
    }
  }

  /** How the opening of the answer, which ends where the key begins, is evaluated. */
  public enum Opening {
    /** Token by token, as if the model had written it. */
    DECODED,
    /** In one step with the question. */
    PROMPT;

    /** {@return it as it is typed} */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * Checks and copies.
   *
   * @param tokens 1 or more; whether a needle has room is found when it is put in
   * @param depths at least one, each from 0 to 100 (required)
   * @param gap 0 or more
   * @param order where the question is stated (required)
   * @param opening how the opening of the answer is evaluated (required)
   * @param seed any number
   * @throws IllegalArgumentException naming the option that is out of range
   */
  public NeedlePlan {
    depths = List.copyOf(depths);
    if (tokens < 1) {
      throw new IllegalArgumentException("--tokens must be 1 or more, but is " + tokens);
    }
    if (depths.isEmpty() || depths.stream().anyMatch(depth -> depth < 0 || depth > 100)) {
      throw new IllegalArgumentException("--depths needs numbers from 0 to 100, but has " + depths);
    }
    if (gap < 0) {
      throw new IllegalArgumentException("--gap must be 0 or more, but is " + gap);
    }
  }
}
