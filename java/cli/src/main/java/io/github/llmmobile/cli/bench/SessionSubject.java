package io.github.llmmobile.cli.bench;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.Token;

/** A session as the subject of a benchmark. */
public final class SessionSubject implements BenchSubject {
  private final LlmSession session;
  private final int vocabulary;

  /**
   * Takes a session over; closing the subject closes it.
   *
   * @param session an empty session (required)
   * @param vocabulary number of tokens of its model
   */
  public SessionSubject(LlmSession session, int vocabulary) {
    this.session = session;
    this.vocabulary = vocabulary;
  }

  @Override
  public int vocabulary() {
    return vocabulary;
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
    session.generate(Prompt.tokens(history), options, token -> {
      if (token.id() != Token.NO_ID) {
        onToken.run();
      }
    });
  }

  @Override
  public long kvBytes() {
    return session.stats().kvBytes();
  }

  @Override
  public void close() {
    session.close();
  }
}
