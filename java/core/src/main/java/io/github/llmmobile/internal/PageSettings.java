package io.github.llmmobile.internal;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** How a session's cache is paged, as the native interface takes it. */
public final class PageSettings {
  final int pageTokens;
  final Quantization quantization;
  final boolean evict;
  final int recentTokens;
  final int pinnedTokens;
  final boolean exact;
  final long budgetBytes;
  final @Nullable Path spillFolder;

  /**
   * Takes the values as they are; the native side checks them.
   *
   * @param pageTokens tokens per page
   * @param quantization how older pages are kept
   * @param evict whether the least used pages may be forgotten
   * @param recentTokens newest tokens that stay
   * @param pinnedTokens first tokens that stay
   * @param exact whether llama.cpp's own attention runs
   * @param budgetBytes bound of the cache; 0 for none
   * @param spillFolder where pages go that do not fit, or null
   */
  public PageSettings(int pageTokens, Quantization quantization, boolean evict, int recentTokens, int pinnedTokens,
      boolean exact, long budgetBytes, @Nullable Path spillFolder) {
    this.pageTokens = pageTokens;
    this.quantization = quantization;
    this.evict = evict;
    this.recentTokens = recentTokens;
    this.pinnedTokens = pinnedTokens;
    this.exact = exact;
    this.budgetBytes = budgetBytes;
    this.spillFolder = spillFolder;
  }

  /**
   * The bound of the cache.
   *
   * @return bytes; 0 for none
   */
  public long budgetBytes() {
    return budgetBytes;
  }
}
