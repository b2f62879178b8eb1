package io.github.llmmobile.edge.remote;

import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/** A piece of a remote answer: usually one token of the remote model. */
public final class RemoteToken {
  private final String text;
  private final double logprob;
  private final List<Alternative> alternatives;

  RemoteToken(String text, double logprob, List<Alternative> alternatives) {
    this.text = text;
    this.logprob = logprob;
    this.alternatives = alternatives;
  }

  /**
   * The text that came with it.
   *
   * @return whole characters; may be empty (never null)
   */
  public String text() {
    return text;
  }

  /**
   * How probable the remote model found the token.
   *
   * @return natural logarithm, at most 0; empty if the endpoint did not say (never null)
   */
  public OptionalDouble logprob() {
    return Double.isNaN(logprob) ? OptionalDouble.empty() : OptionalDouble.of(logprob);
  }

  /**
   * The tokens that the remote model found most probable, the most probable first.
   *
   * @return as many as were asked for, unmodifiable; empty if the endpoint did not say (never null)
   */
  public List<Alternative> alternatives() {
    return alternatives;
  }

  /**
   * The most probable token.
   *
   * @return the first of {@link #alternatives()} (never null)
   */
  public Optional<Alternative> best() {
    return alternatives.isEmpty() ? Optional.empty() : Optional.of(alternatives.get(0));
  }

  @Override
  public String toString() {
    return "RemoteToken[" + text.length() + " characters, logprob=" + logprob + "]";
  }

  /** A token that could have come in its place. */
  public static final class Alternative {
    private final String text;
    private final double logprob;

    Alternative(String text, double logprob) {
      this.text = text;
      this.logprob = logprob;
    }

    /**
     * Its text.
     *
     * @return as the endpoint writes it (never null)
     */
    public String text() {
      return text;
    }

    /**
     * How probable the remote model found it.
     *
     * @return natural logarithm, at most 0
     */
    public double logprob() {
      return logprob;
    }
  }
}
