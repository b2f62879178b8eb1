package io.github.llmmobile.cli.needle;

import io.github.llmmobile.cli.bench.CacheUse;

/** What reads a haystack: a session, or a stand-in in tests. */
public interface NeedleEngine extends AutoCloseable {
  /**
   * Appends tokens and evaluates them in one step.
   *
   * @param tokens ids (required)
   */
  void eval(int... tokens);

  /**
   * How probable a token is to come next.
   *
   * @param token its id
   * @return the natural logarithm of its probability
   */
  double logprob(int token);

  /**
   * An engine that goes on from here. What is evaluated there leaves this one as it is; this one rests until the branch
   * is closed.
   *
   * @return the branch; the caller closes it (never null)
   */
  NeedleEngine branch();

  /** {@return what the key-value cache takes now} */
  CacheUse cache();

  /** Frees what the engine holds. */
  @Override
  void close();
}
