package io.github.llmmobile;

import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.internal.KvProbe;
import io.github.llmmobile.internal.PageSettings;
import io.github.llmmobile.internal.Quantization;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The pages of a session: what its configuration wants, as far as the model bears it. */
final class PagePlan {
  private final MemoryManagerConfig memory;
  private final @Nullable KvProbe probe;
  private final Quantization used;
  private final long budgetBytes;

  /** The pages of a session that has no memory manager and yet needs pages: as stored, without a bound. */
  static PagePlan stored() {
    return new PagePlan(MemoryManagerConfig.builder().quantizationEnabled(false).build(), null, 0);
  }

  /**
   * Decides.
   *
   * @param memory what is wanted
   * @param probe what quantised pages do to the model, or null to take what is wanted
   */
  PagePlan(MemoryManagerConfig memory, @Nullable KvProbe probe) {
    this(memory, probe, (long) memory.maxMemoryMb() << 20);
  }

  private PagePlan(MemoryManagerConfig memory, @Nullable KvProbe probe, long budgetBytes) {
    this.budgetBytes = budgetBytes;
    this.memory = memory;
    this.probe = probe;
    used = probe == null ? wanted(memory) : wanted(memory).atMost(probe.safe());
  }

  private static Quantization wanted(MemoryManagerConfig memory) {
    if (!memory.quantizationEnabled()) {
      return Quantization.F16;
    }
    return memory.smallestTier() ? Quantization.SMALLEST : Quantization.ADAPTIVE;
  }

  PageSettings settings() {
    return new PageSettings(memory.pageSize(), used, memory.evictionEnabled(), memory.recentWindow(),
        memory.pinnedPrefix(), memory.exactAttention(), budgetBytes,
        memory.spillDirectory().orElse(null));
  }

  /** Whether something that was asked for by name is unsafe. Fewer bits where the budget presses are only an offer. */
  boolean limited() {
    return used != wanted(memory) && (used == Quantization.F16 || memory.smallestTier());
  }

  /** What the pages are, for people. */
  String detail() {
    String pages = "pages of " + memory.pageSize() + " tokens within " + memory.maxMemoryMb() + " MB, ";
    if (!limited()) {
      return pages + olderOnes() + (probe == null || used == Quantization.F16 ? "" : " (" + measured(used) + ")");
    }
    Quantization refused = used == Quantization.F16 ? Quantization.FOUR_BIT : Quantization.SMALLEST;
    return pages + olderOnes() + ": " + (refused == Quantization.FOUR_BIT ? "4 bits" : "values in 2 bits")
        + " are unsafe for this model (" + measured(refused) + ", at most "
        + String.format(Locale.ROOT, "%.4f", probe == null ? 0 : probe.limit()) + ")";
  }

  private String olderOnes() {
    switch (used) {
      case F16:
        return "older ones in 16 bits";
      case SMALLEST:
        return "older ones in 4 bits, their values in 2";
      default:
        return "older ones in 4 bits";
    }
  }

  private String measured(Quantization format) {
    return String.format(Locale.ROOT, "KL divergence %.4f nats", probe == null ? 0 : probe.divergence(format));
  }
}
