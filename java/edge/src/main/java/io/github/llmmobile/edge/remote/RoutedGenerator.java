package io.github.llmmobile.edge.remote;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.TokenLogprob;
import io.github.llmmobile.edge.policy.DeviceState;
import io.github.llmmobile.edge.policy.RemotePolicy;
import io.github.llmmobile.edge.policy.RoutingListener;
import io.github.llmmobile.edge.policy.StepDeadline;
import io.github.llmmobile.edge.policy.TokenRouter;
import io.github.llmmobile.edge.policy.Uncertainty;
import java.util.List;
import java.util.Objects;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * Generates answers with a model on the device and a larger one behind an endpoint. At the level of tokens the device
 * writes, and hands over for a few tokens where it is unsure; at the level of requests one of the two writes all of it.
 * Both models may have different tokenisers: what goes back and forth is text.
 *
 * <p>If the endpoint fails, is late or is cut off at any moment, the device goes on from the last text that was heard;
 * nothing is lost and nothing comes twice. Only a prompt that does not fit the device needs the endpoint.
 *
 * <p>Takes one call at a time, as its session does; what it learns of the model stays for the next.
 */
public final class RoutedGenerator {
  /** What is decided at once. */
  public enum Level {
    /** Each token. */
    TOKEN,
    /** The whole answer, before it starts. */
    REQUEST
  }

  /** Tokens of a burst unless it is set. */
  public static final int DEFAULT_BURST_TOKENS = 2;

  private static final int PROBE_MILLIS = 5000;

  final LlmModel model;
  final LlmSession session;
  final RemoteModelClient client;
  final Level level;
  final int burstTokens;
  final ToDoubleFunction<LlmSession> measure;
  final RemotePolicy policy;
  final RoutingListener events;
  final TokenRouter router;
  final StepDeadline deadline;

  private RoutedGenerator(Builder b) {
    model = b.model;
    session = b.session;
    client = b.client;
    level = b.level;
    burstTokens = b.burstTokens;
    measure = b.measure;
    events = b.events;
    deadline = new StepDeadline(b.leastMillis, b.mostMillis, 1);
    router = new TokenRouter(b.share, b.burstTokens, b.learned);
    policy = b.policy != null ? b.policy
        : RemotePolicy.builder(DeviceState.desktop(), client.link(), client.breaker()).requestShare(b.share).build();
  }

  /**
   * Starts a generator.
   *
   * @param model the device's model (required)
   * @param session of that model; nothing else should use it meanwhile (required)
   * @param client the larger model (required)
   * @return a builder (never null)
   */
  public static Builder builder(LlmModel model, LlmSession session, RemoteModelClient client) {
    return new Builder(model, session, client);
  }

  /**
   * Generates an answer.
   *
   * @param prompt what it starts from (required)
   * @param options how; what has no meaning across two models is refused: grammar, JSON schema, drafting, Mirostat,
   *     log-probabilities (required)
   * @param listener hears the text as it comes (required)
   * @param cancellation cancels; the answer so far is the result (required)
   * @return the answer (never null)
   * @throws LlmException INVALID_ARGUMENT for such options; NOT_AVAILABLE if the endpoint cannot continue the answer of a
   *     conversation, at the level of tokens; REMOTE_UNAVAILABLE or REMOTE_REFUSED if the prompt does not fit the device
   *     and the endpoint fails; CONTEXT_FULL if it does not fit and must stay; otherwise as {@link LlmSession#generate}
   */
  public RoutedResult generate(
      RoutedPrompt prompt, GenerationOptions options, RoutedListener listener, CancellationToken cancellation) {
    refuse(options.grammar().isPresent(), "grammar");
    refuse(options.jsonSchema().isPresent(), "jsonSchema");
    refuse(options.draftTokens() > 0, "draftTokens");
    refuse(options.mirostat() != 0, "mirostat");
    refuse(options.logprobs(), "logprobs");
    measureLink(cancellation);
    return new RoutedGeneration(this, prompt, options, listener, cancellation).run();
  }

  private static void refuse(boolean given, String option) {
    if (given) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, option + ": has no meaning across two models");
    }
  }

  /** Before anything large is sent. Where that fails the gate stays as it is, and the device works alone. */
  private void measureLink(CancellationToken cancellation) {
    if (router.share() > 0 && policy.wantsProbe()) {
      try {
        client.measureUplink(PROBE_MILLIS, cancellation);
      } catch (RemoteException e) {
        client.link().outage();
      }
    }
  }

  /**
   * What tells hard tokens from easy ones.
   *
   * @return the router of this generator (never null)
   */
  public TokenRouter router() {
    return router;
  }

  /** Collects a {@link RoutedGenerator}. Not for use by several threads at once. */
  public static final class Builder {
    private final LlmModel model;
    private final LlmSession session;
    private final RemoteModelClient client;
    private Level level = Level.TOKEN;
    private double share = TokenRouter.DEFAULT_SHARE;
    private int burstTokens = DEFAULT_BURST_TOKENS;
    private ToDoubleFunction<LlmSession> measure = of(Uncertainty.TOP1);
    private @Nullable RemotePolicy policy;
    private RoutingListener events = RoutingListener.none();
    private double[] learned = new double[0];
    private int leastMillis = 250;
    private int mostMillis = 3000;

    private Builder(LlmModel model, LlmSession session, RemoteModelClient client) {
      this.model = Objects.requireNonNull(model, "model");
      this.session = Objects.requireNonNull(session, "session");
      this.client = Objects.requireNonNull(client, "client");
    }

    /**
     * What is decided at once. Default: {@link Level#TOKEN}.
     *
     * @param value tokens or requests (required)
     * @return this
     */
    public Builder level(Level value) {
      level = Objects.requireNonNull(value, "value");
      return this;
    }

    /**
     * The share of tokens, or of requests, that the larger model answers. Default: {@link TokenRouter#DEFAULT_SHARE}.
     *
     * @param value from 0, none, to 1, all
     * @return this
     */
    public Builder share(double value) {
      share = value;
      return this;
    }

    /**
     * How many tokens the larger model writes when it is asked. Default: {@link #DEFAULT_BURST_TOKENS}.
     *
     * @param value at least 1
     * @return this
     */
    public Builder burstTokens(int value) {
      burstTokens = value;
      return this;
    }

    /**
     * How unsureness is measured. Default: {@link Uncertainty#TOP1}.
     *
     * @param value the measure; the entropy costs a pass over the vocabulary in Java (required)
     * @return this
     */
    public Builder uncertainty(Uncertainty value) {
      return measure(of(value));
    }

    /**
     * How unsureness is measured, by something else such as a trained router.
     *
     * @param value gives the unsureness, 0 to 1, of the token that comes next in a session whose logits can be read
     *     (required)
     * @return this
     */
    public Builder measure(ToDoubleFunction<LlmSession> value) {
      measure = Objects.requireNonNull(value, "value");
      return this;
    }

    private static ToDoubleFunction<LlmSession> of(Uncertainty kind) {
      if (kind == Uncertainty.ENTROPY) {
        return session -> kind.of(session.logits());
      }
      return session -> {
        List<TokenLogprob> top = session.topLogprobs(2);
        return kind.of(top.get(0).logprob(), top.get(1).logprob());
      };
    }

    /**
     * What may leave the device. It should know the client's link and breaker. Default: everything, as far as the client's
     * link allows.
     *
     * @param value the policy (required)
     * @return this
     */
    public Builder policy(RemotePolicy value) {
      policy = Objects.requireNonNull(value, "value");
      return this;
    }

    /**
     * Who hears the decisions. Default: nobody.
     *
     * @param value the listener (required)
     * @return this
     */
    public Builder events(RoutingListener value) {
      events = Objects.requireNonNull(value, "value");
      return this;
    }

    /**
     * What another generator has learned of the same model. Default: nothing.
     *
     * @param value {@link TokenRouter#learned()} (required)
     * @return this
     */
    public Builder learned(double[] value) {
      learned = value.clone();
      return this;
    }

    /**
     * Bounds of the time that a burst may take to its first token, and from one token to the next: within them it is three
     * times the 95th percentile of what it took so far. Default: 250 and 3000.
     *
     * @param least milliseconds, above 0
     * @param most milliseconds, at least as much
     * @return this
     */
    public Builder deadlines(int least, int most) {
      leastMillis = least;
      mostMillis = most;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the generator (never null)
     * @throws IllegalArgumentException if a number is out of range
     */
    public RoutedGenerator build() {
      return new RoutedGenerator(this);
    }
  }
}
