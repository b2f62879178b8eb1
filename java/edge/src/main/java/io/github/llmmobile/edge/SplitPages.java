package io.github.llmmobile.edge;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.config.MemoryManagerConfig;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * How the worker's layers keep keys and values in pages, wherever they are evaluated: at the worker, or on a device that goes
 * on by itself. What decides the bits of an answer is here; where pages lie, in memory or in a spill file, does not. Immutable.
 */
public final class SplitPages {
  private final int tokens;
  private final boolean fourBit;
  private final int recentTokens;
  private final int pinnedTokens;

  private SplitPages(int tokens, boolean fourBit, int recentTokens, int pinnedTokens) {
    this.tokens = tokens;
    this.fourBit = fourBit;
    this.recentTokens = fourBit ? recentTokens : 0;
    this.pinnedTokens = fourBit ? pinnedTokens : 0;
  }

  /**
   * The pages that a section describes; its budget and its folders are another matter.
   *
   * @param memory page size, whether older pages are quantised, and which those are (required)
   * @return the pages (never null)
   * @throws LlmException INVALID_ARGUMENT if it asks for what changes answers by the budget, which is not the same on both
   *     sides: eviction and the smallest tier; or for {@code exact_attention}, which no pages of a worker need
   */
  public static SplitPages of(MemoryManagerConfig memory) {
    if (memory.evictionEnabled() || memory.smallestTier() || memory.exactAttention()) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT,
          "a worker's pages are neither evicted nor in the smallest tier, and have kernels of their own");
    }
    return new SplitPages(
        memory.pageSize(), memory.quantizationEnabled(), memory.recentWindow(), memory.pinnedPrefix());
  }

  /**
   * Tokens of a page.
   *
   * @return 16, 32 or 64
   */
  public int tokens() {
    return tokens;
  }

  /**
   * Whether pages older than the recent window are kept in 4 bits.
   *
   * @return true if so
   */
  public boolean fourBit() {
    return fourBit;
  }

  /**
   * The newest tokens, which stay in 16 bits.
   *
   * @return their number; 0 if all stay
   */
  public int recentTokens() {
    return recentTokens;
  }

  /**
   * The first tokens, which stay in 16 bits.
   *
   * @return their number; 0 if all stay
   */
  public int pinnedTokens() {
    return pinnedTokens;
  }

  /**
   * Where a cache may be cut off so that what stays is what it would be if the rest had never been there. A page that has
   * been quantised stays so, though after the cut it would be too young for that.
   *
   * @param to where it should be cut off
   * @param highest the most rows that it has ever had
   * @return {@code to}, or 0
   */
  public int cutAt(int to, int highest) {
    return !fourBit || highest <= recentTokens ? to : 0;
  }

  /**
   * The section of a session that keeps these pages.
   *
   * @param maxMemoryMb its budget; for pages in 4 bits it must never press, since it would change them
   * @param spill the folder for pages that do not fit, or null; only for pages in 16 bits
   * @return the section; the model is not tried, since both sides must come to the same (never null)
   */
  public MemoryManagerConfig config(int maxMemoryMb, @Nullable Path spill) {
    MemoryManagerConfig.Builder memory = MemoryManagerConfig.builder().maxMemoryMb(maxMemoryMb).pageSize(tokens)
        .quantizationEnabled(fourBit).recentWindow(recentTokens).pinnedPrefix(pinnedTokens).probeEnabled(false);
    if (spill != null) {
      memory.spillDirectory(spill);
    }
    return memory.build();
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof SplitPages)) {
      return false;
    }
    SplitPages that = (SplitPages) other;
    return tokens == that.tokens && fourBit == that.fourBit && recentTokens == that.recentTokens
        && pinnedTokens == that.pinnedTokens;
  }

  @Override
  public int hashCode() {
    return Objects.hash(tokens, fourBit, recentTokens, pinnedTokens);
  }

  /** For people, such as {@code pages of 32 tokens, older ones in 4 bits}. */
  @Override
  public String toString() {
    return "pages of " + tokens + " tokens, " + (fourBit ? "older ones in 4 bits" : "all in 16 bits");
  }
}
