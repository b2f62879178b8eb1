package io.github.llmmobile.internal;

import io.github.llmmobile.AdapterOptions;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmAdapter;
import io.github.llmmobile.internal.jni.LlmmAdapterParams;
import io.github.llmmobile.internal.jni.LlmmKvProbeResult;
import io.github.llmmobile.internal.jni.LlmmModel;
import io.github.llmmobile.internal.jni.LlmmModelParams;
import io.github.llmmobile.internal.jni.LlmmPruneParams;
import io.github.llmmobile.internal.jni.LlmmSampler;
import io.github.llmmobile.internal.jni.LlmmSession;
import io.github.llmmobile.internal.jni.LlmmSessionParams;
import java.nio.file.Path;
import org.bytedeco.javacpp.BytePointer;
import org.jspecify.annotations.Nullable;

/**
 * A loaded model. The caller of each method but {@link #open} is a user of the handle. A session is one for as long as
 * it lives, so that it can still tokenise after the owner has closed the model. Threads: any.
 */
public final class NativeModel extends NativeHandle {
  private final LlmmModel pointer;

  private NativeModel(LlmmModel pointer) {
    super("LlmModel");
    this.pointer = pointer;
  }

  /**
   * Loads a model.
   *
   * @param options which, and how
   * @return the model
   */
  public static NativeModel open(ModelOptions options) {
    NativeRuntime.ensureLoaded();
    LlmmModel model = new LlmmModel();
    try (BytePointer path = path(options.path());
        LlmmModelParams params = new LlmmModelParams();
        Callbacks.Registration callback =
            Callbacks.register(Interrupts.watching(fraction -> onProgress(options, fraction)))) {
      Llmm.llmm_model_params_init(params);
      params.use_mmap(flag(options.useMmap()));
      params.use_mlock(flag(options.useMlock()));
      params.check_tensors(flag(options.checkTensors()));
      params.vocab_only(flag(options.vocabOnly()));
      params.repack(flag(options.repack()));
      params.layer_begin(options.layers().begin());
      params.layer_end(options.layers().end());
      params.progress(Callbacks.progress());
      params.progress_data(callback.userData());
      int status = Llmm.llmm_model_open(path, params, model);
      try {
        callback.rethrow();
      } catch (Throwable e) {
        // The listener may have failed so late that the model was loaded all the same.
        if (status == Llmm.LLMM_OK) {
          Llmm.llmm_model_close(model);
        }
        throw e;
      }
      Status.check(status);
    }
    return new NativeModel(model);
  }

  private static boolean onProgress(ModelOptions options, double fraction) {
    return !options.progress().isPresent() || options.progress().get().onProgress(fraction);
  }

  /**
   * Facts of a file's header.
   *
   * @param file the GGUF file
   * @return JSON
   */
  public static String inspect(Path file) {
    NativeRuntime.ensureLoaded();
    try (BytePointer path = path(file)) {
      return Buffers.text(out -> Llmm.llmm_gguf_inspect(path, out));
    }
  }

  /**
   * Facts of the model.
   *
   * @return JSON
   */
  public String info() {
    return Buffers.text(out -> Llmm.llmm_model_info(pointer, out));
  }

  /**
   * Tokens of a text.
   *
   * @param text the text
   * @param addSpecial whether to add what the model wants around a text
   * @param parseSpecial whether the text of control tokens becomes those tokens
   * @return their ids
   */
  public int[] tokenize(String text, boolean addSpecial, boolean parseSpecial) {
    byte[] bytes = Utf8.encode("text", text);
    try (BytePointer copy = Utf8.copy(bytes)) {
      return Buffers.ints(
          out -> Llmm.llmm_tokenize(pointer, copy, bytes.length, flag(addSpecial), flag(parseSpecial), out));
    }
  }

  /**
   * Text of tokens.
   *
   * @param tokens their ids
   * @param special whether control tokens are written as text
   * @return the text
   */
  public String detokenize(int[] tokens, boolean special) {
    return Buffers.text(out -> Llmm.llmm_detokenize(pointer, tokens, tokens.length, flag(special), out));
  }

  /**
   * A conversation rendered with the chat template.
   *
   * @param request JSON as of {@link ChatJson}
   * @return the text
   */
  public String renderChat(String request) {
    byte[] bytes = Utf8.encode("messages", request);
    try (BytePointer copy = Utf8.copy(bytes)) {
      return Buffers.text(out -> Llmm.llmm_chat_render(pointer, copy, bytes.length, out));
    }
  }

  /**
   * Opens a LoRA adapter of this model.
   *
   * @param file the adapter
   * @param options how
   * @return the adapter
   */
  public NativeAdapter openAdapter(Path file, AdapterOptions options) {
    LlmmAdapter adapter = new LlmmAdapter();
    try (BytePointer path = path(file);
        LlmmAdapterParams params = new LlmmAdapterParams()) {
      Llmm.llmm_adapter_params_init(params);
      params.rank(options.rank());
      params.exact(options.exact() ? 1 : 0);
      Status.check(Llmm.llmm_adapter_open(pointer, path, params, adapter));
    }
    return new NativeAdapter(adapter);
  }

  /**
   * A sampler for one generation.
   *
   * @param options JSON as of {@link SamplerJson}
   * @return the sampler
   */
  public NativeSampler newSampler(String options) {
    byte[] bytes = Utf8.encode("options", options);
    LlmmSampler sampler = new LlmmSampler();
    try (BytePointer copy = Utf8.copy(bytes)) {
      Status.check(Llmm.llmm_sampler_new(pointer, copy, bytes.length, sampler));
    }
    return new NativeSampler(sampler);
  }

  /**
   * A new session, which becomes a user of this model.
   *
   * @param options how it is set up
   * @param pages how its cache is paged, or null for llama.cpp's own cache
   * @param pruning how it prunes tokens, which needs pages, or null
   * @return the session
   * @throws IllegalStateException if the model is closed
   */
  public NativeSession newSession(
      SessionOptions options, @Nullable PageSettings pages, @Nullable PruneSettings pruning) {
    LlmmSession session = new LlmmSession();
    enter();
    boolean made = false;
    try (LlmmSessionParams params = new LlmmSessionParams();
        BytePointer spill = pages == null || pages.spillFolder == null ? null : path(pages.spillFolder);
        LlmmPruneParams prune = pruning == null ? null : pruning.params()) {
      Llmm.llmm_session_params_init(params);
      params.n_ctx(options.contextTokens());
      params.n_batch(options.batchTokens());
      params.n_threads(options.threads());
      params.n_threads_batch(options.batchThreads());
      params.flash_attention(flashAttention(options));
      params.layer_begin(options.layers().begin());
      params.layer_end(options.layers().end());
      if (pages != null) {
        params.kv_page_tokens(pages.pageTokens);
        params.kv_quantize(pages.quantization.ordinal());
        params.kv_evict(flag(pages.evict));
        params.kv_recent_tokens(pages.recentTokens);
        params.kv_pinned_tokens(pages.pinnedTokens);
        params.kv_exact(flag(pages.exact));
        params.kv_budget_bytes(pages.budgetBytes);
        params.kv_spill_dir(spill);
        params.prune(prune);
      }
      Status.check(Llmm.llmm_session_new(pointer, params, session));
      made = true;
    } finally {
      if (!made) {
        exit();
      }
    }
    return new NativeSession(this, session);
  }

  /**
   * What quantised pages do to this model. The native side keeps the outcome.
   *
   * @param pageTokens tokens per page
   * @param threads threads to use; 0 for one per physical core
   * @return the outcome
   */
  public KvProbe probe(int pageTokens, int threads) {
    try (LlmmKvProbeResult result = new LlmmKvProbeResult()) {
      result.struct_size(result.sizeof());
      Status.check(Llmm.llmm_model_probe_kv(pointer, pageTokens, threads, result));
      return new KvProbe(Quantization.values()[result.quantize()], result.kl_4bit(), result.kl_smallest(),
          result.kl_noise(), result.kl_limit());
    }
  }

  @Override
  protected void free() {
    Llmm.llmm_model_close(pointer);
  }

  private static int flashAttention(SessionOptions options) {
    switch (options.flashAttention()) {
      case OFF:
        return Llmm.LLMM_FLASH_ATTENTION_OFF;
      case ON:
        return Llmm.LLMM_FLASH_ATTENTION_ON;
      default:
        return Llmm.LLMM_FLASH_ATTENTION_AUTO;
    }
  }

  static BytePointer path(Path path) {
    return Utf8.terminated("path", path.toString());
  }

  static int flag(boolean value) {
    return value ? 1 : 0;
  }
}
