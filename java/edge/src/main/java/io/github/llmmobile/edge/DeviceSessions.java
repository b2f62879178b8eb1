package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.edge.policy.PageCosts;
import org.jspecify.annotations.Nullable;

/**
 * What this device keeps of a split session: the first layers, with all techniques that act there, since they are evaluated
 * nowhere else; and the last ones, in case the worker is lost, kept as the worker keeps them.
 */
final class DeviceSessions implements AutoCloseable {
  private static final String SECTION = "memory_manager_config";
  private static final int BYTES_PER_MB_LOG2 = 20;

  private final LlmModel model;
  private final SplitOptions options;
  private final int split;
  private final int contextTokens;
  private final @Nullable SplitPages pages;
  private final LlmSession lower;
  private final @Nullable LlmSession upper;

  /**
   * Makes the sessions.
   *
   * @param contextTokens tokens that they hold
   * @param pages how the worker keeps its layers' keys and values, or null if unpaged
   * @param fallback whether the last layers are wanted here
   */
  DeviceSessions(LlmModel model, SplitOptions options, int split, int contextTokens, @Nullable SplitPages pages,
      boolean fallback) {
    this.model = model;
    this.options = options;
    this.split = split;
    this.contextTokens = contextTokens;
    this.pages = pages;
    int all = options.techniques().memoryManager().map(MemoryManagerConfig::maxMemoryMb).orElse(0);
    int lowerMb = fallback ? Math.max(1, (int) ((long) all * split / model.info().layers())) : all;
    lower = model.newSession(part(LayerRange.of(0, split)), lowerConfig(lowerMb));
    try {
      // At once, not when the worker is lost: what may be needed in a hurry should not fail for want of memory.
      upper = fallback ? upper(Math.max(1, all - lowerMb)) : null;
    } catch (RuntimeException e) {
      lower.close();
      throw e;
    }
  }

  /** Refuses what a strict configuration asks for and a split session does not do. */
  static void check(InferenceConfig techniques) {
    if (!techniques.strict()) {
      return;
    }
    refuse(techniques.layerCompression().isPresent(), "layer_compression_config: does not act in a split session");
    refuse(techniques.tokenPruning().isPresent(),
        "token_pruning_config: prunes tokens in the device's layers alone, not in those of the worker");
    refuse(techniques.memoryManager().isPresent() && techniques.memoryManager().get().evictionEnabled(),
        SECTION + ".eviction_enabled: a split session forgets nothing");
  }

  private static void refuse(boolean asked, String what) {
    if (asked) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE, what + "; leave it out, or set strict to false");
    }
  }

  private SessionOptions part(LayerRange layers) {
    return SessionOptions.builder().contextTokens(contextTokens).batchTokens(SplitSession.MAX_BATCH)
        .threads(options.threads()).batchThreads(options.batchThreads()).layers(layers).build();
  }

  private InferenceConfig lowerConfig(int mb) {
    InferenceConfig asked = options.techniques();
    InferenceConfig.Builder config = InferenceConfig.builder();
    asked.memoryManager()
        .ifPresent(memory -> config.memoryManager(memory.toBuilder().maxMemoryMb(mb).evictionEnabled(false).build()));
    asked.tokenPruning().ifPresent(config::tokenPruning);
    return config.strict(asked.strict() && !asked.tokenPruning().isPresent()).build();
  }

  private LlmSession upper(int mb) {
    SessionOptions part = part(LayerRange.of(split, 0));
    MemoryManagerConfig memory = options.techniques().memoryManager().orElse(null);
    InferenceConfig.Builder config = InferenceConfig.builder();
    if (pages != null) {
      config.memoryManager(asAtTheWorker(pages, part, memory, mb)).strict(true);
    } else if (memory != null) {
      // An unpaged worker has llama.cpp's attention, and pages must come to its bits.
      config.memoryManager(memory.toBuilder().maxMemoryMb(mb).quantizationEnabled(false).smallestTier(false)
          .evictionEnabled(false).exactAttention(true).build());
    }
    return model.newSession(part, config.build());
  }

  private MemoryManagerConfig asAtTheWorker(
      SplitPages kept, SessionOptions part, @Nullable MemoryManagerConfig memory, int mb) {
    if (memory == null) {
      return kept.config(Integer.MAX_VALUE, null);
    }
    if (!kept.fourBit() || !options.exactReplay()) {
      return kept.config(mb, memory.spillDirectory().orElse(null));
    }
    long bytes = PageCosts.measure(model, part, kept).cacheBytes(contextTokens);
    if (bytes >> BYTES_PER_MB_LOG2 >= mb) {
      throw new LlmException(ErrorCode.OUT_OF_MEMORY, SECTION + ".max_memory_mb: the last layers, in case the worker is lost,"
          + " take " + ((bytes >> BYTES_PER_MB_LOG2) + 1) + " MB in its pages of 4 bits, and their share is " + mb
          + " MB; they cannot give way without giving other tokens");
    }
    return kept.config(Integer.MAX_VALUE, null);
  }

  /** The first layers. */
  LlmSession lower() {
    return lower;
  }

  /** The last layers, if they are wanted here. */
  @Nullable LlmSession upper() {
    return upper;
  }

  @Override
  public void close() {
    lower.close();
    if (upper != null) {
      upper.close();
    }
  }
}
