package io.github.llmmobile.cli.needle;

import io.github.llmmobile.LlmSession;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.cli.algebra.LogSumExp;
import io.github.llmmobile.cli.bench.CacheUse;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A session as the engine.
 *
 * <p>With a technique at work each branch is a fork: a session that was rewound has the former tokens again, but not what
 * the technique knew at that point (a step after a rewind tests all pruned pages), so that one key would be scored in
 * another state than the next.
 */
public final class SessionEngine implements NeedleEngine {
  private final LlmSession session;
  private final boolean forks;
  private final Function<SessionStats, CacheUse> cache;
  /** Length to go back to at the end; -1 to close the session instead. */
  private final int rewindTo;
  private float @Nullable [] logits;
  private double total;

  /**
   * Takes a session over; closing the engine closes it.
   *
   * @param session an empty session (required)
   * @param forks whether branches are forks; otherwise they are rewound, which is cheaper without pages
   * @param cache says what the cache takes (required)
   */
  public SessionEngine(LlmSession session, boolean forks, Function<SessionStats, CacheUse> cache) {
    this(session, forks, cache, -1);
  }

  private SessionEngine(LlmSession session, boolean forks, Function<SessionStats, CacheUse> cache, int rewindTo) {
    this.session = session;
    this.forks = forks;
    this.cache = cache;
    this.rewindTo = rewindTo;
  }

  @Override
  public void eval(int... tokens) {
    logits = null;
    session.eval(tokens);
  }

  @Override
  public double logprob(int token) {
    float[] known = logits;
    if (known == null) {
      known = session.logits();
      logits = known;
      total = LogSumExp.of(known);
    }
    return known[token] - total;
  }

  @Override
  public NeedleEngine branch() {
    return forks
        ? new SessionEngine(session.fork(), true, cache)
        : new SessionEngine(session, false, cache, session.tokenCount());
  }

  @Override
  public CacheUse cache() {
    return cache.apply(session.stats());
  }

  @Override
  public void close() {
    if (rewindTo < 0) {
      session.close();
    } else {
      session.rewind(rewindTo);
    }
  }
}
