package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class SessionStatsTest {
  private static SessionStats stats(long promptTokens, long generated, long promptUs, long decodeUs, long sampleUs) {
    return stats(promptTokens, generated, promptUs, decodeUs, sampleUs, 0);
  }

  private static SessionStats stats(
      long promptTokens, long generated, long promptUs, long decodeUs, long sampleUs, long peak) {
    return new SessionStats(counts(promptTokens, generated, promptUs, decodeUs, sampleUs, peak), new double[10]);
  }

  private static long[] counts(
      long promptTokens, long generated, long promptUs, long decodeUs, long sampleUs, long peak) {
    return new long[] {
      512, 30, 2, 4, promptTokens, 7, generated, promptUs, decodeUs, sampleUs, 1000, 2 << 20, 3000,
      peak, 8 << 20, 5, 6, 7, 8, 2, 1, 1 << 20, 512 << 10, 256 << 10, 3 << 20,
      10 * generated, 2 * generated, 3 * generated, 4 * generated, 5 * generated, 6 * generated,
      10 * decodeUs, 2 * decodeUs, 3 * decodeUs, 4 * decodeUs, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
    };
  }

  private static SessionStats pruning(long steps, long tests, long looks, long micros, double... reals) {
    long[] counts = counts(0, 0, 0, 0, 0, 0);
    System.arraycopy(new long[] {steps, tests, looks, micros}, 0, counts, 35, 4);
    return new SessionStats(counts, reals);
  }

  @Test
  void everyCounterHasItsPlace() {
    SessionStats s = new SessionStats(LongStream.rangeClosed(1, 49).toArray(),
        new double[] {0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5});
    assertEquals(1, s.contextTokens());
    assertEquals(2, s.tokens());
    assertEquals(3, s.threads());
    assertEquals(4, s.batchThreads());
    assertEquals(5, s.promptTokens());
    assertEquals(6, s.reusedTokens());
    assertEquals(7, s.generatedTokens());
    assertEquals(8, s.promptMicros());
    assertEquals(9, s.decodeMicros());
    assertEquals(10, s.sampleMicros());
    assertEquals(11, s.modelBytes());
    assertEquals(12, s.kvBytes());
    assertEquals(13, s.computeBytes());
    assertEquals(14, s.kvPeakBytes());
    assertEquals(15, s.kvBudgetBytes());
    assertEquals(16, s.kvPagesF16());
    assertEquals(17, s.kvPagesQ4());
    assertEquals(18, s.kvPagesQ42());
    assertEquals(19, s.kvPagesSpilled());
    assertEquals(20, s.kvPagesShared());
    assertEquals(21, s.kvPagesEvicted());
    assertEquals(22, s.kvBytesF16());
    assertEquals(23, s.kvBytesQ4());
    assertEquals(24, s.kvBytesQ42());
    assertEquals(25, s.kvBytesSpilled());
    assertEquals(26, s.kvDemotions());
    assertEquals(27, s.kvPromotions());
    assertEquals(28, s.kvSpills());
    assertEquals(29, s.kvRecalls());
    assertEquals(30, s.kvEvictions());
    assertEquals(31, s.kvRecomputed());
    assertEquals(32, s.kvDemotionMicros());
    assertEquals(33, s.kvSpillMicros());
    assertEquals(34, s.kvReadMicros());
    assertEquals(35, s.kvReadBytes());
    assertEquals(36, s.pruneSteps());
    assertEquals(37, s.pruneTests());
    assertEquals(38, s.pruneLooks());
    assertEquals(39, s.pruneMicros());
    assertEquals(40, s.prunePrefillTokens());
    assertEquals(41, s.prunePrefillLeftOut());
    assertEquals(42, s.prunePrefillRecalled());
    assertEquals(43, s.prunePrefillShadow());
    assertEquals(44, s.prunePrefillMicros());
    assertEquals(45, s.draftProposed());
    assertEquals(46, s.draftAccepted());
    assertEquals(47, s.draftSteps());
    assertEquals(48, s.gateSteps());
    assertEquals(49, s.gateSkippedParts());
    assertEquals(0.5, s.pruneActiveTokens());
    assertEquals(1.5, s.pruneShadowTokens());
    assertEquals(2.5, s.pruneDroppedTokens());
    assertEquals(3.5, s.prunePrunedTokens());
    assertEquals(4.5, s.pruneRecalledTokens());
    assertEquals(5.5, s.pruneReadTokens());
    assertEquals(6.5, s.pruneOmittedMass());
    assertEquals(7.5, s.pruneOmittedMost());
    assertEquals(8.5, s.pruneOmittedBound());
    assertEquals(9.5, s.pruneOmittedBoundMost());
  }

  @Test
  void speedsAreTokensPerSecond() {
    SessionStats s = stats(20, 10, 2_000_000, 800_000, 200_000);
    assertEquals(10, s.promptTokensPerSecond());
    assertEquals(10, s.decodeTokensPerSecond());
    assertEquals(0, stats(0, 0, 0, 0, 0).promptTokensPerSecond());
    assertEquals(0, stats(0, 0, 0, 0, 0).decodeTokensPerSecond());
  }

  @Test
  void differencesAreOfCountersOnly() {
    SessionStats delta = stats(20, 10, 200, 80, 20).since(stats(5, 4, 50, 30, 10));
    assertEquals(15, delta.promptTokens());
    assertEquals(0, delta.reusedTokens());
    assertEquals(6, delta.generatedTokens());
    assertEquals(150, delta.promptMicros());
    assertEquals(50, delta.decodeMicros());
    assertEquals(10, delta.sampleMicros());
    assertEquals(512, delta.contextTokens());
    assertEquals(30, delta.tokens());
    assertEquals(2 << 20, delta.kvBytes());
    assertEquals(60, delta.kvDemotions());
    assertEquals(12, delta.kvPromotions());
    assertEquals(18, delta.kvSpills());
    assertEquals(24, delta.kvRecalls());
    assertEquals(30, delta.kvEvictions());
    assertEquals(36, delta.kvRecomputed());
    assertEquals(500, delta.kvDemotionMicros());
    assertEquals(100, delta.kvSpillMicros());
    assertEquals(150, delta.kvReadMicros());
    assertEquals(200, delta.kvReadBytes());
    assertEquals(5, delta.kvPagesF16());
    assertEquals(8 << 20, delta.kvBudgetBytes());
    assertEquals(3 << 20, delta.kvBytesSpilled());
  }

  @Test
  void draftsAreCountedAndToldOfWhereThereAreAny() {
    SessionStats delta = drafts(90, 61, 12).since(drafts(20, 11, 5));
    assertEquals(70, delta.draftProposed());
    assertEquals(50, delta.draftAccepted());
    assertEquals(7, delta.draftSteps());
    assertTrue(delta.toString().endsWith(", drafted tokens: 50 of 70 right"), delta::toString);
    assertFalse(drafts(0, 0, 0).toString().contains("draft"));
  }

  private static SessionStats drafts(long proposed, long accepted, long steps) {
    long[] counts = counts(0, 0, 0, 0, 0, 0);
    System.arraycopy(new long[] {proposed, accepted, steps}, 0, counts, 44, 3);
    return new SessionStats(counts, new double[10]);
  }

  @Test
  void prunedPromptsAreCountedAndToldOfWhereThereAreAny() {
    SessionStats delta = prompts(9000, 6000, 300, 5700, 70).since(prompts(1000, 500, 100, 400, 30));
    assertEquals(8000, delta.prunePrefillTokens());
    assertEquals(5500, delta.prunePrefillLeftOut());
    assertEquals(200, delta.prunePrefillRecalled());
    assertEquals(5700, delta.prunePrefillShadow());
    assertEquals(40, delta.prunePrefillMicros());
    assertTrue(delta.toString().endsWith(", pruned prompts: 5500 of 8000 tokens left out of later layers, 200 brought back"),
        delta::toString);
    assertFalse(prompts(0, 0, 0, 0, 0).toString().contains("prompts"));
  }

  private static SessionStats prompts(long tokens, long leftOut, long recalled, long shadow, long micros) {
    long[] counts = counts(0, 0, 0, 0, 0, 0);
    System.arraycopy(new long[] {tokens, leftOut, recalled, shadow, micros}, 0, counts, 39, 5);
    return new SessionStats(counts, new double[10]);
  }

  @Test
  void meansOfPruningAreThoseOfTheStepsInBetween() {
    SessionStats before = pruning(10, 2, 3, 50, 100, 20, 0, 30, 10, 80, 0.01, 0.02, 0.3, 0.4);
    SessionStats after = pruning(30, 6, 8, 90, 150, 40, 5, 70, 15, 120, 0.03, 0.09, 0.5, 0.6);
    SessionStats delta = after.since(before);
    assertEquals(20, delta.pruneSteps());
    assertEquals(4, delta.pruneTests());
    assertEquals(5, delta.pruneLooks());
    assertEquals(40, delta.pruneMicros());
    assertEquals(150, delta.pruneActiveTokens());
    assertEquals(40, delta.pruneShadowTokens());
    assertEquals(5, delta.pruneDroppedTokens());
    assertEquals(40, delta.prunePrunedTokens());
    assertEquals(5, delta.pruneRecalledTokens());
    assertEquals(140, delta.pruneReadTokens(), 1e-9);
    assertEquals(0.04, delta.pruneOmittedMass(), 1e-9);
    assertEquals(0.09, delta.pruneOmittedMost());
    SessionStats none = after.since(after);
    assertEquals(0, none.pruneReadTokens());
    assertEquals(0, none.pruneOmittedMass());
  }

  @Test
  void toStringReadsAsASentence() {
    assertEquals("prompt 20 tokens (7 more from the cache) at 10.0 tokens/s, answer 10 tokens at 10.0 tokens/s,"
        + " context 30 of 512, cache 2.0 MiB", stats(20, 10, 2_000_000, 800_000, 200_000).toString());
    assertTrue(stats(20, 10, 2_000_000, 800_000, 200_000, 4 << 20).toString().endsWith(
        " (pages: 5 f16 1.0 MiB, 6 q4 0.5 MiB, 7 q4/2 0.3 MiB, 8 spilled 3.0 MiB, 2 shared, 1 evicted)"));
    assertTrue(pruning(30, 6, 8, 90, 150, 40, 5, 70, 15, 120, 0.03, 0.09, 0.5, 0.6).toString().endsWith(
        ", pruning: 150 tokens active, 40 shadow, 5 dropped, 120 read per step"));
  }
}
