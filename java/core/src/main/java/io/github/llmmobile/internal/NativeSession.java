package io.github.llmmobile.internal;

import io.github.llmmobile.LayerGates;
import io.github.llmmobile.Pooling;
import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmAdapter;
import io.github.llmmobile.internal.jni.LlmmGateParams;
import io.github.llmmobile.internal.jni.LlmmGenerateParams;
import io.github.llmmobile.internal.jni.LlmmGenerateResult;
import io.github.llmmobile.internal.jni.LlmmPerplexityParams;
import io.github.llmmobile.internal.jni.LlmmPerplexityResult;
import io.github.llmmobile.internal.jni.LlmmPruneEvent;
import io.github.llmmobile.internal.jni.LlmmPrunePage;
import io.github.llmmobile.internal.jni.LlmmPruneParams;
import io.github.llmmobile.internal.jni.LlmmSession;
import io.github.llmmobile.internal.jni.LlmmStats;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.PointerPointer;
import org.jspecify.annotations.Nullable;

/**
 * One conversation. All methods but {@link #setThreads} and {@link #setBudget} are called within a {@link CallHandle.Call}. The session is a
 * user of its model until it is freed.
 */
public final class NativeSession extends CallHandle {
  private final NativeModel model;
  private final LlmmSession pointer;
  private final int contextTokens;
  // Belong to the session's configuration; in force beside any adapters. The session is a user of them.
  private @Nullable NativeAdapter factors;

  NativeSession(NativeModel model, LlmmSession pointer) {
    super("LlmSession");
    this.model = model;
    this.pointer = pointer;
    contextTokens = Llmm.llmm_session_n_ctx(pointer);
  }

  /**
   * The session's model, for as long as the session lives.
   *
   * @return the model, perhaps closed by its owner and yet usable within a call
   */
  public NativeModel model() {
    return model;
  }

  /**
   * Tokens the session can hold.
   *
   * @return the length of the context
   */
  public int contextTokens() {
    return contextTokens;
  }

  /**
   * Length of the history.
   *
   * @return a number of tokens
   */
  public int tokenCount() {
    return Llmm.llmm_session_n_tokens(pointer);
  }

  /**
   * The history.
   *
   * @return token ids
   */
  public int[] tokens() {
    return Buffers.ints(out -> Llmm.llmm_session_tokens(pointer, out));
  }

  /**
   * Appends and evaluates tokens.
   *
   * @param tokens their ids
   */
  public void eval(int[] tokens) {
    withProgress(fraction -> true,
        callback -> Llmm.llmm_session_eval(pointer, tokens, tokens.length, Callbacks.progress(), callback.userData()));
  }

  /**
   * Makes the history exactly these tokens.
   *
   * @param tokens their ids
   * @return how many needed no evaluation
   */
  public int prefill(int[] tokens) {
    int[] reused = new int[1];
    withProgress(fraction -> true,
        callback -> Llmm.llmm_session_prefill(
            pointer, tokens, tokens.length, Callbacks.progress(), callback.userData(), reused));
    return reused[0];
  }

  /**
   * Drops tokens from the end.
   *
   * @param tokens how many stay
   */
  public void rewind(int tokens) {
    Status.check(Llmm.llmm_session_rewind(pointer, tokens));
  }

  /**
   * Samples until there is a reason to stop.
   *
   * @param sampler chooses the tokens
   * @param maxTokens the most tokens
   * @param logprobs whether to report probabilities
   * @param batchTokens tokens per call of the sink
   * @param draftTokens the most tokens drafted at once, or 0
   * @param sink receives the tokens
   * @return the native stop reason and the number of tokens, end token included
   */
  public int[] generate(NativeSampler sampler, int maxTokens, boolean logprobs, int batchTokens, int draftTokens,
      TokenSink sink) {
    try (LlmmGenerateParams params = new LlmmGenerateParams();
        LlmmGenerateResult result = new LlmmGenerateResult();
        Callbacks.Registration callback = Callbacks.register(sink)) {
      Llmm.llmm_generate_params_init(params);
      params.max_tokens(maxTokens);
      params.logprobs(NativeModel.flag(logprobs));
      params.batch_tokens(batchTokens);
      params.draft_tokens(draftTokens);
      params.on_tokens(Callbacks.tokens());
      params.on_tokens_data(callback.userData());
      result.struct_size(result.sizeof());
      int status = Llmm.llmm_session_generate(pointer, sampler.pointer, params, result);
      callback.rethrow();
      Status.check(status);
      return new int[] {result.stop_reason(), result.n_tokens()};
    }
  }

  /**
   * Logits of the last position.
   *
   * @param vocabulary how many there are
   * @return one number per token
   */
  public float[] logits(int vocabulary) {
    float[] logits = new float[vocabulary];
    Status.check(Llmm.llmm_session_logits(pointer, logits, vocabulary));
    return logits;
  }

  /**
   * The most probable next tokens.
   *
   * @param tokens receives their ids
   * @param logprobs receives their log-probabilities
   */
  public void topLogprobs(int[] tokens, float[] logprobs) {
    Status.check(Llmm.llmm_session_top_logprobs(pointer, tokens.length, tokens, logprobs));
  }

  /**
   * The embedding of a text.
   *
   * @param tokens the text
   * @param pooling how tokens become one vector
   * @param normalize whether its length shall be 1
   * @param width length of the vector
   * @return the vector
   */
  public float[] embed(int[] tokens, Pooling pooling, boolean normalize, int width) {
    float[] out = new float[width];
    Status.check(Llmm.llmm_session_embed(
        pointer, tokens, tokens.length, pooling(pooling), NativeModel.flag(normalize), out, width));
    return out;
  }

  /**
   * Evaluates tokens in the session's layers.
   *
   * @param tokens their ids
   * @param in hidden states before the first layer, a direct buffer, or null
   * @param out receives those after the last layer, a direct buffer, or null
   */
  public void evalHidden(int[] tokens, @Nullable FloatBuffer in, @Nullable FloatBuffer out) {
    try (IntPointer ids = new IntPointer(tokens);
        FloatPointer from = in == null ? null : new FloatPointer(in);
        FloatPointer to = out == null ? null : new FloatPointer(out)) {
      Status.check(Llmm.llmm_session_eval_hidden(pointer, ids, tokens.length, from, in == null ? 0 : in.remaining(), to,
          out == null ? 0 : out.remaining()));
    }
  }

  /**
   * Hidden states inside the model.
   *
   * @param tokens the text
   * @param request JSON
   * @param out receives them, a direct buffer
   */
  public void taps(int[] tokens, String request, FloatBuffer out) {
    byte[] bytes = Utf8.encode("request", request);
    try (BytePointer text = Utf8.copy(bytes);
        IntPointer ids = new IntPointer(tokens);
        FloatPointer to = new FloatPointer(out)) {
      Status.check(Llmm.llmm_session_taps(pointer, ids, tokens.length, text, bytes.length, to, out.remaining()));
    }
  }

  /**
   * Which parts are left out from the next step on.
   *
   * @param gates the gates, or null for none
   */
  public void setGates(@Nullable LayerGates gates) {
    if (gates == null) {
      Status.check(Llmm.llmm_session_set_gates(pointer, null));
      return;
    }
    try (LlmmGateParams params = new LlmmGateParams();
        IntPointer order = new IntPointer(gates.order());
        FloatPointer edges = new FloatPointer(gates.entropyEdges());
        IntPointer levels = new IntPointer(gates.levels())) {
      Llmm.llmm_gate_params_init(params);
      params.n_order(gates.order().length);
      params.order(order);
      params.n_edges(gates.entropyEdges().length);
      params.edges(edges);
      params.levels(levels);
      params.dense_tokens(gates.denseTokens());
      params.batches(NativeModel.flag(gates.prompts()));
      Status.check(Llmm.llmm_session_set_gates(pointer, params));
    }
  }

  /**
   * Parts that can be left out.
   *
   * @return their numbers
   */
  public int[] skippable() {
    return Buffers.ints(out -> Llmm.llmm_session_skippable(pointer, out));
  }

  /**
   * A stand-in for a part.
   *
   * @param part its number
   * @param rank its rank, or 0 for none
   * @param down [width][rank]
   * @param up [rank][width]
   * @param bias [width]
   */
  public void setBypass(int part, int rank, float[] down, float[] up, float[] bias) {
    Status.check(Llmm.llmm_session_set_bypass(pointer, part, rank, down, up, bias));
  }

  private static int pooling(Pooling pooling) {
    switch (pooling) {
      case CLS:
        return Llmm.LLMM_POOLING_CLS;
      case LAST:
        return Llmm.LLMM_POOLING_LAST;
      default:
        return Llmm.LLMM_POOLING_MEAN;
    }
  }

  /**
   * Perplexity over tokens.
   *
   * @param tokens the text
   * @param window tokens of a window, or 0
   * @param chunks windows to score, or -1
   * @param decode tokens of a window that are evaluated one by one, or 0
   * @param savePath where probabilities go, or null
   * @param againstPath what to compare with, or null
   * @param sink hears the progress
   * @return scored tokens, perplexity, standard error, mean and 99th percentile of KL, agreement
   */
  public double[] perplexity(int[] tokens, int window, int chunks, int decode, @Nullable Path savePath,
      @Nullable Path againstPath, ProgressSink sink) {
    try (LlmmPerplexityParams params = new LlmmPerplexityParams();
        LlmmPerplexityResult result = new LlmmPerplexityResult();
        BytePointer save = savePath == null ? null : NativeModel.path(savePath);
        BytePointer against = againstPath == null ? null : NativeModel.path(againstPath)) {
      Llmm.llmm_perplexity_params_init(params);
      params.n_ctx(window);
      params.n_chunks(chunks);
      params.n_decode(decode);
      params.save_path(save);
      params.against_path(against);
      result.struct_size(result.sizeof());
      withProgress(sink, callback -> {
        params.progress(Callbacks.progress());
        params.progress_data(callback.userData());
        return Llmm.llmm_session_perplexity(pointer, tokens, tokens.length, params, result);
      });
      return new double[] {
        result.n_scored(), result.perplexity(), result.stderr_(), result.kl_mean(), result.kl_p99(),
        result.top1_agreement()
      };
    }
  }

  /**
   * Saves the session.
   *
   * @param file where
   */
  public void save(Path file) {
    try (BytePointer path = NativeModel.path(file)) {
      Status.check(Llmm.llmm_session_save(pointer, path));
    }
  }

  /**
   * Replaces the history by a saved one.
   *
   * @param file from where
   */
  public void load(Path file) {
    try (BytePointer path = NativeModel.path(file)) {
      Status.check(Llmm.llmm_session_load(pointer, path));
    }
  }

  /**
   * Sets the adapters in force.
   *
   * @param adapters the adapters
   * @param scales their strengths
   */
  public void setAdapters(List<NativeAdapter> adapters, float[] scales) {
    List<NativeHandle.Use> uses = new ArrayList<>();
    try {
      for (NativeAdapter adapter : adapters) {
        uses.add(adapter.use());
      }
      setAll(factors, adapters, scales);
    } finally {
      uses.forEach(NativeHandle.Use::close);
    }
  }

  /**
   * Puts low-rank factors in force, at strength 1 and for as long as the session lives.
   *
   * @param given the factors, which may be closed afterwards
   */
  public void setFactors(NativeAdapter given) {
    setAll(given, Collections.emptyList(), new float[0]);
    given.enter();
    factors = given;
  }

  private void setAll(@Nullable NativeAdapter first, List<NativeAdapter> adapters, float[] scales) {
    List<NativeAdapter> all = new ArrayList<>(adapters);
    float[] strengths = scales;
    if (first != null) {
      all.add(0, first);
      strengths = new float[scales.length + 1];
      strengths[0] = 1;
      System.arraycopy(scales, 0, strengths, 1, scales.length);
    }
    try (PointerPointer<LlmmAdapter> pointers = new PointerPointer<>(Math.max(1, all.size()));
        FloatPointer values = new FloatPointer(strengths)) {
      for (int i = 0; i < all.size(); i++) {
        pointers.put(i, all.get(i).pointer);
      }
      Status.check(Llmm.llmm_session_set_adapters(pointer, pointers, values, strengths.length));
    }
  }

  /**
   * Sets the threads; beside a running call as well.
   *
   * @param threads for decoding; 0 leaves it
   * @param batchThreads for prefill; 0 leaves it
   */
  public void setThreads(int threads, int batchThreads) {
    Status.check(Llmm.llmm_session_set_threads(pointer, threads, batchThreads));
  }

  /**
   * Sets the budget of the pages; beside a running call as well.
   *
   * @param bytes the bound; 0 for none
   */
  public void setBudget(long bytes) {
    Status.check(Llmm.llmm_session_set_kv_budget(pointer, bytes));
  }

  /**
   * Sets how tokens are pruned.
   *
   * @param pruning the settings, or null for none
   */
  public void setPruning(@Nullable PruneSettings pruning) {
    try (LlmmPruneParams params = pruning == null ? null : pruning.params()) {
      Status.check(Llmm.llmm_session_set_pruning(pointer, params));
    }
  }

  /**
   * What was pruned and recalled since the last call.
   *
   * @param sink receives the events, the oldest first
   */
  public void pruneEvents(PruneEventSink sink) {
    Buffers.read(out -> Llmm.llmm_session_prune_events(pointer, out), (data, bytes) -> {
      if (bytes > 0) {
        LlmmPruneEvent event = new LlmmPruneEvent(data);
        for (int i = 0, n = bytes / event.sizeof(); i < n; i++) {
          event.position(i);
          sink.event(event.event_position(), event.first_pos(), event.last_pos(), event.kind(), event.active_share());
        }
      }
    });
  }

  /**
   * What pruning knows of the pages.
   *
   * @param sink receives them in the order of their tokens
   */
  public void prunePages(PrunePageSink sink) {
    Buffers.read(out -> Llmm.llmm_session_prune_pages(pointer, out), (data, bytes) -> {
      if (bytes > 0) {
        LlmmPrunePage page = new LlmmPrunePage(data);
        for (int i = 0, n = bytes / page.sizeof(); i < n; i++) {
          page.position(i);
          sink.page(page.first_pos(), page.last_pos(), page.importance(), page.active_share(), page.dropped_share());
        }
      }
    });
  }

  /**
   * A session that goes on from here.
   *
   * @return the session, another user of the model
   */
  public NativeSession fork() {
    LlmmSession session = new LlmmSession();
    model.share();
    boolean made = false;
    try {
      Status.check(Llmm.llmm_session_fork(pointer, session));
      made = true;
    } finally {
      if (!made) {
        model.exit();
      }
    }
    NativeSession fork = new NativeSession(model, session);
    if (factors != null) {
      factors.share();
      fork.factors = factors;
    }
    return fork;
  }

  /**
   * The counters.
   *
   * @return all of {@code llmm_stats}
   */
  public Counters stats() {
    try (LlmmStats stats = new LlmmStats()) {
      stats.struct_size(stats.sizeof());
      Status.check(Llmm.llmm_session_stats(pointer, stats));
      long[] integers = {
        stats.n_ctx(), stats.n_tokens(), stats.n_threads(), stats.n_threads_batch(), stats.prompt_tokens(),
        stats.reused_tokens(), stats.generated_tokens(), stats.prompt_us(), stats.decode_us(), stats.sample_us(),
        stats.model_bytes(), stats.kv_bytes(), stats.compute_bytes(), stats.kv_peak_bytes(), stats.kv_budget_bytes(),
        stats.kv_pages_f16(), stats.kv_pages_q4(), stats.kv_pages_q42(), stats.kv_pages_spilled(),
        stats.kv_pages_shared(), stats.kv_pages_evicted(), stats.kv_bytes_f16(), stats.kv_bytes_q4(),
        stats.kv_bytes_q42(), stats.kv_bytes_spilled(), stats.kv_demotions(), stats.kv_promotions(),
        stats.kv_spills(), stats.kv_recalls(), stats.kv_evictions(), stats.kv_recomputed(), stats.kv_demotion_us(),
        stats.kv_spill_us(), stats.kv_read_us(), stats.kv_read_bytes(), stats.prune_steps(), stats.prune_tests(),
        stats.prune_looks(), stats.prune_us(), stats.prune_prefill_tokens(), stats.prune_prefill_left_out(),
        stats.prune_prefill_recalled(), stats.prune_prefill_shadow(), stats.prune_prefill_us(), stats.draft_proposed(), stats.draft_accepted(), stats.draft_steps(),
        stats.gate_steps(), stats.gate_skipped_parts()
      };
      double[] reals = {
        stats.prune_active_tokens(), stats.prune_shadow_tokens(), stats.prune_dropped_tokens(),
        stats.prune_pruned_tokens(), stats.prune_recalled_tokens(), stats.prune_read_tokens(),
        stats.prune_omitted_mass(), stats.prune_omitted_most(), stats.prune_omitted_bound(), stats.prune_omitted_bound_most()
      };
      return new Counters(integers, reals);
    }
  }

  /** Sets the counters to zero. */
  public void resetStats() {
    Status.check(Llmm.llmm_session_stats_reset(pointer));
  }

  @Override
  protected void signal() {
    Llmm.llmm_session_cancel(pointer);
  }

  @Override
  protected void clearSignal() {
    Llmm.llmm_session_cancel_reset(pointer);
  }

  @Override
  protected void free() {
    try {
      Llmm.llmm_session_close(pointer);
    } finally {
      if (factors != null) {
        factors.exit();
      }
      model.exit();
    }
  }

  private interface CallWithProgress {
    int run(Callbacks.Registration callback);
  }

  private static void withProgress(ProgressSink sink, CallWithProgress call) {
    try (Callbacks.Registration callback = Callbacks.register(Interrupts.watching(sink))) {
      int status = call.run(callback);
      callback.rethrow();
      Status.check(status);
    }
  }
}
