package io.github.llmmobile;

import java.util.Objects;

/** A token and how probable the model finds it. */
public final class TokenLogprob {
  private final int token;
  private final double logprob;

  TokenLogprob(int token, double logprob) {
    this.token = token;
    this.logprob = logprob;
  }

  /**
   * The token's number in the vocabulary.
   *
   * @return the id
   */
  public int token() {
    return token;
  }

  /**
   * The natural logarithm of its probability.
   *
   * @return at most 0
   */
  public double logprob() {
    return logprob;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TokenLogprob
        && token == ((TokenLogprob) other).token
        && Double.compare(logprob, ((TokenLogprob) other).logprob) == 0;
  }

  @Override
  public int hashCode() {
    return Objects.hash(token, logprob);
  }

  @Override
  public String toString() {
    return "TokenLogprob[token=" + token + ", logprob=" + logprob + "]";
  }
}
