package io.github.llmmobile.cli.needle;

import io.github.llmmobile.cli.bench.CacheUse;

/**
 * What became of one needle.
 *
 * @param filler name of the text around it
 * @param depth where it was put, in per cent of the context
 * @param position tokens in front of it
 * @param key the right key
 * @param keyTokens tokens that are scored of each key
 * @param keyLogprob log-probability of the right key
 * @param bestWrong the most probable wrong key
 * @param bestWrongLogprob its log-probability
 * @param cache what the cache took after the question
 */
public record NeedleResult(String filler, int depth, int position, String key, int keyTokens, double keyLogprob,
    String bestWrong, double bestWrongLogprob, CacheUse cache) {
  /** {@return by how much the right key is more probable than the best wrong one, in nats} */
  public double margin() {
    return keyLogprob - bestWrongLogprob;
  }

  /** {@return whether the right key is the most probable one} */
  public boolean found() {
    return margin() > 0;
  }
}
