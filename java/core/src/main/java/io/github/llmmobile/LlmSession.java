package io.github.llmmobile;

import io.github.llmmobile.config.TokenPruningConfig;
import io.github.llmmobile.internal.CallHandle;
import io.github.llmmobile.internal.NativeAdapter;
import io.github.llmmobile.internal.NativeHandle;
import io.github.llmmobile.internal.NativeSession;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/**
 * One conversation with a model: a history of tokens, and the cache that makes continuing it cheap.
 *
 * <p>A session takes one call at a time, from any thread; a second one is refused with {@link ErrorCode#BUSY} and
 * changes nothing. {@link #cancel()}, {@link #setThreads}, {@link #setMemoryBudget}, {@link #trimMemory}, {@link
 * #contextTokens()}, {@link #techniques()} and {@link #close()} may come at any time, from listeners as well. After
 * close every method but these last three throws {@link IllegalStateException}; {@link #cancel()} does nothing.
 *
 * <p>Interrupting the thread of a call cancels it; the interrupt flag stays set. Calls without a result of their own
 * then throw {@link LlmCancelledException} and leave the session usable.
 */
public final class LlmSession implements AutoCloseable {
  private static final TokenListener SILENT = token -> {};

  private final NativeSession handle;
  private final int vocabulary;
  private final GenerationOptions defaultOptions;
  private final boolean exactAttention;
  /** Drafted where the options of a generation draft none. */
  private final int draftTokens;
  private volatile List<TechniqueReport> techniques;
  private final Object budgetLock = new Object();
  // Bytes, 0 for none. Guarded by budgetLock: the native side tells its own only between calls.
  private long budget;

  LlmSession(NativeSession handle, int vocabulary, GenerationOptions defaultOptions,
      List<TechniqueReport> techniques, long budget, boolean exactAttention, int draftTokens) {
    this.handle = handle;
    this.vocabulary = vocabulary;
    this.defaultOptions = defaultOptions;
    this.techniques = techniques;
    this.budget = budget;
    this.exactAttention = exactAttention;
    this.draftTokens = draftTokens;
  }

  // ---- generating ---------------------------------------------------------------------------------------------

  /**
   * Generates an answer with the default options.
   *
   * @param prompt the whole history that the answer continues (required)
   * @return the answer (never null)
   * @throws LlmException as {@link #generate(Prompt, GenerationOptions, TokenListener, CancellationToken)}
   */
  public GenerationResult generate(Prompt prompt) {
    return generate(prompt, defaultOptions);
  }

  /**
   * Generates an answer.
   *
   * @param prompt the whole history that the answer continues (required)
   * @param options how (required)
   * @return the answer (never null)
   * @throws LlmException as {@link #generate(Prompt, GenerationOptions, TokenListener, CancellationToken)}
   */
  public GenerationResult generate(Prompt prompt, GenerationOptions options) {
    return generate(prompt, options, SILENT);
  }

  /**
   * Generates an answer, token by token.
   *
   * @param prompt the whole history that the answer continues (required)
   * @param options how (required)
   * @param listener hears each token on this thread (required)
   * @return the answer (never null)
   * @throws LlmException as {@link #generate(Prompt, GenerationOptions, TokenListener, CancellationToken)}
   */
  public GenerationResult generate(Prompt prompt, GenerationOptions options, TokenListener listener) {
    return generate(prompt, options, listener, CancellationToken.none());
  }

  /**
   * Generates an answer, token by token, until it is complete or someone cancels. The prompt replaces the history: what
   * both begin with is not evaluated again.
   *
   * <p>A cancel while tokens are generated gives the answer so far with {@link StopReason#CANCELLED}. What the listener
   * throws comes out of this method; the history then holds the tokens up to there.
   *
   * @param prompt the whole history that the answer continues (required)
   * @param options how (required)
   * @param listener hears each token on this thread (required)
   * @param cancellation cancels, also if it was cancelled before (required)
   * @return the answer (never null)
   * @throws ContextFullException if the prompt does not fit; nothing has changed
   * @throws LlmCancelledException if someone cancelled before the prompt was read; the history is what the prompt and
   *     the former history have in common
   * @throws LlmException BUSY, GRAMMAR, JSON, RANGE, TEMPLATE, ENCODING, or INVALID_ARGUMENT if the prompt has no
   *     tokens: nothing has changed. OUT_OF_MEMORY or INTERNAL
   */
  public GenerationResult generate(
      Prompt prompt, GenerationOptions options, TokenListener listener, CancellationToken cancellation) {
    return generate(prompt, options, listener, cancellation, () -> {});
  }

  /** {@code onCancel} ends waits of the listener when the call is cancelled by whatever means. */
  GenerationResult generate(
      Prompt prompt,
      GenerationOptions options,
      TokenListener listener,
      CancellationToken cancellation,
      Runnable onCancel) {
    Objects.requireNonNull(prompt, "prompt");
    Objects.requireNonNull(options, "options");
    Objects.requireNonNull(listener, "listener");
    Objects.requireNonNull(cancellation, "cancellation");
    try (CallHandle.Call call = handle.begin(onCancel);
        CancellationToken.Registration registration = cancellation.register(call::cancel)) {
      if (cancellation.isCancelled()) {
        throw new LlmCancelledException("cancelled before the generation began");
      }
      GenerationOptions drafted = options.draftTokens() == 0 && draftTokens > 0
          ? options.toBuilder().draftTokens(draftTokens).build() : options;
      return new Generation(handle, drafted, listener).run(prompt, techniques);
    }
  }

  /**
   * Generates an answer on a thread of its own, to be pulled token by token. The session is busy until the iterator is
   * closed or has come to its end.
   *
   * @param prompt the whole history that the answer continues (required)
   * @param options how (required)
   * @return the tokens; the caller closes it (never null)
   * @throws IllegalStateException if the session is closed. Other failures come out of {@link TokenIterator#hasNext()}
   */
  public TokenIterator stream(Prompt prompt, GenerationOptions options) {
    Objects.requireNonNull(prompt, "prompt");
    Objects.requireNonNull(options, "options");
    try (NativeHandle.Use use = handle.use()) {
      return TokenIterator.start(this, prompt, options);
    }
  }

  /**
   * {@link #stream} as a Java stream.
   *
   * @param prompt the whole history that the answer continues (required)
   * @param options how (required)
   * @return the tokens, sequential; the caller closes it (never null)
   * @throws IllegalStateException if the session is closed. Other failures come out of the terminal operation
   */
  public Stream<Token> tokens(Prompt prompt, GenerationOptions options) {
    TokenIterator tokens = stream(prompt, options);
    int traits = Spliterator.ORDERED | Spliterator.NONNULL | Spliterator.IMMUTABLE;
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(tokens, traits), false).onClose(tokens::close);
  }

  /**
   * Generates an answer on another thread. Cancelling or otherwise completing the future from outside cancels the
   * generation; the session may then be busy for the time of one token more.
   *
   * @param prompt the whole history that the answer continues (required)
   * @param options how (required)
   * @param listener hears each token on that thread (required)
   * @param executor runs the generation (required)
   * @return the answer, or what {@link #generate(Prompt, GenerationOptions, TokenListener)} throws (never null)
   */
  public CompletableFuture<GenerationResult> generateAsync(
      Prompt prompt, GenerationOptions options, TokenListener listener, Executor executor) {
    Objects.requireNonNull(prompt, "prompt");
    Objects.requireNonNull(options, "options");
    Objects.requireNonNull(listener, "listener");
    CancellationToken cancellation = new CancellationToken();
    CompletableFuture<GenerationResult> future = new CompletableFuture<>();
    future.whenComplete((result, failure) -> cancellation.cancel());
    executor.execute(() -> {
      if (future.isDone()) {
        return;
      }
      try {
        future.complete(generate(prompt, options, listener, cancellation));
      } catch (Throwable e) {
        future.completeExceptionally(e);
      }
    });
    return future;
  }

  // ---- the history --------------------------------------------------------------------------------------------

  /**
   * Appends tokens to the history and evaluates them.
   *
   * @param tokens ids (required)
   * @throws ContextFullException if they do not fit; nothing has changed
   * @throws LlmCancelledException if someone cancelled; the history is what it was
   * @throws LlmException RANGE if an id is not in the vocabulary; BUSY: nothing has changed
   */
  public void eval(int... tokens) {
    Objects.requireNonNull(tokens, "tokens");
    run(session -> {
      Generation.stopIfInterrupted();
      session.eval(tokens);
    });
  }

  /**
   * Drops tokens from the end of the history, as if they had never been evaluated.
   *
   * @param nTokens how many stay, from 0 to {@link #tokenCount()}
   * @throws LlmException RANGE or BUSY: nothing has changed
   */
  public void rewind(int nTokens) {
    run(session -> session.rewind(nTokens));
  }

  /**
   * The history.
   *
   * @return a fresh array of ids (never null)
   * @throws LlmException BUSY
   */
  public int[] tokens() {
    return call(NativeSession::tokens);
  }

  /**
   * Length of the history.
   *
   * @return tokens
   * @throws LlmException BUSY
   */
  public int tokenCount() {
    return call(NativeSession::tokenCount);
  }

  /**
   * Tokens the session can hold. With eviction the history may be longer: the session then holds some of it.
   *
   * @return length of the context
   */
  public int contextTokens() {
    return handle.contextTokens();
  }

  /**
   * Logits of the token that comes next.
   *
   * @return one number per token of the vocabulary, a fresh array (never null)
   * @throws LlmException NO_LOGITS if the history is empty; BUSY
   */
  public float[] logits() {
    return call(session -> session.logits(vocabulary));
  }

  /**
   * The tokens that are most probable to come next.
   *
   * @param k how many, from 1 to the size of the vocabulary
   * @return k tokens, the most probable first (never null)
   * @throws LlmException RANGE; NO_LOGITS if the history is empty; BUSY
   */
  public List<TokenLogprob> topLogprobs(int k) {
    Checks.between("k", k, 1, vocabulary);
    int[] ids = new int[k];
    float[] logprobs = new float[k];
    run(session -> session.topLogprobs(ids, logprobs));
    List<TokenLogprob> top = new ArrayList<>(k);
    for (int i = 0; i < k; i++) {
      top.add(new TokenLogprob(ids[i], logprobs[i]));
    }
    return top;
  }

  /**
   * Perplexity over a text with the windows and scoring of llama.cpp's perplexity tool: windows side by side, the
   * second half of each scored. The history is cleared.
   *
   * @param tokens the text (required)
   * @param options how (required)
   * @return the measurement (never null)
   * @throws LlmCancelledException if someone cancelled
   * @throws LlmException RANGE if there are fewer tokens than two windows hold; IO; STATE_INVALID or STATE_MISMATCH if
   *     the file to compare with does not fit; BUSY
   */
  public PerplexityResult perplexity(int[] tokens, PerplexityOptions options) {
    Objects.requireNonNull(tokens, "tokens");
    Objects.requireNonNull(options, "options");
    double[] values = call(session -> {
      Generation.stopIfInterrupted();
      return session.perplexity(
          tokens,
          options.contextTokens(),
          options.chunks(),
          options.decodeTokens(),
          options.savePath().orElse(null),
          options.againstPath().orElse(null),
          fraction -> !options.progress().isPresent() || options.progress().get().onProgress(fraction));
    });
    return new PerplexityResult((int) values[0], values[1], values[2], values[3], values[4], values[5]);
  }

  /**
   * Writes history and cache to a file. The path then holds the old file or the new one, never a part.
   *
   * @param path the file (required)
   * @throws LlmException IO if it cannot be written; the old file is untouched. BUSY
   */
  public void save(Path path) {
    Path file = ModelOptions.of(path).path();
    run(session -> session.save(file));
  }

  /**
   * Replaces history and cache by saved ones. Continuing gives the same logits as in the session that was saved.
   *
   * @param path a file of {@link #save} (required)
   * @throws LlmException STATE_INVALID, STATE_MISMATCH, IO or BUSY: nothing has changed
   */
  public void load(Path path) {
    Path file = ModelOptions.of(path).path();
    run(session -> session.load(file));
  }

  /**
   * A session that goes on where this one is: the same history, logits, settings and adapters, and from then on its own.
   * Pages are shared until one of the two changes them, whichever is closed first; each counts them in its budget.
   * Without a memory manager keys and values are copied.
   *
   * <pre>{@code
   * try (LlmSession other = session.fork()) {
   *   Conversation aside = conversation.copyTo(other);
   *   aside.send("Say that more simply.", options, listener);
   * }
   * }</pre>
   *
   * @return the session; the caller closes it (never null)
   * @throws LlmException OUT_OF_MEMORY or BUSY: nothing has changed
   */
  public LlmSession fork() {
    try (CallHandle.Call call = handle.begin()) {
      synchronized (budgetLock) {
        return new LlmSession(handle.fork(), vocabulary, defaultOptions, techniques, budget, exactAttention,
            draftTokens);
      }
    }
  }

  // ---- layers -------------------------------------------------------------------------------------------------

  /**
   * Evaluates tokens in a session that has a part of the model's layers ({@link SessionOptions#layers()}). The tokens
   * follow those in the cache: a token that was sampled last and not evaluated is dropped, and comes again with its
   * hidden state. Layers [0, k) and then [k, n) give the same bits as all of them in one session, on the same machine
   * with the same threads. What needs the whole model, as generating does, is NOT_AVAILABLE here.
   *
   * @param tokens their ids (required)
   * @param in what the layers before put out: a direct buffer in the machine's byte order whose remaining floats are the
   *     tokens times {@link ModelInfo#embedding()}; null if the layers begin with the first
   * @param out receives what the layers put out, likewise; null if they end with the last, whose logits can then be read
   * @throws LlmException RANGE if a length does not fit, INVALID_ARGUMENT if a buffer is not direct: nothing has changed.
   *     BUSY; IO: {@link #tokenCount()} tells from where to evaluate again
   * @throws ContextFullException if the tokens do not fit; nothing has changed
   */
  public void evalHidden(int[] tokens, @Nullable FloatBuffer in, @Nullable FloatBuffer out) {
    checkDirect("in", in);
    checkDirect("out", out);
    if (out != null && out.isReadOnly()) {
      throw Checks.invalid("out", "cannot be written to");
    }
    run(session -> session.evalHidden(tokens, in, out));
  }

  private static void checkDirect(String name, @Nullable FloatBuffer buffer) {
    if (buffer != null && !(buffer.isDirect() && buffer.order().equals(ByteOrder.nativeOrder()))) {
      throw Checks.invalid(name, "is not a direct buffer in native byte order");
    }
  }

  /**
   * Takes hidden states out of the model while it reads tokens. The history is cleared.
   *
   * @param tokens the text, no longer than the context (required)
   * @param request what to take (required)
   * @param out receives for each place and then for each matrix of the request the tokens' rows, one after another; a
   *     direct buffer in the machine's byte order with exactly that many floats remaining (required)
   * @throws LlmException RANGE if a place or a length does not fit; INVALID_ARGUMENT if there is no such matrix;
   *     NOT_AVAILABLE if the graph of the architecture has no such place; BUSY
   */
  public void taps(int[] tokens, TapRequest request, FloatBuffer out) {
    checkDirect("out", Objects.requireNonNull(out, "out"));
    String json = request.json();
    run(session -> session.taps(tokens, json, out));
  }

  /**
   * Leaves parts of the layers out of the steps that decode, from the next one on.
   *
   * @param gates which, or null to evaluate everything
   * @throws LlmException RANGE, INVALID_ARGUMENT; NOT_AVAILABLE if this architecture's layers cannot be told apart; BUSY:
   *     nothing has changed
   */
  public void setLayerGates(@Nullable LayerGates gates) {
    run(session -> session.setGates(gates));
  }

  /**
   * The parts that gates can leave out.
   *
   * @return their numbers, ascending (never null)
   * @throws LlmException BUSY
   */
  public int[] skippableParts() {
    return call(NativeSession::skippable);
  }

  /**
   * Sets what stands in for a part when it is left out: to the residual stream x it adds
   * {@code bias + up * (down * (x / rms(x)))}.
   *
   * @param part its number, as in {@link LayerGates}
   * @param rank columns of down and rows of up; 0 removes the stand-in
   * @param down {@link ModelInfo#embedding()} rows (required)
   * @param up as many columns (required)
   * @param bias as many values (required)
   * @throws LlmException RANGE if the part cannot be left out or a length does not fit; BUSY: nothing has changed
   */
  public void setBypass(int part, int rank, float[] down, float[] up, float[] bias) {
    run(session -> {
      int width = new ModelInfo(session.model().info()).embedding();
      long size = (long) width * rank;
      if (rank < 0 || down.length != size || up.length != size || bias.length != (rank == 0 ? bias.length : width)) {
        throw Checks.range("rank", rank, "down and up must have " + width + " times rank values, bias " + width);
      }
      session.setBypass(part, rank, down, up, bias);
    });
  }

  // ---- settings and counters ----------------------------------------------------------------------------------

  /**
   * Changes the threads from the next step on, beside a running call as well.
   *
   * @param threads for decoding; 0 leaves them as they are
   * @param batchThreads for reading prompts; 0 leaves them as they are
   * @throws LlmException RANGE; nothing has changed
   */
  public void setThreads(int threads, int batchThreads) {
    try (NativeHandle.Use use = handle.use()) {
      handle.setThreads(threads, batchThreads);
    }
  }

  /**
   * Changes the budget of the session's pages. Between calls, pages are given up at once, on this thread; beside a
   * running call, before its next step; if it cannot be met there, the former one stays in force and the log says so.
   * A larger budget takes effect as the session grows.
   *
   * @param bytes the most that pages, tables and buffers may take; 0 for no bound
   * @throws ContextFullException if what may not be given up needs more; the budget is what it was
   * @throws LlmException NOT_AVAILABLE if the session has no pages; RANGE if bytes is negative
   */
  public void setMemoryBudget(long bytes) {
    if (bytes < 0) {
      throw Checks.range("bytes", bytes, "must be at least 0");
    }
    try (NativeHandle.Use use = handle.use()) {
      synchronized (budgetLock) {
        handle.setBudget(bytes);
        budget = bytes;
      }
    }
  }

  /**
   * Lowers the budget of the session's pages, for a system that asks for memory back; a budget that is lower already
   * stays. {@link #setMemoryBudget} raises it again. In an Android activity or application:
   *
   * <pre>{@code
   * public void onTrimMemory(int level) {
   *   if (level >= ComponentCallbacks2.TRIM_MEMORY_RUNNING_LOW) {
   *     try {
   *       session.trimMemory(level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND ? 32 : 128);
   *     } catch (ContextFullException e) {
   *       // It holds on to more than that, and keeps it; closing the session is what is left.
   *     }
   *   }
   * }
   * }</pre>
   *
   * @param megabytes the most that pages, tables and buffers may take (2^20 bytes each), above 0
   * @throws ContextFullException if what may not be given up needs more; the budget is what it was
   * @throws LlmException NOT_AVAILABLE if the session has no pages; RANGE
   */
  public void trimMemory(int megabytes) {
    Checks.atLeast("megabytes", megabytes, 1);
    long bytes = (long) megabytes << 20;
    try (NativeHandle.Use use = handle.use()) {
      synchronized (budgetLock) {
        // Asked for again even if it is what was asked for last: beside a running call that may have been refused.
        long lower = budget == 0 ? bytes : Math.min(bytes, budget);
        handle.setBudget(lower);
        budget = lower;
      }
    }
  }

  /**
   * Puts LoRA adapters in force, in place of former ones. The next call evaluates the history again. The factors of the
   * session's configuration stay in force beside them.
   *
   * @param adapters adapters of this session's model and their strengths; none removes all (required)
   * @throws IllegalStateException if one of the adapters is closed
   * @throws LlmException INVALID_ARGUMENT if one belongs to another model; RANGE if a strength is not finite; BUSY
   */
  public void setAdapters(Map<LoraAdapter, Float> adapters) {
    List<NativeAdapter> handles = new ArrayList<>();
    float[] scales = new float[adapters.size()];
    for (Map.Entry<LoraAdapter, Float> entry : adapters.entrySet()) {
      scales[handles.size()] = entry.getValue();
      handles.add(entry.getKey().handle());
    }
    run(session -> session.setAdapters(handles, scales));
  }

  /**
   * Changes how tokens are pruned from the next step on, and with it the report in {@link #techniques()}.
   *
   * @param config how, or null to switch pruning off, which makes all of the shadow set active. What was dropped stays so
   * @throws LlmException NOT_AVAILABLE if the session has no pages, or has exact attention and the configuration prunes
   *     anything; BUSY: nothing has changed
   */
  public void setTokenPruning(@Nullable TokenPruningConfig config) {
    PrunePlan plan = config == null ? null : new PrunePlan(config);
    if (exactAttention && plan != null && plan.prunes()) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE, PrunePlan.EXACT);
    }
    run(session -> {
      session.setPruning(plan == null ? null : plan.settings());
      techniques = plan != null && plan.prunes()
          ? Techniques.active(techniques, Techniques.PRUNING, plan.detail())
          : Techniques.off(techniques, Techniques.PRUNING, plan == null ? "switched off" : plan.detail());
    });
  }

  /**
   * What was pruned and recalled since the last call, the oldest first. No more than 65,536 events wait. Empty without
   * {@link TokenPruningConfig#recordEvents()}.
   *
   * @return the events, unmodifiable (never null)
   * @throws LlmException BUSY
   */
  public List<PruningEvent> pruningEvents() {
    List<PruningEvent> events = new ArrayList<>();
    PruningEvent.Kind[] kinds = PruningEvent.Kind.values();
    run(session -> session.pruneEvents((position, first, last, kind, active) ->
        events.add(new PruningEvent(position, first, last, kinds[kind], active))));
    return Collections.unmodifiableList(events);
  }

  /**
   * What token pruning knows of the pages in the cache, in the order of their tokens. Importance is measured only while
   * pruning is in force.
   *
   * @return the pages, unmodifiable (never null)
   * @throws LlmException NOT_AVAILABLE if the session has no pages; BUSY
   */
  public List<PruningPage> pruningPages() {
    List<PruningPage> pages = new ArrayList<>();
    run(session -> session.prunePages((first, last, importance, active, dropped) ->
        pages.add(new PruningPage(first, last, importance, active, dropped))));
    return Collections.unmodifiableList(pages);
  }

  /**
   * Which of the techniques of the session's configuration act.
   *
   * @return one report per technique, unmodifiable (never null)
   */
  public List<TechniqueReport> techniques() {
    return techniques;
  }

  /**
   * The counters since the session began or {@link #resetStats()}.
   *
   * @return the counters (never null)
   * @throws LlmException BUSY
   */
  public SessionStats stats() {
    return call(Generation::stats);
  }

  /**
   * Sets the counters to zero.
   *
   * @throws LlmException BUSY
   */
  public void resetStats() {
    run(NativeSession::resetStats);
  }

  /** Cancels the running call, within a fraction of a token's time. Without one nothing happens, now or later. */
  public void cancel() {
    handle.cancel();
  }

  /**
   * Cancels the running call, waits for it, and frees the session. On the thread of the running call, as in a listener,
   * it does not wait: the call frees the session when it returns. Further calls do nothing.
   */
  @Override
  public void close() {
    handle.close();
  }

  private <T> T call(Function<NativeSession, T> body) {
    try (CallHandle.Call call = handle.begin()) {
      return body.apply(handle);
    }
  }

  private void run(Consumer<NativeSession> body) {
    try (CallHandle.Call call = handle.begin()) {
      body.accept(handle);
    }
  }
}
