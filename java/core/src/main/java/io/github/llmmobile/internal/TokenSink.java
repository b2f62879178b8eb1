package io.github.llmmobile.internal;

/** Receives the tokens of a native generation. May throw; see {@link Callbacks}. */
@FunctionalInterface
public interface TokenSink {
  /**
   * Called once per batch, and once more at the end if text was held back.
   *
   * @param tokens the tokens since the last call
   * @param logprobs their log-probabilities; NaN if they were not asked for
   * @param texts the text of each token
   * @param rest text that belongs to none of them; usually empty
   * @return false to stop the generation
   */
  boolean onTokens(int[] tokens, float[] logprobs, String[] texts, String rest);
}
