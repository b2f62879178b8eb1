package io.github.llmmobile.internal;

/** How a session's cache is paged, as the native interface takes it. */
public final class PageSettings {
  final int pageTokens;
  final boolean quantize;
  final boolean evict;
  final int recentTokens;
  final int pinnedTokens;
  final long budgetBytes;

  /**
   * Takes the values as they are; the native side checks them.
   *
   * @param pageTokens tokens per page
   * @param quantize whether older pages take fewer bits
   * @param evict whether the oldest pages may be forgotten
   * @param recentTokens newest tokens that stay
   * @param pinnedTokens first tokens that stay
   * @param budgetBytes bound of the cache; 0 for none
   */
  public PageSettings(
      int pageTokens, boolean quantize, boolean evict, int recentTokens, int pinnedTokens, long budgetBytes) {
    this.pageTokens = pageTokens;
    this.quantize = quantize;
    this.evict = evict;
    this.recentTokens = recentTokens;
    this.pinnedTokens = pinnedTokens;
    this.budgetBytes = budgetBytes;
  }
}
