package io.github.llmmobile.edge.policy;

import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.edge.SplitPages;
import io.github.llmmobile.edge.wire.Rows;

/** What pages of a range of layers take in memory. Immutable. */
public final class PageCosts {
  /** Tokens that pages are taken from the system for at once, where large pages of the system are in use. */
  private static final int GROUP_16_BIT = 256;
  private static final int GROUP_4_BIT = 1024;
  /** Pages that a step is ahead of, or behind, the schedule by which older ones are quantised. */
  private static final int SPARE_PAGES = 2;

  private final SplitPages pages;
  private final int stepTokens;
  private final double bytes16Bit;
  private final double bytes4Bit;
  private final long otherBytes;
  private final long workBytes;

  private PageCosts(SplitPages pages, int stepTokens, SessionStats stats) {
    this.pages = pages;
    this.stepTokens = stepTokens;
    bytes16Bit = (double) stats.kvBytesF16() / stats.kvPagesF16();
    bytes4Bit = stats.kvPagesQ4() == 0 ? bytes16Bit : (double) stats.kvBytesQ4() / stats.kvPagesQ4();
    otherBytes = stats.kvBytes() - stats.kvBytesF16() - stats.kvBytesQ4();
    workBytes = stats.computeBytes();
  }

  /**
   * Measures with a few rows in a session of its own.
   *
   * @param model a model that has the layers; not the first ones, whose input are tokens (required)
   * @param options layers, the longest context, rows of a step (required)
   * @param pages how they are kept (required)
   * @return what they take (never null)
   * @throws io.github.llmmobile.LlmException NOT_AVAILABLE if the cache of the model cannot be paged; OUT_OF_MEMORY
   */
  public static PageCosts measure(LlmModel model, SessionOptions options, SplitPages pages) {
    // Every full page is old at once.
    MemoryManagerConfig memory = pages.config(Integer.MAX_VALUE, null).toBuilder().recentWindow(0).pinnedPrefix(0).build();
    InferenceConfig config = InferenceConfig.builder().memoryManager(memory).strict(true).build();
    LayerRange layers = options.layers();
    if (layers.begin() == 0) {
      throw new IllegalArgumentException("the first layers take tokens");
    }
    int width = model.info().embedding();
    try (LlmSession session = model.newSession(options, config)) {
      for (int rows : new int[] {pages.tokens(), pages.tokens(), 1}) {
        session.evalHidden(new int[rows], Rows.allocate(rows, width), null);
      }
      return new PageCosts(pages, options.batchTokens(), session.stats());
    }
  }

  /**
   * The most that the cache of a session takes.
   *
   * @param positions tokens that it may hold
   * @return bytes
   */
  public long cacheBytes(int positions) {
    int all = pagesOf(positions) + SPARE_PAGES;
    if (!pages.fourBit()) {
      return (long) Math.ceil((all + pagesOf(GROUP_16_BIT)) * bytes16Bit) + otherBytes;
    }
    int kept = Math.min(all, pagesOf(pages.recentTokens() + pages.pinnedTokens() + stepTokens) + SPARE_PAGES);
    return (long) Math.ceil((kept + pagesOf(GROUP_16_BIT)) * bytes16Bit + (all - kept + pagesOf(GROUP_4_BIT)) * bytes4Bit)
        + otherBytes;
  }

  /**
   * What a session takes besides.
   *
   * @return bytes of work buffers
   */
  public long workBytes() {
    return workBytes;
  }

  private int pagesOf(int tokens) {
    return (tokens + pages.tokens() - 1) / pages.tokens();
  }
}
