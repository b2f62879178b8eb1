package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.config.TokenPruningConfig;
import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.util.List;
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
      TokenPruningConfig.builder().keepRatio(0.5).selectionMass(0.99).minTokens(64).testInterval(8).recordEvents(true).build();
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
  void promptsArePruned() {
    TokenPruningConfig prompts =
        TokenPruningConfig.builder().pruningThreshold(0).prunePrefillKeep(0.4).minTokens(64).build();
    InferenceConfig config = pruning(prompts).memoryManager(SMALL_PAGES).strict(true).build();
    try (LlmSession session = open(config)) {
      assertEquals("token_pruning: ACTIVE (shows 40 % of a prompt from 64 tokens to the layers after the first third)",
          report(session));
      session.generate(prompt(), GREEDY);
      SessionStats stats = session.stats();
      assertEquals(PROMPT, stats.prunePrefillTokens());
      assertTrue(stats.prunePrefillLeftOut() > PROMPT / 2, stats::toString);
      assertTrue(stats.prunePrefillLeftOut() < PROMPT * 0.7, stats::toString);
    }
  }

  @Test
  void aLayerBeyondTheModelIsRefused() {
    TokenPruningConfig beyond = HALF.toBuilder().prunePrefillKeep(0.4).prunePrefillLayer(1000).build();
    fails(ErrorCode.RANGE, () -> open(pruning(beyond).build()));
    try (LlmSession session = open(pruning(HALF).build())) {
      String before = report(session);
      fails(ErrorCode.RANGE, () -> session.setTokenPruning(beyond));
      assertEquals(before, report(session));
      session.setTokenPruning(HALF.toBuilder().prunePrefillKeep(0.4).build());
      assertTrue(report(session).contains("shows 40 % of a prompt"), report(session));
    }
  }

  @Test
  void exactAttentionReadsEveryToken() {
    MemoryManagerConfig exact = SMALL_PAGES.toBuilder().exactAttention(true).build();
    for (double keep : new double[] {1, 0.4}) {
      InferenceConfig config = pruning(HALF.toBuilder().prunePrefillKeep(keep).build()).memoryManager(exact).build();
      try (LlmSession session = open(config)) {
        assertEquals("token_pruning: NOT_AVAILABLE (exact_attention reads every token)", report(session));
        assertEquals(TechniqueReport.Status.ACTIVE, session.techniques().get(3).status());
      }
    }
    InferenceConfig config = pruning(HALF).memoryManager(exact).build();
    assertEquals("token_pruning_config: exact_attention reads every token; leave it out, or set strict to false",
        fails(ErrorCode.NOT_AVAILABLE, () -> open(config.toBuilder().strict(true).build())));
  }

  @Test
  void decodingPrunesAndTellsWhat() {
    try (LlmSession session = open(pruning(HALF).memoryManager(SMALL_PAGES).build())) {
      assertEquals(0, session.pruningPages().size());
      SessionStats stats = session.generate(prompt(), GREEDY).stats();
      assertTrue(stats.pruneSteps() > 50 && stats.pruneTests() > 5 && stats.pruneLooks() > 0, stats::toString);
      assertTrue(stats.pruneShadowTokens() > 100 && stats.pruneDroppedTokens() == 0, stats::toString);
      assertTrue(stats.pruneReadTokens() < stats.tokens(), stats::toString);
      assertTrue(stats.prunePrunedTokens() >= stats.pruneShadowTokens(), stats::toString);

      List<PruningEvent> events = session.pruningEvents();
      assertTrue(events.stream().anyMatch(event -> event.kind() == PruningEvent.Kind.PRUNED), events::toString);
      for (PruningEvent event : events) {
        assertTrue(event.position() >= PROMPT && event.position() < session.tokenCount(), event::toString);
        assertTrue(event.firstPosition() >= 16 && event.lastPosition() < event.position(), event::toString);
        assertEquals(event.kind() == PruningEvent.Kind.RECALLED, event.activeShare() > 0.5);
      }
      assertEquals(List.of(), session.pruningEvents());

      List<PruningPage> pages = session.pruningPages();
      int next = 0;
      for (PruningPage page : pages) {
        assertEquals(next, page.firstPosition());
        assertTrue(page.lastPosition() - page.firstPosition() < 16, page::toString);
        next = page.lastPosition() + 1;
        assertTrue(page.importance() >= 0 && page.importance() <= 1, page::toString);
        assertEquals(0, page.droppedShare());
      }
      assertEquals(session.tokenCount() - 1, next);
      assertEquals(1, pages.get(0).activeShare());
      assertTrue(pages.stream().anyMatch(page -> page.activeShare() < 0.5), pages::toString);
      assertTrue(pages.stream().anyMatch(page -> page.importance() > 0), pages::toString);
    }
  }

  @Test
  void withoutAShadowSetPagesAreDropped() {
    TokenPruningConfig none = HALF.toBuilder().maxShadowSize(0).build();
    try (LlmSession session = open(pruning(none).memoryManager(SMALL_PAGES).build())) {
      SessionStats stats = session.generate(prompt(), GREEDY).stats();
      // What every head has dropped leaves the cache.
      assertTrue(stats.kvPagesEvicted() > 0 && stats.pruneShadowTokens() == 0, stats::toString);
      assertTrue(session.pruningEvents().stream().anyMatch(event -> event.kind() == PruningEvent.Kind.DROPPED));
    }
  }

  @Test
  void withoutRecordingThereAreNoEvents() {
    try (LlmSession session = open(pruning(HALF.toBuilder().recordEvents(false).build()).build())) {
      session.generate(prompt(), GREEDY);
      assertTrue(session.stats().pruneSteps() > 0);
      assertEquals(List.of(), session.pruningEvents());
    }
  }

  @Test
  void pruningChangesWhileTheSessionLives() {
    try (LlmSession session = open(InferenceConfig.builder().memoryManager(SMALL_PAGES).build())) {
      session.generate(prompt(), GREEDY);
      assertEquals(0, session.stats().pruneSteps());
      assertEquals("token_pruning: OFF (the configuration does not ask for it)", report(session));

      session.setTokenPruning(HALF);
      assertTrue(report(session).startsWith("token_pruning: ACTIVE (keeps 50 %"), report(session));
      assertEquals(session.techniques(), session.generate(prompt(), GREEDY).techniques());
      assertTrue(session.stats().pruneShadowTokens() > 0);
      try (LlmSession fork = session.fork()) {
        assertEquals(session.techniques(), fork.techniques());
      }

      session.setTokenPruning(NOTHING);
      assertEquals("token_pruning: OFF (prunes nothing: the threshold is 0 and there is no target)", report(session));
      session.setTokenPruning(null);
      assertEquals("token_pruning: OFF (switched off)", report(session));
      assertTrue(session.pruningPages().stream().allMatch(page -> page.activeShare() == 1));
    }
  }

  @Test
  void withoutPagesThereIsNothingToPrune() {
    try (LlmSession session = open(InferenceConfig.empty())) {
      fails(ErrorCode.NOT_AVAILABLE, () -> session.setTokenPruning(HALF));
      fails(ErrorCode.NOT_AVAILABLE, () -> session.setTokenPruning(null));
      fails(ErrorCode.NOT_AVAILABLE, session::pruningPages);
      assertEquals(List.of(), session.pruningEvents());
      assertEquals("token_pruning: OFF (the configuration does not ask for it)", report(session));
    }
    MemoryManagerConfig exact = SMALL_PAGES.toBuilder().exactAttention(true).build();
    try (LlmSession session = open(InferenceConfig.builder().memoryManager(exact).build())) {
      assertEquals("exact_attention reads every token",
          fails(ErrorCode.NOT_AVAILABLE, () -> session.setTokenPruning(HALF)));
      session.setTokenPruning(NOTHING);
    }
  }

  @Test
  void decodingIsWhatPerplexityMeasuresOfPruning() {
    int[] text = new Random(2).ints(600, TinyModel.FIRST_BYTE, TinyModel.FIRST_BYTE + 256).toArray();
    PerplexityOptions batches = PerplexityOptions.builder().contextTokens(256).chunks(1).build();
    PerplexityOptions steps = batches.toBuilder().decodeTokens(40).build();
    try (LlmSession dense = open(InferenceConfig.builder().memoryManager(SMALL_PAGES).build());
        LlmSession pruned = open(pruning(HALF).memoryManager(SMALL_PAGES).build())) {
      assertEquals(127, dense.perplexity(text, batches).scoredTokens());
      assertEquals(40, dense.perplexity(text, steps).scoredTokens());
      assertEquals(dense.perplexity(text, batches).perplexity(), pruned.perplexity(text, batches).perplexity());
      assertNotEquals(dense.perplexity(text, steps).perplexity(), pruned.perplexity(text, steps).perplexity());
      fails(ErrorCode.RANGE,
          () -> dense.perplexity(text, batches.toBuilder().decodeTokens(256).build()));
    }
  }

  @Test
  void eventsAndPagesAreValues() {
    PruningEvent event = new PruningEvent(70, 16, 31, PruningEvent.Kind.DROPPED, 0.25);
    assertEquals(event, new PruningEvent(70, 16, 31, PruningEvent.Kind.DROPPED, 0.25));
    assertNotEquals(event, new PruningEvent(70, 16, 31, PruningEvent.Kind.PRUNED, 0.25));
    assertEquals("PruningEvent[DROPPED 16..31 at 70, activeShare=0.25]", event.toString());
    PruningPage page = new PruningPage(16, 31, 0.125, 0.5, 0.25);
    assertEquals(page, new PruningPage(16, 31, 0.125, 0.5, 0.25));
    assertNotEquals(page, new PruningPage(16, 31, 0.125, 0.5, 0));
    assertEquals("PruningPage[16..31, importance=0.125, activeShare=0.5, droppedShare=0.25]", page.toString());
  }
}
