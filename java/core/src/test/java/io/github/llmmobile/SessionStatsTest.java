package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class SessionStatsTest {
  private static SessionStats stats(long promptTokens, long generated, long promptUs, long decodeUs, long sampleUs) {
    return new SessionStats(new long[] {
      512, 30, 2, 4, promptTokens, 7, generated, promptUs, decodeUs, sampleUs, 1000, 2 << 20, 3000,
      4 << 20, 5, 6, 1, 10 * generated, 2, 1, 10 * decodeUs
    });
  }

  @Test
  void everyCounterHasItsPlace() {
    SessionStats s =
        new SessionStats(new long[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21});
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
    assertEquals(15, s.kvPagesF16());
    assertEquals(16, s.kvPagesQ4());
    assertEquals(17, s.kvPagesEvicted());
    assertEquals(18, s.kvDemotions());
    assertEquals(19, s.kvPromotions());
    assertEquals(20, s.kvEvictions());
    assertEquals(21, s.kvDemotionMicros());
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
    assertEquals(500, delta.kvDemotionMicros());
    assertEquals(5, delta.kvPagesF16());
  }

  @Test
  void toStringReadsAsASentence() {
    assertEquals("prompt 20 tokens (7 more from the cache) at 10.0 tokens/s, answer 10 tokens at 10.0 tokens/s,"
        + " context 30 of 512, cache 2.0 MiB", stats(20, 10, 2_000_000, 800_000, 200_000).toString());
  }
}
