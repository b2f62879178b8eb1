package io.github.llmmobile;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What a generation gave. */
public final class GenerationResult {
  private final String text;
  private final int[] tokens;
  private final int promptTokens;
  private final int reusedTokens;
  private final StopReason stopReason;
  private final @Nullable List<TokenLogprob> logprobs;
  private final SessionStats stats;
  private final List<TechniqueReport> techniques;

  GenerationResult(
      String text,
      int[] tokens,
      int promptTokens,
      int reusedTokens,
      StopReason stopReason,
      @Nullable List<TokenLogprob> logprobs,
      SessionStats stats,
      List<TechniqueReport> techniques) {
    this.text = text;
    this.tokens = tokens;
    this.promptTokens = promptTokens;
    this.reusedTokens = reusedTokens;
    this.stopReason = stopReason;
    this.logprobs = logprobs;
    this.stats = stats;
    this.techniques = techniques;
  }

  /**
   * The answer, without the prompt and without a stop string.
   *
   * @return the text (never null)
   */
  public String text() {
    return text;
  }

  /**
   * The generated tokens, without the token that ended the answer. With a stop string, the tokens that spelled it are
   * among them.
   *
   * @return a fresh array of ids (never null)
   */
  public int[] tokens() {
    return tokens.clone();
  }

  /**
   * Length of the whole prompt.
   *
   * @return tokens, those from the cache included
   */
  public int promptTokens() {
    return promptTokens;
  }

  /**
   * How many of the prompt's tokens were in the cache already.
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
   * The probability of each of {@link #tokens()}.
   *
   * @return one entry per token, unmodifiable, if {@link GenerationOptions#logprobs()} is set (never null)
   */
  public Optional<List<TokenLogprob>> logprobs() {
    return Optional.ofNullable(logprobs);
  }

  /**
   * The counters of this generation alone; lengths, threads and memory are those at its end.
   *
   * @return the counters (never null)
   */
  public SessionStats stats() {
    return stats;
  }

  /**
   * Which of the techniques of the session's configuration took part.
   *
   * @return one report per technique, unmodifiable (never null)
   */
  public List<TechniqueReport> techniques() {
    return techniques;
  }

  /** Sizes and reason: what a model says does not belong into logs. */
  @Override
  public String toString() {
    return "GenerationResult[" + tokens.length + " tokens, " + text.length() + " characters, stopReason=" + stopReason
        + "]";
  }
}
