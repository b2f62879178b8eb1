package io.github.llmmobile.edge.remote;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ContextFullException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmCancelledException;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.RemotePolicy;
import io.github.llmmobile.edge.policy.RoutingEvent;
import io.github.llmmobile.edge.remote.RemoteException.Kind;
import io.github.llmmobile.edge.text.StopFilter;
import java.util.Collections;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** One routed generation. */
final class RoutedGeneration {
  private static final long MAX_SEED = 0xFFFFFFFFL;
  /** What a remote model may take to read one token before it answers: that of a slow machine. */
  private static final long READ_NANOS_PER_TOKEN = 5_000_000L;
  private static final long LONGEST_WAIT_NANOS = 30_000_000_000L;

  private final RoutedGenerator setup;
  private final LlmSession session;
  private final RoutedPrompt prompt;
  private final GenerationOptions options;
  private final RoutedListener listener;
  private final CancellationToken cancellation;
  private final int[] promptTokens;
  private final AnswerTokens answer;
  private final StopFilter filter;
  private final StringBuilder shown = new StringBuilder();
  private final RoutingStats stats = new RoutingStats();
  /** Whether the session holds, evaluated or about to be, exactly what the answer says. */
  private boolean inSession;
  /** Tokens that the remote model has not read yet. */
  private int unread;
  private boolean alone;
  /** Time of the device for the token that is being decided on: evaluating the one before is part of it. */
  private long decidingNanos;
  /** Pieces of the burst that is going on. */
  private int pulled;
  private @Nullable StopReason end;

  // The run of local tokens that is going on.
  private @Nullable Reason runReason;
  private String runDetail = "";
  private int runBegin;
  private int runTokens;
  private long runNanos;

  RoutedGeneration(RoutedGenerator setup, RoutedPrompt prompt, GenerationOptions options, RoutedListener listener,
      CancellationToken cancellation) {
    this.setup = setup;
    this.prompt = prompt;
    this.options = options;
    this.listener = listener;
    this.cancellation = cancellation;
    session = setup.session;
    LlmModel model = setup.model;
    promptTokens = prompt.tokens(model);
    answer = new AnswerTokens(new Vocabulary() {
      @Override
      public int[] tokenize(String text) {
        return model.tokenize(text, false, false);
      }

      @Override
      public String detokenize(int[] tokens) {
        return model.detokenize(tokens, false);
      }
    }, promptTokens);
    filter = new StopFilter(options.stop());
    unread = prompt.roughTokens();
  }

  RoutedResult run() {
    SessionStats before = session.stats();
    boolean fits = promptTokens.length < session.contextTokens();
    if (setup.level == RoutedGenerator.Level.REQUEST || !fits) {
      wholeRequest(fits);
    } else if (prompt.isChat() && remoteAllowed()) {
      needContinuation();
    }
    while (end == null) {
      step();
    }
    endRun();
    show(filter.push(answer.rest()), Place.LOCAL);
    show(filter.finish(), Place.LOCAL);
    return new RoutedResult(shown.toString(), end, promptTokens.length, stats, session.stats().since(before),
        session.techniques());
  }

  private boolean remoteAllowed() {
    return setup.router.share() > 0 && !setup.policy.forbids().isPresent();
  }

  private void needContinuation() {
    RemoteDescription what;
    try {
      what = setup.client.describe((int) (LONGEST_WAIT_NANOS / 1_000_000), cancellation);
    } catch (RemoteException e) {
      if (e.kind() == Kind.CANCELLED) {
        throw new LlmCancelledException("cancelled before the generation began");
      }
      workAlone(Reason.ENDPOINT_DOWN, String.valueOf(e.getMessage()));
      return;
    }
    if (!what.continuesChat() && setup.router.share() < 1) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE,
          "the endpoint cannot continue an answer that another model has begun; route whole requests instead");
    }
  }

  // ---- requests -----------------------------------------------------------------------------------------------

  private void wholeRequest(boolean fits) {
    double uncertainty = Double.NaN;
    double share = setup.router.share();
    if (fits && share > 0 && share < 1 && remoteAllowed()) {
      read();
      uncertainty = uncertainty();
    }
    RemotePolicy.Choice choice = share == 0 && fits ? null : setup.policy.chooseRequest(fits, uncertainty);
    if (choice == null || choice.place() == Place.LOCAL) {
      workAlone(choice == null ? Reason.EASY : choice.reason(), "");
      return;
    }
    RemoteException failure = burst(Integer.MAX_VALUE, choice.reason(), uncertainty);
    if (failure != null && !fits) {
      throw failure;
    }
    if (end == null) {
      workAlone(Reason.REMOTE_FAILED, failure == null ? "" : String.valueOf(failure.getMessage()));
    }
  }

  private void workAlone(Reason reason, String detail) {
    alone = true;
    beginRun(reason, detail);
  }

  // ---- tokens -------------------------------------------------------------------------------------------------

  private void step() {
    if (filter.stopped()) {
      end = StopReason.STOP_STRING;
    } else if (cancellation.isCancelled()) {
      end = StopReason.CANCELLED;
    } else if (left() <= 0) {
      end = StopReason.MAX_TOKENS;
    } else if (alone || answer.incomplete() || setup.router.share() == 0) {
      localToken(runReason == null ? Reason.EASY : runReason, runDetail);
    } else {
      routedStep();
    }
  }

  private int left() {
    return options.maxTokens() < 0 ? Integer.MAX_VALUE
        : options.maxTokens() - stats.localTokens() - stats.remoteTokens();
  }

  private void routedStep() {
    Optional<Reason> forbidden = setup.policy.forbids();
    if (forbidden.isPresent()) {
      localToken(forbidden.get(), "");
      return;
    }
    Optional<Reason> spares = setup.policy.spares();
    double uncertainty = Double.NaN;
    Reason reason;
    if (spares.isPresent()) {
      reason = spares.get();
    } else {
      if (setup.router.share() < 1) {
        read();
        if (end != null) {
          return;
        }
        uncertainty = uncertainty();
      }
      reason = setup.router.decide(Double.isNaN(uncertainty) ? 1 : uncertainty);
      if (reason != Reason.HARD) {
        localToken(reason, "");
        return;
      }
    }
    int most = spares.isPresent() || setup.router.share() == 1 ? Integer.MAX_VALUE : setup.burstTokens;
    RemoteException failure = burst(most, reason, uncertainty);
    if (failure != null && end == null && left() > 0) {
      localToken(failure.kind() == Kind.BREAKER_OPEN ? Reason.ENDPOINT_DOWN : Reason.REMOTE_FAILED,
          String.valueOf(failure.getMessage()));
    }
  }

  /** Has the session evaluate what it lacks, without choosing a token. */
  private void read() {
    if (inSession) {
      return;
    }
    long began = System.nanoTime();
    generate(0);
    decidingNanos += System.nanoTime() - began;
  }

  private double uncertainty() {
    long began = System.nanoTime();
    double uncertainty = setup.measure.applyAsDouble(session);
    decidingNanos += System.nanoTime() - began;
    return uncertainty;
  }

  private void localToken(Reason reason, String detail) {
    beginRun(reason, detail);
    long began = System.nanoTime();
    GenerationResult result = generate(1);
    if (result == null) {
      return;
    }
    int[] tokens = result.tokens();
    if (tokens.length == 0) {
      end = result.stopReason();
      return;
    }
    String text = answer.append(tokens[0]);
    long nanos = System.nanoTime() - began + decidingNanos;
    decidingNanos = 0;
    stats.local(nanos);
    setup.router.local();
    unread++;
    runTokens++;
    runNanos += nanos;
    show(filter.push(text), Place.LOCAL);
    if (result.stopReason() == StopReason.CANCELLED) {
      end = StopReason.CANCELLED;
    }
  }

  /** Null if that was the end. */
  private @Nullable GenerationResult generate(int tokens) {
    GenerationOptions.Builder step = options.toBuilder().maxTokens(tokens).stop(Collections.emptyList());
    // The same number at every step would draw the same lot at every step.
    OptionalLong seed = seed();
    seed.ifPresent(step::seed);
    try {
      GenerationResult result = session.generate(Prompt.tokens(answer.all()), step.build(), token -> {}, cancellation);
      inSession = true;
      return result;
    } catch (ContextFullException e) {
      if (answer.size() == 0) {
        throw e;
      }
      end = StopReason.CONTEXT_FULL;
    } catch (LlmCancelledException e) {
      if (answer.size() == 0) {
        throw e;
      }
      end = StopReason.CANCELLED;
    }
    return null;
  }

  private OptionalLong seed() {
    return options.seed().isPresent()
        ? OptionalLong.of(options.seed().getAsLong() + answer.size() & MAX_SEED) : OptionalLong.empty();
  }

  // ---- bursts -------------------------------------------------------------------------------------------------

  /** Has the remote model go on for some tokens. What came before a failure counts. Null if there was none. */
  private @Nullable RemoteException burst(int most, Reason reason, double uncertainty) {
    endRun();
    stats.deciding(decidingNanos);
    decidingNanos = 0;
    int begin = stats.localTokens() + stats.remoteTokens();
    long began = System.nanoTime();
    RemoteCall call;
    try {
      call = setup.client.start(prompt.request(answer.text()).maxTokens(Math.min(most, Math.min(left(), 1 << 20)))
          .sampling(options).seed(seed()).build());
    } catch (RemoteException e) {
      stats.refused();
      return e;
    }
    StringBuilder text = new StringBuilder();
    RemoteException failure = null;
    try (RemoteCall closing = call) {
      pull(closing, began, text);
    } catch (RemoteException e) {
      failure = e;
    } finally {
      inSession = inSession && text.length() == 0;
      answer.append(text.toString());
    }
    int tokens = failure == null && call.tokens() > 0 && !filter.stopped() ? call.tokens() : pulled;
    long nanos = System.nanoTime() - began;
    boolean cancelled = failure != null && failure.kind() == Kind.CANCELLED;
    stats.burst(tokens, call, nanos, failure != null && !cancelled);
    setup.router.remote(tokens);
    setup.policy.spent(tokens + Math.max(0, call.promptTokens()));
    unread = tokens > 0 ? 0 : unread;
    setup.events.onDecision(RoutingEvent.of(Place.REMOTE, reason).position(begin).tokens(tokens)
        .bytes(call.bytesUp(), call.bytesDown()).nanos(nanos).uncertainty(uncertainty)
        .detail(failure == null ? "" : String.valueOf(failure.getMessage())).build());
    if (cancelled) {
      end = StopReason.CANCELLED;
    } else if (failure == null && !filter.stopped()) {
      boolean stop = !"length".equals(call.finishReason().orElse("stop"));
      if (stop && !options.ignoreEos()) {
        end = StopReason.END;
      } else if (tokens == 0) {
        // It says nothing more, and that is not to be the end.
        return new RemoteException(Kind.REFUSED, "the endpoint has nothing to add");
      }
    }
    return failure;
  }

  private void pull(RemoteCall call, long began, StringBuilder text) {
    pulled = 0;
    long deadline = began + Math.min(LONGEST_WAIT_NANOS, setup.deadline.nanos() + unread * READ_NANOS_PER_TOKEN);
    for (RemoteToken token = call.next(deadline, cancellation); token != null;
        token = call.next(deadline, cancellation)) {
      long now = System.nanoTime();
      if (pulled++ == 0) {
        setup.deadline.took(now - began);
      }
      text.append(token.text());
      show(filter.push(token.text()), Place.REMOTE);
      if (filter.stopped()) {
        return;
      }
      deadline = now + setup.deadline.nanos();
    }
  }

  // ---- what is heard ------------------------------------------------------------------------------------------

  private void show(String text, Place place) {
    if (!text.isEmpty()) {
      shown.append(text);
      listener.onText(text, place);
    }
  }

  /** Local tokens of one reason make one event. */
  private void beginRun(Reason reason, String detail) {
    if (reason == runReason && detail.equals(runDetail)) {
      return;
    }
    endRun();
    runReason = reason;
    runDetail = detail;
    runBegin = stats.localTokens() + stats.remoteTokens();
  }

  private void endRun() {
    if (runReason != null && runTokens > 0) {
      setup.events.onDecision(RoutingEvent.of(Place.LOCAL, runReason).position(runBegin).tokens(runTokens)
          .nanos(runNanos).detail(runDetail).build());
    }
    runReason = null;
    runDetail = "";
    runTokens = 0;
    runNanos = 0;
  }
}
