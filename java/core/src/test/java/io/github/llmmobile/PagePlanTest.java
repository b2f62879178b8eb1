package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.internal.Probes;
import io.github.llmmobile.internal.Quantization;
import org.junit.jupiter.api.Test;

class PagePlanTest {
  private static final MemoryManagerConfig ADAPTIVE = MemoryManagerConfig.builder().maxMemoryMb(64).build();
  private static final MemoryManagerConfig SMALLEST = ADAPTIVE.toBuilder().smallestTier(true).build();
  private static final MemoryManagerConfig STORED = ADAPTIVE.toBuilder().quantizationEnabled(false).build();

  private static void plan(MemoryManagerConfig memory, Quantization safe, Quantization used, boolean limited,
      String detail) {
    PagePlan plan = new PagePlan(memory, safe == null ? null : Probes.of(safe, 0.5, 0.75, 0.02));
    assertEquals(used, Probes.quantization(plan.settings()));
    assertEquals(limited, plan.limited());
    assertEquals("pages of 32 tokens within 64 MB, " + detail, plan.detail());
    assertEquals(64L << 20, plan.settings().budgetBytes());
  }

  @Test
  void withoutATrialTheWishIsTaken() {
    plan(ADAPTIVE, null, Quantization.ADAPTIVE, false, "older ones in 4 bits");
    plan(SMALLEST, null, Quantization.SMALLEST, false, "older ones in 4 bits, their values in 2");
    plan(STORED, null, Quantization.F16, false, "older ones in 16 bits");
  }

  @Test
  void whatIsSafeIsTakenAndMeasured() {
    plan(ADAPTIVE, Quantization.SMALLEST, Quantization.ADAPTIVE, false,
        "older ones in 4 bits (KL divergence 0.5000 nats)");
    plan(SMALLEST, Quantization.SMALLEST, Quantization.SMALLEST, false,
        "older ones in 4 bits, their values in 2 (KL divergence 0.7500 nats)");
    plan(STORED, Quantization.SMALLEST, Quantization.F16, false, "older ones in 16 bits");
  }

  @Test
  void fewerBitsUnderPressureAreGivenUpInSilence() {
    plan(ADAPTIVE, Quantization.FOUR_BIT, Quantization.FOUR_BIT, false,
        "older ones in 4 bits (KL divergence 0.5000 nats)");
  }

  @Test
  void withoutAMemoryManagerPagesAreAsStoredAndWithoutABound() {
    PagePlan plan = PagePlan.stored();
    assertEquals(Quantization.F16, Probes.quantization(plan.settings()));
    assertEquals(0, plan.settings().budgetBytes());
    assertFalse(plan.limited());
  }

  @Test
  void whatIsUnsafeIsNotDone() {
    plan(ADAPTIVE, Quantization.F16, Quantization.F16, true,
        "older ones in 16 bits: 4 bits are unsafe for this model (KL divergence 0.5000 nats, at most 0.0200)");
    plan(SMALLEST, Quantization.F16, Quantization.F16, true,
        "older ones in 16 bits: 4 bits are unsafe for this model (KL divergence 0.5000 nats, at most 0.0200)");
    plan(SMALLEST, Quantization.FOUR_BIT, Quantization.FOUR_BIT, true, "older ones in 4 bits: values in 2 bits are"
        + " unsafe for this model (KL divergence 0.7500 nats, at most 0.0200)");
  }
}
