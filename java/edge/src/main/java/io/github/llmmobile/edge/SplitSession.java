package io.github.llmmobile.edge;

import io.github.llmmobile.ContextFullException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmCancelledException;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.TokenLogprob;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.SplitChoice;
import io.github.llmmobile.edge.policy.SplitPlanner;
import io.github.llmmobile.edge.text.StopFilter;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Rows;
import io.github.llmmobile.edge.wire.Wire;
import java.nio.FloatBuffer;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A conversation whose first layers are evaluated here and whose last layers are evaluated by a worker. A token is chosen
 * here, once, from the candidates that come back; when they do not come in time, the same rows go through the last layers
 * here, in the same batches, and the same candidates come of it. So no token is lost or said twice whatever happens to the
 * network, and with {@link SplitOptions#exactReplay()} the answer is the one that there would have been without.
 *
 * <p>One call at a time, from any thread. {@link #cancel()}, {@link #stats()}, {@link #trouble()} and {@link #close()} may come at any time.
 * The session does not own the model, which must stay open.
 */
public final class SplitSession implements AutoCloseable {
  /** The id of an entry without a token: text that was held back and comes out at the end. */
  public static final int NO_TOKEN = -1;

  /** Rows that are evaluated at once at most. */
  static final int MAX_BATCH = 512;

  private static final int DEFAULT_CONTEXT = 4096;
  private static final int MAX_TOP_K = 256;
  private static final double MICROS_PER_MILLI = 1e3;

  private final LlmModel model;
  private final ModelInfo info;
  private final SplitOptions options;
  private final int split;
  private final int contextTokens;
  private final @Nullable SplitPages pages;
  private final DeviceSessions here;
  private final LlmSession lower;
  private final @Nullable LlmSession upper;
  private final RowHistory history;
  private final WorkerLink link;
  private final WorkerAddress address;
  private final SplitChoice choice;
  private final SplitPlanner.@Nullable Plan plan;
  private final SplitStats.Recorder stats = new SplitStats.Recorder();
  private final Set<Integer> endTokens = new HashSet<>();
  private final FloatBuffer hidden;
  private final FloatBuffer replayed;
  private int[] tokens = new int[0];
  private int upperPosition;
  /** What the lower layers took in the running step. */
  private long lowerNanos;
  /** Tokens that the answer may still have, the next one included. */
  private int remaining;
  private volatile CompletableFuture<Void> cancel = new CompletableFuture<>();

  private SplitSession(LlmModel model, WorkerAddress address, SplitOptions options, SplitStart start) {
    this.model = model;
    this.address = address;
    this.options = options;
    split = start.split;
    contextTokens = context(model.info(), start.worker, options);
    choice = start.choice;
    plan = start.plan;
    info = model.info();
    for (int token : info.endTokens()) {
      endTokens.add(token);
    }
    hidden = Rows.allocate(MAX_BATCH, info.embedding());
    replayed = Rows.allocate(MAX_BATCH, info.embedding());
    pages = start.worker == null ? null : start.worker.pages().orElse(null);
    history = new RowHistory(options.format(info, split), options.exactReplay(), pages);
    here = new DeviceSessions(model, options, split, contextTokens, pages, start.localFallback);
    lower = here.lower();
    upper = here.upper();
    try {
      link = new WorkerLink(address, new WorkerStream.Identity(new SecureRandom(), info.fingerprint(), split,
          info.layers(), contextTokens, history.format(), pages), history, options, start.policy, stats);
    } catch (RuntimeException e) {
      here.close();
      throw e;
    }
  }

  /**
   * Opens a session and connects it to a worker. With {@link SplitOptions#localFallback()} a worker that cannot be reached
   * is no failure: the session begins without it and goes on trying.
   *
   * @param model the model; without local fallback it may have been loaded with the layers before the split alone
   *     (required)
   * @param address the worker (required)
   * @param options how (required)
   * @return the session; the caller closes it (never null)
   * @throws LlmException REMOTE_REFUSED if the worker has another model, other layers, other keys, speaks another version
   *     or does not take sessions of that length, or has not the same basis; REMOTE_UNAVAILABLE if it cannot be reached and
   *     there is no local fallback; RANGE if the split is not within the model or not one of the basis, or more is to be kept
   *     than there is; BASIS_INVALID if the basis is of another model; OUT_OF_MEMORY if the device's state has too little
   *     memory for any plan, or the memory manager too little for the local fallback; NOT_AVAILABLE if the configuration is
   *     strict and asks for what does not act; IO if keys cannot be read; what opening sessions throws
   */
  public static SplitSession open(LlmModel model, WorkerAddress address, SplitOptions options) {
    Objects.requireNonNull(options, "options");
    DeviceSessions.check(options.techniques());
    SplitStart start = SplitStart.of(model, address, options);
    SplitSession session = new SplitSession(model, address, options, start);
    try {
      if (start.connects()) {
        session.connect();
      } else {
        session.link.allow(start.absence != null);
        session.link.connectLater(start.absence);
      }
      return session;
    } catch (RuntimeException e) {
      session.close();
      throw e;
    }
  }

  /** Tokens that a session will hold. */
  static int context(ModelInfo info, @Nullable WorkerInfo worker, SplitOptions options) {
    int most = worker == null ? Integer.MAX_VALUE : worker.maxPositions();
    if (options.contextTokens() > most) {
      throw new LlmException(ErrorCode.REMOTE_REFUSED,
          "the worker's sessions hold up to " + most + " tokens, not " + options.contextTokens());
    }
    int trained = info.contextTrain() > 0 ? info.contextTrain() : DEFAULT_CONTEXT;
    return options.contextTokens() > 0 ? options.contextTokens()
        : Math.min(most, Math.min(DEFAULT_CONTEXT, trained));
  }

  private void connect() {
    try {
      link.connect();
    } catch (ProtocolException e) {
      if (!e.passes() || upper == null) {
        throw Failures.of(address, e);
      }
    } catch (InterruptedException e) {
      throw interrupted();
    }
  }

  /**
   * The first layer of the worker's part.
   *
   * @return from 1
   */
  public int split() {
    return split;
  }

  /**
   * How rows travel.
   *
   * @return the format (never null)
   */
  public RowFormat format() {
    return history.format();
  }

  /**
   * Tokens that the session can hold.
   *
   * @return their number
   */
  public int contextTokens() {
    return contextTokens;
  }

  /**
   * Why there is no worker at the moment.
   *
   * @return a text for people; empty while there is one (never null)
   */
  public Optional<String> trouble() {
    ProtocolException failure = link.lastFailure();
    return failure == null ? Optional.empty() : Optional.of("worker " + address + ": " + failure.getMessage());
  }

  /**
   * What was planned when the session began.
   *
   * @return the plan; empty if the split was fixed or nothing could be measured (never null)
   */
  public Optional<SplitPlanner.Plan> plan() {
    return Optional.ofNullable(plan);
  }

  /**
   * Counters since the session began.
   *
   * @return the counters (never null)
   */
  public SplitStats stats() {
    return stats.stats();
  }

  /**
   * How the worker's layers are kept, at the worker and here.
   *
   * @return the pages; empty if they are unpaged (never null)
   */
  public Optional<SplitPages> pages() {
    return Optional.ofNullable(pages);
  }

  /**
   * What became of the techniques that act in the device's layers: memory manager and token pruning.
   *
   * @return a report for each technique; those that do not act in a split session are off (never null)
   */
  public List<TechniqueReport> techniques() {
    return lower.techniques();
  }

  /**
   * Counters of the part of the model that this device evaluates in any case: memory and threads. It samples nothing.
   *
   * @return the counters (never null)
   */
  public SessionStats deviceStats() {
    return lower.stats();
  }

  /**
   * Generates an answer. The prompt replaces the history: what both begin with is not evaluated again.
   *
   * @param prompt tokens of the whole history that the answer continues, at least one (required)
   * @param generation how; of the sampling options temperature, top-k up to 256, top-p, min-p, the seed, penalties and biases
   *     that make tokens less likely, ignoring the end and stop strings (required)
   * @param listener hears tokens and steps (required)
   * @return the answer; after {@link #cancel()} as far as it came (never null)
   * @throws ContextFullException if the prompt does not fit; nothing has changed
   * @throws LlmException NOT_AVAILABLE if the options ask for what candidates alone do not suffice for, INVALID_ARGUMENT if
   *     the prompt has no tokens, RANGE: nothing has changed. REMOTE_UNAVAILABLE or REMOTE_REFUSED if the worker is gone
   *     and there is no local fallback: the session stands where it got to
   */
  public SplitResult generate(int[] prompt, GenerationOptions generation, SplitListener listener) {
    CandidateSampler sampler = new CandidateSampler(generation, info, Math.min(MAX_TOP_K, info.vocabulary()));
    if (prompt.length == 0) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "prompt: has no tokens");
    }
    if (prompt.length > contextTokens) {
      throw new ContextFullException(
          "a prompt of " + prompt.length + " tokens does not fit a context of " + contextTokens);
    }
    CompletableFuture<Void> stop = new CompletableFuture<>();
    cancel = stop;
    int reused = commonPrefix(prompt);
    StreamingText text = new StreamingText(model, prompt);
    StopFilter filter = new StopFilter(generation.stop());
    StringBuilder all = new StringBuilder();
    int[] made = new int[16];
    int count = 0;
    StopReason reason = null;
    remaining = generation.maxTokens() < 0 ? options.answerTokens() : generation.maxTokens();
    try {
      rewind(reused);
      for (int token : prompt) {
        sampler.accept(token);
      }
      Candidates candidates = step(Arrays.copyOfRange(prompt, reused, prompt.length), sampler.wanted(), listener);
      while (reason == null) {
        int token = sampler.pick(candidates);
        sampler.accept(token);
        if (endTokens.contains(token)) {
          reason = StopReason.END;
        } else if (generation.maxTokens() >= 0 && count == generation.maxTokens()) {
          reason = StopReason.MAX_TOKENS;
        } else {
          made = count == made.length ? Arrays.copyOf(made, 2 * count) : made;
          made[count++] = token;
          String piece = filter.push(text.add(token));
          all.append(piece);
          listener.onToken(token, piece);
          if (filter.stopped()) {
            reason = StopReason.STOP_STRING;
          } else if (count == generation.maxTokens()) {
            reason = StopReason.MAX_TOKENS;
          } else if (tokens.length == contextTokens) {
            reason = StopReason.CONTEXT_FULL;
          } else {
            remaining = Math.max(1, remaining - 1);
            candidates = step(new int[] {token}, sampler.wanted(), listener);
          }
        }
      }
    } catch (LlmCancelledException e) {
      reason = StopReason.CANCELLED;
    }
    String rest = filter.push(text.end()) + filter.finish();
    if (!rest.isEmpty()) {
      all.append(rest);
      listener.onToken(NO_TOKEN, rest);
    }
    return new SplitResult(
        all.toString(), Arrays.copyOf(made, count), prompt.length, reused, reason, stats.stats());
  }

  /** At least one token of a prompt is evaluated, since candidates come of it. */
  private int commonPrefix(int[] prompt) {
    int most = Math.min(tokens.length, prompt.length - 1);
    int same = 0;
    while (same < most && tokens[same] == prompt[same]) {
      same++;
    }
    return same;
  }

  private void rewind(int size) {
    if (size == tokens.length) {
      return;
    }
    int cut;
    try {
      cut = link.rewind(size);
    } catch (InterruptedException e) {
      throw interrupted();
    }
    lower.rewind(size);
    if (upper != null && upperPosition > size) {
      upperPosition = cut;
      upper.rewind(upperPosition);
    }
    tokens = Arrays.copyOf(tokens, size);
  }

  /** Evaluates tokens and gives the candidates for the next one. */
  private Candidates step(int[] added, WorkerStream.Wanted wanted, SplitListener listener) {
    long begin = System.nanoTime();
    lowerNanos = 0;
    try {
      for (int at = 0; at < added.length; at += MAX_BATCH) {
        stopIfCancelled();
        lowerBatch(Arrays.copyOfRange(added, at, Math.min(at + MAX_BATCH, added.length)));
        if (at + MAX_BATCH < added.length && refusal() == null) {
          link.sendAhead();
        }
      }
      return finish(added.length, wanted, listener, begin);
    } catch (InterruptedException e) {
      throw interrupted();
    }
  }

  private void lowerBatch(int[] batch) {
    FloatBuffer out = Rows.some(hidden, 0, batch.length, info.embedding());
    long begin = System.nanoTime();
    lower.evalHidden(batch, null, out);
    lowerNanos += System.nanoTime() - begin;
    try {
      history.append(out);
    } catch (RuntimeException e) {
      lower.rewind(tokens.length);
      throw e;
    }
    int size = tokens.length;
    tokens = Arrays.copyOf(tokens, size + batch.length);
    System.arraycopy(batch, 0, tokens, size, batch.length);
  }

  private Candidates finish(int rows, WorkerStream.Wanted wanted, SplitListener listener, long begin)
      throws InterruptedException {
    Refusal refusal = refusal();
    long waitUntil = System.nanoTime() + options.remoteWait().toNanos();
    while (refusal == null) {
      int sentRows = link.gap();
      WorkerLink.Outcome outcome = link.step(wanted, cancel);
      stopIfCancelled();
      Candidates candidates = outcome.answer == null ? null : parse(outcome.answer, wanted);
      if (outcome.answer != null && candidates != null) {
        SplitEvent event = SplitEvent.split(choice.reason(), tokens.length, Math.max(rows, sentRows), outcome.answer,
            micros(lowerNanos), micros(System.nanoTime() - begin - lowerNanos));
        if (event.rows() == 1) {
          choice.splitStep(event.lowerMicros() / MICROS_PER_MILLI, event.upperMicros() / MICROS_PER_MILLI);
        }
        report(listener, event);
        return candidates;
      }
      if (upper != null) {
        refusal = new Refusal(Reason.REMOTE_FAILED, outcome.answer == null ? outcome.reason : "answer");
        break;
      }
      awaitWorker(waitUntil);
    }
    if (upper == null) {
      throw new LlmException(ErrorCode.REMOTE_UNAVAILABLE,
          "the worker may not be used (" + refusal.why.text() + "), and there is no local fallback");
    }
    int behind = tokens.length - upperPosition;
    Candidates candidates = upperHere(upper, wanted);
    SplitEvent event = SplitEvent.local(refusal.why, refusal.word, tokens.length, rows, micros(lowerNanos),
        micros(System.nanoTime() - begin - lowerNanos));
    if (behind == 1 && refusal.why != Reason.REMOTE_FAILED) {
      choice.localStep(event.lowerMicros() / MICROS_PER_MILLI, event.upperMicros() / MICROS_PER_MILLI);
    }
    report(listener, event);
    return candidates;
  }

  /** The candidates of an answer; a worker that sends something else is not asked again. */
  private @Nullable Candidates parse(WorkerStream.Answer answer, WorkerStream.Wanted wanted) {
    if (wanted.logSum && Float.isNaN(answer.logSum)) {
      link.distrust("the worker does not tell logits, which a repetition penalty needs: it is older than this device");
      return null;
    }
    try {
      return Candidates.parse(answer.candidates, wanted.topK, wanted.logSum ? answer.logSum : 0, info.vocabulary());
    } catch (LlmException e) {
      link.distrust(String.valueOf(e.getMessage()));
      return null;
    }
  }

  /** Why a step is not tried at the worker, or has failed there. */
  private static final class Refusal {
    private final Reason why;
    private final String word;

    Refusal(Reason why, String word) {
      this.why = why;
      this.word = word;
    }
  }

  /** Asks before each step, and sees to it that what is asked is known. */
  private @Nullable Refusal refusal() {
    int rows = link.gap();
    Optional<String> gate = options.gate().refusal(rows, (long) rows * history.format().recordBytes());
    Optional<Reason> refused = gate.isPresent() ? Optional.of(Reason.GATE)
        : choice.refusal(tokens.length - 1 - upperPosition, remaining);
    if (!gate.isPresent() && choice.wantsProbe()) {
      link.probe();
    }
    link.allow(!refused.isPresent());
    return refused.map(why -> new Refusal(why, gate.map(says -> "gate: " + says).orElse(why.jsonName()))).orElse(null);
  }

  private void report(SplitListener listener, SplitEvent event) {
    stats.step(event);
    listener.onStep(event);
  }

  private static long micros(long nanos) {
    return TimeUnit.NANOSECONDS.toMicros(nanos);
  }

  /** Without local fallback there is nothing to do but to wait. */
  private void awaitWorker(long until) throws InterruptedException {
    stopIfCancelled();
    long left = until - System.nanoTime();
    if (left > 0 && link.awaitStream(left)) {
      return;
    }
    ProtocolException failure = link.lastFailure();
    throw failure != null ? Failures.of(address, failure)
        : new LlmException(ErrorCode.REMOTE_UNAVAILABLE, "worker " + address + " does not answer");
  }

  /** The last layers on this device, over all rows that they have not seen here yet. */
  private Candidates upperHere(LlmSession rest, WorkerStream.Wanted wanted) {
    while (upperPosition < history.size()) {
      RowHistory.Piece piece = history.piece(upperPosition, MAX_BATCH, !options.exactReplay());
      history.format().decode(piece.records, replayed);
      int at = 0;
      for (int size : piece.sizes) {
        stopIfCancelled();
        rest.evalHidden(new int[size], Rows.some(replayed, at, size, info.embedding()), null);
        at += size;
        upperPosition += size;
      }
    }
    List<TokenLogprob> top = rest.topLogprobs(wanted.topK);
    int[] ids = new int[wanted.topK];
    float[] logprobs = new float[wanted.topK];
    for (int i = 0; i < wanted.topK; i++) {
      ids[i] = top.get(i).token();
      logprobs[i] = (float) top.get(i).logprob();
    }
    return new Candidates(ids, logprobs, wanted.logSum ? Wire.logSum(rest, top.get(0)) : 0);
  }

  private void stopIfCancelled() {
    if (cancel.isDone()) {
      throw new LlmCancelledException("cancelled");
    }
    if (Thread.currentThread().isInterrupted()) {
      throw new LlmCancelledException("the thread is interrupted");
    }
  }

  private static LlmCancelledException interrupted() {
    Thread.currentThread().interrupt();
    return new LlmCancelledException("the thread is interrupted");
  }

  /** Cancels the running call, within a fraction of a token's time. Without one nothing happens, now or later. */
  public void cancel() {
    cancel.complete(null);
    lower.cancel();
    if (upper != null) {
      upper.cancel();
    }
  }

  /** Cancels the running call, tells the worker, and frees what the session has here. Further calls do nothing. */
  @Override
  public void close() {
    cancel();
    link.close();
    here.close();
  }
}
