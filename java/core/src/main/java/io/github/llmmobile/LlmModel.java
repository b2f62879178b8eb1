package io.github.llmmobile;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.LayerCompressionConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.internal.ChatJson;
import io.github.llmmobile.internal.KvProbe;
import io.github.llmmobile.internal.NativeAdapter;
import io.github.llmmobile.internal.NativeHandle;
import io.github.llmmobile.internal.NativeModel;
import io.github.llmmobile.internal.NativeSession;
import io.github.llmmobile.internal.ProbeFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A loaded model: weights and vocabulary, shared by any number of sessions. Sessions keep what they need of it, so it
 * may be closed before them; its memory goes with the last of them. Threads: any, also several at once.
 *
 * <p>Every method but {@link #close()} throws {@link IllegalStateException} after close.
 */
public final class LlmModel implements AutoCloseable {
  private final NativeModel handle;
  private final Set<LoraAdapter> adapters = ConcurrentHashMap.newKeySet();
  private final Map<Integer, KvProbe> probes = new ConcurrentHashMap<>();
  private volatile @Nullable ModelInfo info;

  private LlmModel(NativeModel handle) {
    this.handle = handle;
  }

  /**
   * Loads a model. An interrupt of the thread cancels.
   *
   * @param options which model, and how (required)
   * @return the model; the caller closes it (never null)
   * @throws ModelUnavailableException MODEL_NOT_FOUND, MODEL_INVALID or MODEL_UNSUPPORTED
   * @throws LlmCancelledException if the progress listener or an interrupt cancelled
   * @throws LlmException OUT_OF_MEMORY, IO, NO_BACKEND or NATIVE_LIBRARY
   */
  public static LlmModel load(ModelOptions options) {
    return new LlmModel(NativeModel.open(Objects.requireNonNull(options, "options")));
  }

  /**
   * Reads the header of a GGUF file without loading weights.
   *
   * @param path the file (required)
   * @return its facts (never null)
   * @throws ModelUnavailableException MODEL_NOT_FOUND, MODEL_INVALID or MODEL_UNSUPPORTED
   * @throws LlmException IO or NATIVE_LIBRARY
   */
  public static GgufInfo inspect(Path path) {
    return new GgufInfo(NativeModel.inspect(ModelOptions.of(path).path()));
  }

  /**
   * What the model says about itself.
   *
   * @return its facts (never null)
   */
  public ModelInfo info() {
    try (NativeHandle.Use use = handle.use()) {
      ModelInfo known = info;
      if (known == null) {
        known = new ModelInfo(handle.info());
        info = known;
      }
      return known;
    }
  }

  /**
   * A session with the defaults.
   *
   * @return the session; the caller closes it (never null)
   * @throws LlmException OUT_OF_MEMORY; NOT_AVAILABLE if the model was loaded without weights
   */
  public LlmSession newSession() {
    return newSession(SessionOptions.defaults());
  }

  /**
   * A session.
   *
   * @param options how it is set up (required)
   * @return the session; the caller closes it (never null)
   * @throws LlmException OUT_OF_MEMORY; RANGE; NOT_AVAILABLE if the model was loaded without weights
   */
  public LlmSession newSession(SessionOptions options) {
    return newSession(options, InferenceConfig.empty());
  }

  /**
   * A session with the techniques of a configuration.
   *
   * @param config the configuration (required)
   * @return the session; the caller closes it (never null)
   * @throws LlmException as {@link #newSession(SessionOptions, InferenceConfig)}
   */
  public LlmSession newSession(InferenceConfig config) {
    return newSession(SessionOptions.defaults(), config);
  }

  /**
   * A session with the techniques of a configuration. What the configuration asks for and cannot act is reported by
   * {@link LlmSession#techniques()} and in each result, and logged here at WARN. Its {@code max_new_tokens} is the
   * length limit of generations that are given no options.
   *
   * <p>Factors that the configuration names are taken up to its {@code compression_rank}; {@link LlmSession#techniques()}
   * says what was taken.
   *
   * <p>The first session of a model with quantised pages takes the time to try them on it: see {@link
   * MemoryManagerConfig#probeEnabled()}.
   *
   * @param options how it is set up (required)
   * @param config the configuration (required)
   * @return the session; the caller closes it (never null)
   * @throws LlmException OUT_OF_MEMORY; RANGE; IO if there can be no spill file; NOT_AVAILABLE if the model was loaded
   *     without weights, or if the configuration is strict and a technique cannot act as it is asked to;
   *     MODEL_NOT_FOUND or PROFILE_INVALID if there is no such layer profile, or it is broken or of another model;
   *     CONFIG if a layer of the hot path is not there
   */
  public LlmSession newSession(SessionOptions options, InferenceConfig config) {
    Objects.requireNonNull(options, "options");
    List<TechniqueReport> techniques = Techniques.plan(config);
    GenerationOptions.Builder generation = GenerationOptions.builder();
    config.maxNewTokens().ifPresent(generation::maxTokens);
    try (NativeHandle.Use use = handle.use()) {
      int vocabulary = info().vocabulary();
      PrunePlan pruning = config.tokenPruning().map(PrunePlan::new).orElse(null);
      PagePlan pages = null;
      NativeSession session = null;
      LlmException refusal = null;
      try {
        pages = pages(config, options.threads());
      } catch (LlmException e) {
        refusal = e;
      }
      if (pages != null) {
        try {
          session = handle.newSession(options, pages.settings(), pruning == null ? null : pruning.settings());
        } catch (LlmException e) {
          refusal = e;
        }
        if (refusal != null && refusal.code() == ErrorCode.NOT_AVAILABLE && pruning != null
            && pruning.settings().prunesPrompts()) {
          pruning = pruning.withWholePrompts(String.valueOf(refusal.getMessage()));
          try {
            session = handle.newSession(options, pages.settings(), pruning.settings());
            refusal = null;
          } catch (LlmException e) {
            refusal = e;
          }
        }
        if (session != null) {
          techniques = withPages(config, techniques, pages, pruning, session);
        }
      }
      if (refusal != null) {
        techniques = withoutPages(config, techniques, pruning, refusal);
      }
      long budget = pages == null || session == null ? 0 : pages.settings().budgetBytes();
      boolean exact = config.memoryManager().isPresent() && config.memoryManager().get().exactAttention();
      if (session == null) {
        session = handle.newSession(options, null, null);
      }
      try {
        techniques = withLayers(config, withFactors(config, techniques, session), session);
        boolean lossless = config.layerCompression().map(LayerCompressionConfig::lossless).orElse(false);
        return new LlmSession(session, vocabulary, generation.build(), techniques, budget, exact,
            lossless ? LayerPlan.DRAFT_TOKENS : 0);
      } catch (RuntimeException e) {
        session.close();
        throw e;
      }
    }
  }

  /** Puts the factors that a configuration names in force, and tells what was taken of them. */
  private List<TechniqueReport> withFactors(InferenceConfig config, List<TechniqueReport> planned,
      NativeSession session) {
    FactorPlan plan = config.layerCompression().flatMap(FactorPlan::of).orElse(null);
    if (plan == null) {
      return planned;
    }
    if (!plan.acts()) {
      return Techniques.off(planned, Techniques.LAYERS, FactorPlan.RANK_ZERO);
    }
    NativeAdapter factors;
    AdapterInfo taken;
    try {
      factors = handle.openAdapter(plan.file(), plan.options());
    } catch (LlmException e) {
      return Techniques.notAvailable(config, planned, Techniques.LAYERS, plan.refusal(e));
    }
    try {
      taken = new AdapterInfo(factors.info());
      session.setFactors(factors);
    } finally {
      factors.close();
    }
    return Techniques.active(planned, Techniques.LAYERS, plan.detail(taken));
  }

  /** The pages that a configuration needs, or null if it needs none. */
  private @Nullable PagePlan pages(InferenceConfig config, int threads) {
    if (config.memoryManager().isPresent()) {
      MemoryManagerConfig memory = config.memoryManager().get();
      return new PagePlan(memory, probe(memory, threads));
    }
    return config.tokenPruning().isPresent() ? PagePlan.stored() : null;
  }

  /** What becomes of the techniques where the model has pages; closes the session if that is an exception. */
  private static List<TechniqueReport> withPages(InferenceConfig config, List<TechniqueReport> planned, PagePlan pages,
      @Nullable PrunePlan pruning, NativeSession session) {
    try {
      return withPages(config, planned, pages, pruning);
    } catch (LlmException e) {
      session.close();
      throw e;
    }
  }

  private static List<TechniqueReport> withPages(
      InferenceConfig config, List<TechniqueReport> planned, PagePlan pages, @Nullable PrunePlan pruning) {
    List<TechniqueReport> techniques = planned;
    if (config.memoryManager().isPresent()) {
      techniques = pages.limited()
          ? Techniques.limited(config, techniques, Techniques.MEMORY, pages.detail(),
              "ask for less, set probe_enabled to false")
          : Techniques.active(techniques, Techniques.MEMORY, pages.detail());
    }
    if (pruning == null) {
      return techniques;
    }
    String wholePrompts = pruning.wholePrompts();
    if (!pruning.prunes()) {
      return wholePrompts == null
          ? Techniques.off(techniques, Techniques.PRUNING, pruning.detail())
          : Techniques.notAvailable(config, techniques, Techniques.PRUNING, wholePrompts);
    }
    if (wholePrompts != null) {
      techniques = Techniques.limited(config, techniques, Techniques.PRUNING, pruning.detail() + "; " + wholePrompts,
          "set prune_prefill_keep to 1");
    }
    return config.memoryManager().isPresent() && config.memoryManager().get().exactAttention()
        ? Techniques.notAvailable(config, techniques, Techniques.PRUNING, PrunePlan.EXACT)
        : wholePrompts != null ? techniques : Techniques.active(techniques, Techniques.PRUNING, pruning.detail());
  }

  /** What becomes of the techniques where the model cannot be paged; any other failure is passed on. */
  private static List<TechniqueReport> withoutPages(InferenceConfig config, List<TechniqueReport> planned,
      @Nullable PrunePlan pruning, LlmException failure) {
    if (failure.code() != ErrorCode.NOT_AVAILABLE) {
      throw failure;
    }
    String reason = String.valueOf(failure.getMessage());
    List<TechniqueReport> techniques = planned;
    if (config.memoryManager().isPresent()) {
      techniques = Techniques.notAvailable(config, techniques, Techniques.MEMORY, reason);
    }
    if (pruning == null) {
      return techniques;
    }
    return pruning.prunes()
        ? Techniques.notAvailable(config, techniques, Techniques.PRUNING, reason)
        : Techniques.off(techniques, Techniques.PRUNING, pruning.detail());
  }

  /** What becomes of leaving out parts of layers, which is set in the session. */
  private List<TechniqueReport> withLayers(
      InferenceConfig config, List<TechniqueReport> planned, NativeSession session) {
    LayerCompressionConfig layers = config.layerCompression().orElse(null);
    if (layers != null && layers.lossless()) {
      return Techniques.also(planned, Techniques.LAYERS, TechniqueReport.Status.ACTIVE, LayerPlan.LOSSLESS);
    }
    Path file = layers == null ? null : layers.profile().orElse(null);
    if (layers == null || file == null) {
      return planned;
    }
    LayerProfile profile = LayerProfile.read(file);
    if (!profile.fingerprint().equals(info().fingerprint())) {
      throw new LlmException(ErrorCode.PROFILE_INVALID, "layer profile " + file + " was made of another model");
    }
    try {
      LayerPlan plan = new LayerPlan(layers, profile, session.skippable());
      if (plan.skips()) {
        plan.apply(session);
      }
      return Techniques.also(planned, Techniques.LAYERS,
          plan.skips() ? TechniqueReport.Status.ACTIVE : TechniqueReport.Status.OFF, plan.detail());
    } catch (LlmException e) {
      if (e.code() != ErrorCode.NOT_AVAILABLE) {
        throw e;
      }
      return Techniques.alsoNotAvailable(config, planned, Techniques.LAYERS, String.valueOf(e.getMessage()));
    }
  }

  private @Nullable KvProbe probe(MemoryManagerConfig memory, int threads) {
    if (!memory.quantizationEnabled() || !memory.probeEnabled()) {
      return null;
    }
    // Others who ask for the same wait; a failure is not kept.
    return probes.computeIfAbsent(memory.pageSize(), pageSize -> ProbeFile.of(memory.cacheDirectory().orElse(null),
        info().fingerprint(), pageSize, LlmMobile.version()).readOr(() -> handle.probe(pageSize, threads)));
  }

  /**
   * The tokens of a text.
   *
   * @param text the text (required)
   * @param addSpecial true adds what the model wants around a text, such as its start token
   * @param parseSpecial true turns the text of control tokens such as {@code <|im_start|>} into those tokens: right for
   *     rendered templates, never for what users type
   * @return ids (never null)
   * @throws LlmException ENCODING if the text has half of a surrogate pair
   */
  public int[] tokenize(String text, boolean addSpecial, boolean parseSpecial) {
    try (NativeHandle.Use use = handle.use()) {
      return handle.tokenize(text, addSpecial, parseSpecial);
    }
  }

  /**
   * The text of tokens. Bytes that do not form a character become U+FFFD.
   *
   * @param tokens ids (required)
   * @param special true writes control tokens as text, false leaves them out
   * @return the text (never null)
   * @throws LlmException RANGE if an id is not in the vocabulary
   */
  public String detokenize(int[] tokens, boolean special) {
    Objects.requireNonNull(tokens, "tokens");
    try (NativeHandle.Use use = handle.use()) {
      return handle.detokenize(tokens, special);
    }
  }

  /**
   * A conversation as the text that the model reads, ending with the opening of its answer.
   *
   * @param messages the conversation, at least one message (required)
   * @return the text (never null)
   * @throws LlmException TEMPLATE if the model has no chat template or it fails on these messages; ENCODING
   */
  public String renderChat(List<ChatMessage> messages) {
    return renderChat(ChatRequest.of(messages));
  }

  /**
   * A conversation as the text that the model reads. Tokenise it with both flags set.
   *
   * @param request the conversation (required)
   * @return the text (never null)
   * @throws LlmException TEMPLATE if there is no chat template or it fails on these messages; JSON if the tools are
   *     malformed; ENCODING
   */
  public String renderChat(ChatRequest request) {
    try (NativeHandle.Use use = handle.use()) {
      return handle.renderChat(ChatJson.of(request));
    }
  }

  /**
   * Opens a LoRA adapter of this model.
   *
   * @param path the adapter, GGUF (required)
   * @return the adapter; closed by the caller, or with this model (never null)
   * @throws LlmException MODEL_NOT_FOUND if there is no such file; ADAPTER_INVALID if it is broken or made for another
   *     model
   */
  public LoraAdapter openAdapter(Path path) {
    return openAdapter(path, AdapterOptions.defaults());
  }

  /**
   * Opens a LoRA adapter of this model.
   *
   * @param path the adapter, GGUF (required)
   * @param options how (required)
   * @return the adapter; closed by the caller, or with this model (never null)
   * @throws LlmException MODEL_NOT_FOUND if there is no such file; ADAPTER_INVALID if it is broken or made for another
   *     model; RANGE if no matrix of it has the rank; NOT_AVAILABLE if factors of embeddings or experts would have to be
   *     cut
   */
  public LoraAdapter openAdapter(Path path, AdapterOptions options) {
    Path file = ModelOptions.of(path).path();
    Objects.requireNonNull(options, "options");
    try (NativeHandle.Use use = handle.use()) {
      LoraAdapter adapter = new LoraAdapter(handle.openAdapter(file, options), adapters::remove);
      adapters.add(adapter);
      if (handle.isClosed()) {
        // close() may have gone through the set before this adapter was in it.
        adapter.close();
      }
      return adapter;
    }
  }

  /**
   * The embedding of a text: its tokens' final hidden states, pooled. Each call sets up a session of the text's length.
   *
   * @param text the text (required)
   * @param options how it becomes a vector (required)
   * @return {@link ModelInfo#embedding()} numbers (never null)
   * @throws LlmException INVALID_ARGUMENT if the text has no tokens; NOT_AVAILABLE if the model cannot do it; ENCODING
   */
  public float[] embed(String text, EmbeddingOptions options) {
    Objects.requireNonNull(options, "options");
    try (NativeHandle.Use use = handle.use()) {
      int[] tokens = handle.tokenize(text, true, false);
      if (tokens.length == 0) {
        throw Checks.invalid("text", "has no tokens");
      }
      SessionOptions session =
          SessionOptions.builder().contextTokens(tokens.length).threads(options.threads()).build();
      int width = info().embedding();
      try (NativeSession embedder = handle.newSession(session, null, null);
          NativeSession.Call call = embedder.begin()) {
        return embedder.embed(tokens, options.pooling(), options.normalize(), width);
      }
    }
  }

  /** Gives the model up, with its adapters; further calls do nothing. Sessions go on. Calls that run are finished. */
  @Override
  public void close() {
    handle.close();
    for (LoraAdapter adapter : new ArrayList<>(adapters)) {
      adapter.close();
    }
  }
}
