package io.github.llmmobile.cli.bench;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmCancelledException;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.Token;
import java.util.function.Function;

/** A session as the subject of a benchmark. */
public final class SessionSubject implements BenchSubject {
  private final LlmSession session;
  private final Function<SessionStats, CacheUse> cache;

  /**
   * Takes a session over; closing the subject closes it.
   *
   * @param session an empty session (required)
   * @param cache says what the cache takes (required)
   */
  public SessionSubject(LlmSession session, Function<SessionStats, CacheUse> cache) {
    this.session = session;
    this.cache = cache;
  }

  @Override
  public void eval(int[] tokens) {
    session.eval(tokens);
  }

  @Override
  public void rewind(int tokens) {
    session.rewind(tokens);
  }

  @Override
  public void generate(int[] history, int tokens, Runnable onToken) {
    GenerationOptions options = GenerationOptions.greedy().toBuilder().maxTokens(tokens).ignoreEos(true).build();
    GenerationResult result = session.generate(Prompt.tokens(history), options, token -> {
      if (token.id() != Token.NO_ID) {
        onToken.run();
      }
    });
    if (result.stopReason() == StopReason.CANCELLED) {
      throw new LlmCancelledException("interrupted");
    }
  }

  @Override
  public CacheUse cache() {
    return cache.apply(session.stats());
  }

  @Override
  public void close() {
    session.close();
  }
}
