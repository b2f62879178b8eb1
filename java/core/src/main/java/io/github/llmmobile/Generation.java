package io.github.llmmobile;

import io.github.llmmobile.internal.ChatJson;
import io.github.llmmobile.internal.Counters;
import io.github.llmmobile.internal.Interrupts;
import io.github.llmmobile.internal.NativeModel;
import io.github.llmmobile.internal.NativeSampler;
import io.github.llmmobile.internal.NativeSession;
import io.github.llmmobile.internal.SamplerJson;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** One generation: prompt to tokens, prefill, sampling, result. Runs within a call of the session. */
final class Generation implements Prompt.Resolver {
  private final NativeSession session;
  private final NativeModel model;
  private final GenerationOptions options;
  private final TokenListener listener;
  private final StringBuilder text = new StringBuilder();
  private final List<TokenLogprob> logprobs = new ArrayList<>();
  private int[] tokens = new int[64];
  private int tokenCount;

  Generation(NativeSession session, GenerationOptions options, TokenListener listener) {
    this.session = session;
    this.options = options;
    this.listener = listener;
    model = session.model();
  }

  GenerationResult run(Prompt prompt, List<TechniqueReport> techniques) {
    // Bad options must fail before the history changes, so the sampler comes first.
    try (NativeSampler sampler = model.newSampler(SamplerJson.of(options))) {
      int[] promptTokens = prompt.resolve(this);
      if (promptTokens.length == 0) {
        throw Checks.invalid("prompt", "has no tokens");
      }
      stopIfInterrupted();
      SessionStats before = stats(session);
      int reused = session.prefill(promptTokens);
      int[] end = session.generate(
          sampler, options.maxTokens(), options.logprobs(), options.tokensPerCallback(), options.draftTokens(),
          this::take);
      SessionStats stats = stats(session).since(before);
      return new GenerationResult(
          text.toString(),
          Arrays.copyOf(tokens, tokenCount),
          promptTokens.length,
          reused,
          stopReason(end[0]),
          options.logprobs() ? Collections.unmodifiableList(logprobs) : null,
          stats,
          techniques);
    }
  }

  static SessionStats stats(NativeSession session) {
    Counters counters = session.stats();
    return new SessionStats(counters.integers(), counters.reals());
  }

  static void stopIfInterrupted() {
    if (Interrupts.pending()) {
      throw new LlmCancelledException("the thread is interrupted");
    }
  }

  @Override
  public String render(ChatRequest request) {
    return model.renderChat(ChatJson.of(request));
  }

  @Override
  public int[] tokenize(String promptText, boolean parseSpecial) {
    return model.tokenize(promptText, true, parseSpecial);
  }

  private boolean take(int[] ids, float[] ps, String[] texts, String rest) {
    for (int i = 0; i < ids.length; i++) {
      if (tokenCount == tokens.length) {
        tokens = Arrays.copyOf(tokens, 2 * tokenCount);
      }
      tokens[tokenCount++] = ids[i];
      text.append(texts[i]);
      if (options.logprobs()) {
        logprobs.add(new TokenLogprob(ids[i], ps[i]));
      }
      listener.onToken(new Token(ids[i], texts[i], ps[i]));
    }
    if (!rest.isEmpty()) {
      text.append(rest);
      listener.onToken(new Token(Token.NO_ID, rest, Double.NaN));
    }
    return !Interrupts.pending();
  }

  private static StopReason stopReason(int number) {
    switch (number) {
      case 1:
        return StopReason.END;
      case 2:
        return StopReason.MAX_TOKENS;
      case 3:
        return StopReason.STOP_STRING;
      case 4:
        return StopReason.CONTEXT_FULL;
      case 5:
        return StopReason.CANCELLED;
      default:
        throw new LlmException(ErrorCode.INTERNAL, "unknown stop reason " + number);
    }
  }
}
