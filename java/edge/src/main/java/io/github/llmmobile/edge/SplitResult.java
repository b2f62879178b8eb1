package io.github.llmmobile.edge;

import io.github.llmmobile.StopReason;

/** What a split session generated. Immutable. */
public final class SplitResult {
  private final String text;
  private final int[] tokens;
  private final int promptTokens;
  private final int reusedTokens;
  private final StopReason stopReason;
  private final SplitStats stats;

  SplitResult(String text, int[] tokens, int promptTokens, int reusedTokens, StopReason stopReason, SplitStats stats) {
    this.text = text;
    this.tokens = tokens;
    this.promptTokens = promptTokens;
    this.reusedTokens = reusedTokens;
    this.stopReason = stopReason;
    this.stats = stats;
  }

  /**
   * The answer.
   *
   * @return the text, without the prompt (never null)
   */
  public String text() {
    return text;
  }

  /**
   * The generated tokens, without the one that ended the answer.
   *
   * @return a fresh array of ids (never null)
   */
  public int[] tokens() {
    return tokens.clone();
  }

  /**
   * Length of the prompt.
   *
   * @return tokens, reused ones included
   */
  public int promptTokens() {
    return promptTokens;
  }

  /**
   * How many of the prompt's tokens the session had already.
   *
   * @return tokens
   */
  public int reusedTokens() {
    return reusedTokens;
  }

  /**
   * Why the generation ended.
   *
   * @return the reason (never null)
   */
  public StopReason stopReason() {
    return stopReason;
  }

  /**
   * The session's counters, since it began.
   *
   * @return the counters (never null)
   */
  public SplitStats stats() {
    return stats;
  }

  /** Sizes and reason: what a model says does not belong into logs. */
  @Override
  public String toString() {
    return "SplitResult[" + tokens.length + " tokens, " + text.length() + " characters, stopReason=" + stopReason + "]";
  }
}
