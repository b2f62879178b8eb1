package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.config.TokenPruningConfig;
import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Token pruning, as callers see it. */
@Timeout(120)
class PruningTest {
  private static final int PROMPT = 300;
  private static final MemoryManagerConfig SMALL_PAGES = MemoryManagerConfig.builder().pageSize(16)
      .quantizationEnabled(false).recentWindow(32).pinnedPrefix(16).build();
  private static final TokenPruningConfig HALF =
      TokenPruningConfig.builder().keepRatio(0.5).minTokens(64).testInterval(4).recordEvents(true).build();
  private static final TokenPruningConfig NOTHING = TokenPruningConfig.builder().pruningThreshold(0).build();
  private static final GenerationOptions GREEDY =
      GenerationOptions.greedy().toBuilder().maxTokens(60).ignoreEos(true).build();

  private static InferenceConfig.Builder pruning(TokenPruningConfig pruning) {
    return InferenceConfig.builder().tokenPruning(pruning);
  }

  private static LlmSession open(InferenceConfig config) {
    return Models.tiny().newSession(Models.tinySession(), config);
  }

  private static Prompt prompt() {
    return Prompt.tokens(
        new Random(1).ints(PROMPT, TinyModel.FIRST_BYTE, TinyModel.FIRST_BYTE + 256).toArray());
  }

  private static String report(LlmSession session) {
    return session.techniques().get(1).toString();
  }

  @Test
  void pruningWithoutAMemoryManagerHasPagesOfItsOwn() {
    try (LlmSession session = open(pruning(HALF).strict(true).build())) {
      assertTrue(report(session).startsWith("token_pruning: ACTIVE (keeps 50 % of the tokens active"), report(session));
      assertEquals(TechniqueReport.Status.OFF, session.techniques().get(3).status());
      session.generate(prompt(), GREEDY);
      SessionStats stats = session.stats();
      assertTrue(stats.kvPagesF16() > 0);
      assertEquals(0, stats.kvBudgetBytes());
      assertEquals(0, stats.kvPagesQ4());
      session.trimMemory(4);
      assertEquals(4 << 20, session.stats().kvBudgetBytes());
    }
  }

  @Test
  void whatPrunesNothingIsOffAndChangesNothing() {
    InferenceConfig plain = InferenceConfig.builder().memoryManager(SMALL_PAGES).build();
    try (LlmSession without = open(plain);
        LlmSession nothing = open(plain.toBuilder().tokenPruning(NOTHING).strict(true).build())) {
      assertEquals("token_pruning: OFF (prunes nothing: the threshold is 0 and there is no target)", report(nothing));
      assertArrayEquals(without.generate(prompt(), GREEDY).tokens(), nothing.generate(prompt(), GREEDY).tokens());
      assertArrayEquals(without.logits(), nothing.logits());
    }
  }

  @Test
  void exactAttentionReadsEveryToken() {
    MemoryManagerConfig exact = SMALL_PAGES.toBuilder().exactAttention(true).build();
    InferenceConfig config = pruning(HALF).memoryManager(exact).build();
    try (LlmSession session = open(config)) {
      assertEquals("token_pruning: NOT_AVAILABLE (exact_attention reads every token)", report(session));
      assertEquals(TechniqueReport.Status.ACTIVE, session.techniques().get(3).status());
    }
    assertEquals("token_pruning_config: exact_attention reads every token; leave it out, or set strict to false",
        fails(ErrorCode.NOT_AVAILABLE, () -> open(config.toBuilder().strict(true).build())));
  }
}
