package io.github.llmmobile.cli.bench;

import io.github.llmmobile.LlmCancelledException;

/** What a benchmark works on: a session, or a stand-in in tests. */
public interface BenchSubject extends AutoCloseable {
  /**
   * Appends tokens and evaluates them.
   *
   * @param tokens ids of the model (required)
   */
  void eval(int[] tokens);

  /**
   * Drops every token from a position on.
   *
   * @param tokens length of the history afterwards
   */
  void rewind(int tokens);

  /**
   * Generates greedily, past the model's end token.
   *
   * @param history all tokens before the generated ones; those in the cache are not evaluated again (required)
   * @param tokens number of tokens to generate
   * @param onToken called after each token (required)
   * @throws LlmCancelledException if it was cancelled before the last token
   */
  void generate(int[] history, int tokens, Runnable onToken);

  /** {@return what the key-value cache takes now} */
  CacheUse cache();

  /** Frees what the subject holds. */
  @Override
  void close();
}
