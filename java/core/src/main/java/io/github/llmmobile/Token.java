package io.github.llmmobile;

import java.util.Objects;
import java.util.OptionalDouble;

/** One generated token and the text that can be shown since the token before it. */
public final class Token {
  /**
   * The id of an entry without a token: text that had been held back as the possible start of a stop string and comes
   * out at the end.
   */
  public static final int NO_ID = -1;

  private final int id;
  private final String text;
  private final double logprob;

  Token(int id, String text, double logprob) {
    this.id = id;
    this.text = text;
    this.logprob = logprob;
  }

  /**
   * The token's number in the vocabulary.
   *
   * @return the id, or {@link #NO_ID}
   */
  public int id() {
    return id;
  }

  /**
   * Text that became complete with this token. The texts of all tokens, put together, are {@link
   * GenerationResult#text()}.
   *
   * @return whole characters; empty while a character is not complete or could begin a stop string (never null)
   */
  public String text() {
    return text;
  }

  /**
   * How probable the model found the token, before sampling changed the odds.
   *
   * @return the natural logarithm of its probability, at most 0; empty unless {@link GenerationOptions#logprobs()} is
   *     set (never null)
   */
  public OptionalDouble logprob() {
    return Double.isNaN(logprob) ? OptionalDouble.empty() : OptionalDouble.of(logprob);
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof Token)) {
      return false;
    }
    Token that = (Token) other;
    return id == that.id && text.equals(that.text) && Double.compare(logprob, that.logprob) == 0;
  }

  @Override
  public int hashCode() {
    return Objects.hash(id, text, logprob);
  }

  @Override
  public String toString() {
    return "Token[id=" + id + ", text=" + text + (Double.isNaN(logprob) ? "]" : ", logprob=" + logprob + "]");
  }
}
