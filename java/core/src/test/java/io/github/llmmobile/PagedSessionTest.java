package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Forks, budgets, the spill file and eviction, as callers see them. */
@Timeout(120)
class PagedSessionTest {
  private static final int TOKENS = 400;
  private static final MemoryManagerConfig STORED =
      MemoryManagerConfig.builder().pageSize(16).quantizationEnabled(false).recentWindow(32).build();
  private static final MemoryManagerConfig EVICTING = STORED.toBuilder().evictionEnabled(true).build();
  private static final GenerationOptions GREEDY =
      GenerationOptions.greedy().toBuilder().maxTokens(20).ignoreEos(true).build();

  @TempDir Path folder;

  private static LlmSession open(MemoryManagerConfig memory) {
    return open(Models.tiny(), memory);
  }

  private static LlmSession open(LlmModel model, MemoryManagerConfig memory) {
    return model.newSession(Models.tinySession(), InferenceConfig.builder().memoryManager(memory).build());
  }

  private static LlmSession filled(MemoryManagerConfig memory) {
    LlmSession session = open(memory);
    session.eval(new Random(1).ints(TOKENS, TinyModel.FIRST_BYTE, TinyModel.FIRST_BYTE + 256).toArray());
    return session;
  }

  private static ErrorCode failure(MemoryManagerConfig memory) {
    return assertThrows(LlmException.class, () -> open(memory).close()).code();
  }

  @Test
  void aForkSharesPagesAndGoesOnByItself() {
    LlmSession parent = filled(STORED);
    int[] history = parent.tokens();
    try (LlmSession fork = parent.fork()) {
      assertArrayEquals(parent.logits(), fork.logits());
      assertTrue(parent.stats().kvPagesShared() > 0);
      assertEquals(parent.stats().kvPagesShared(), fork.stats().kvPagesShared());
      assertEquals(parent.stats().kvBudgetBytes(), fork.stats().kvBudgetBytes());

      parent.rewind(100);
      parent.eval(TinyModel.FIRST_BYTE);
      assertArrayEquals(history, fork.tokens());
      parent.close();

      fork.eval(TinyModel.FIRST_BYTE + 1);
      try (LlmSession alone = filled(STORED)) {
        alone.eval(TinyModel.FIRST_BYTE + 1);
        assertArrayEquals(alone.logits(), fork.logits());
      }
      assertEquals(0, fork.stats().kvPagesShared());
    }
  }

  @Test
  void aForkWithoutPagesIsACopy() {
    try (LlmSession parent = Models.tiny().newSession(Models.tinySession())) {
      parent.eval(5, 6, 7);
      try (LlmSession fork = parent.fork()) {
        assertArrayEquals(parent.logits(), fork.logits());
        parent.rewind(1);
        assertEquals(3, fork.tokenCount());
      }
    }
  }

  @Test
  void aConversationGoesOnInAFork() {
    try (LlmSession session = open(STORED)) {
      Conversation conversation = new Conversation(session);
      conversation.send("hello", GREEDY, token -> {});
      try (LlmSession fork = session.fork()) {
        Conversation aside = conversation.copyTo(fork);
        String here = conversation.send("and the world", GREEDY, token -> {}).text();
        assertEquals(here, aside.send("and the world", GREEDY, token -> {}).text());
        aside.send("stop", GREEDY, token -> {});
        assertEquals(4, conversation.messages().size());
        assertEquals(6, aside.messages().size());
      }
    }
  }

  @Test
  void aSmallerBudgetIsMetAtOnce() {
    MemoryManagerConfig adaptive = STORED.toBuilder().quantizationEnabled(true).probeEnabled(false).build();
    try (LlmSession session = filled(adaptive)) {
      SessionStats before = session.stats();
      assertTrue(before.kvPagesQ4() > 0);
      long budget = before.kvBytes() - 5000;
      session.setMemoryBudget(budget);
      SessionStats after = session.stats();
      assertEquals(budget, after.kvBudgetBytes());
      assertTrue(after.kvBytes() <= budget);
      assertTrue(after.kvDemotions() > before.kvDemotions());
      assertEquals(before.kvPagesF16() + before.kvPagesQ4(),
          after.kvPagesF16() + after.kvPagesQ4() + after.kvPagesQ42());
      assertEquals(TOKENS, session.tokenCount());
    }
  }

  @Test
  void aBudgetThatCannotBeMetChangesNothing() {
    try (LlmSession session = filled(STORED)) {
      SessionStats before = session.stats();
      assertThrows(ContextFullException.class, () -> session.setMemoryBudget(1));
      assertEquals(before.kvBudgetBytes(), session.stats().kvBudgetBytes());
      assertEquals(before.kvPagesF16(), session.stats().kvPagesF16());
      assertEquals(ErrorCode.RANGE,
          assertThrows(LlmException.class, () -> session.setMemoryBudget(-1)).code());
      session.eval(5);
    }
  }

  @Test
  void trimmingOnlyLowersTheBudget() {
    try (LlmSession session = open(STORED)) {
      session.trimMemory(2);
      assertEquals(2 << 20, session.stats().kvBudgetBytes());
      session.trimMemory(3);
      assertEquals(2 << 20, session.stats().kvBudgetBytes());
      session.setMemoryBudget(0);
      session.trimMemory(3);
      assertEquals(3 << 20, session.stats().kvBudgetBytes());
      assertEquals(ErrorCode.RANGE, assertThrows(LlmException.class, () -> session.trimMemory(0)).code());
    }
  }

  @Test
  void withoutPagesThereIsNoBudget() {
    try (LlmSession session = Models.tiny().newSession(Models.tinySession())) {
      assertEquals(ErrorCode.NOT_AVAILABLE,
          assertThrows(LlmException.class, () -> session.setMemoryBudget(1 << 20)).code());
      assertEquals(ErrorCode.NOT_AVAILABLE,
          assertThrows(LlmException.class, () -> session.trimMemory(1)).code());
    }
  }

  @Test
  void besideACallTheBudgetChangesAndAForkIsRefused() {
    try (LlmSession session = open(EVICTING)) {
      AtomicBoolean refused = new AtomicBoolean();
      GenerationResult result = session.generate(Prompt.text("hello"), GREEDY, token -> {
        if (refused.get()) {
          return;
        }
        Thread other = new Thread(() -> {
          session.trimMemory(1);
          refused.set(assertThrows(LlmException.class, session::fork).code() == ErrorCode.BUSY);
        });
        other.start();
        join(other);
      });
      assertTrue(refused.get());
      assertEquals(20, result.tokens().length);
      assertEquals(1 << 20, session.stats().kvBudgetBytes());
    }
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void pagesThatDoNotFitGoToAFileAndCountTheSame() throws IOException {
    Path spill = folder.resolve("made").resolve("when needed");
    try (LlmSession whole = filled(STORED);
        LlmSession spilled = filled(STORED.toBuilder().spillDirectory(spill).build())) {
      assertTrue(Files.isDirectory(spill));
      spilled.setMemoryBudget(whole.stats().kvBytes() * 3 / 4);
      whole.eval(5);
      spilled.eval(5);
      assertArrayEquals(whole.logits(), spilled.logits());
      SessionStats stats = spilled.stats();
      assertTrue(stats.kvPagesSpilled() > 0 && stats.kvSpills() > 0 && stats.kvReadBytes() > 0);
      assertTrue(stats.kvBytesSpilled() > 0);
      assertEquals(0, stats.kvPagesEvicted());
    }
    try (Stream<Path> left = Files.list(spill)) {
      assertEquals(0, left.count());
    }
  }

  @Test
  void aSpillFolderThatCannotBeIsAnIoError() throws IOException {
    Path file = Files.createFile(folder.resolve("a file"));
    assertEquals(ErrorCode.IO, failure(STORED.toBuilder().spillDirectory(file).build()));
    assertEquals(ErrorCode.IO, failure(STORED.toBuilder().spillDirectory(file.resolve("below")).build()));
    Path readOnly = Files.createDirectory(folder.resolve("read only"));
    assertTrue(readOnly.toFile().setWritable(false));
    if (!Files.isWritable(readOnly)) {       // root writes anywhere
      assertEquals(ErrorCode.IO, failure(STORED.toBuilder().spillDirectory(readOnly).build()));
    }
    assertTrue(readOnly.toFile().setWritable(true));
  }

  @Test
  void evictionGoesOnPastTheContextInConstantMemory() {
    try (LlmSession session = open(EVICTING)) {
      GenerationOptions options = GREEDY.toBuilder().maxTokens(2 * TinyModel.CONTEXT).build();
      session.generate(Prompt.text("hello world"), options);
      SessionStats early = session.stats();
      assertTrue(session.tokenCount() > TinyModel.CONTEXT);
      assertTrue(early.kvPagesEvicted() > 0);

      session.rewind(0);
      Conversation conversation = new Conversation(session);
      GenerationOptions turn = options.toBuilder().maxTokens(100).build();
      for (int i = 0; i < 12; i++) {
        assertEquals(100, conversation.send("hello world and the stop", turn, token -> {}).tokens().length);
      }
      SessionStats late = session.stats();
      assertTrue(session.tokenCount() > 2 * TinyModel.CONTEXT);
      assertTrue(late.kvPagesEvicted() > 0 && late.kvEvictions() > early.kvEvictions());
      assertEquals(early.kvPeakBytes(), late.kvPeakBytes());
    }
  }

  @Test
  void withoutEvictionTheContextIsTheEnd() {
    try (LlmSession session = open(STORED)) {
      GenerationResult result =
          session.generate(Prompt.text("hello"), GREEDY.toBuilder().maxTokens(2 * TinyModel.CONTEXT).build());
      assertEquals(StopReason.CONTEXT_FULL, result.stopReason());
    }
  }

  @Test
  void theTrialIsKeptInTheCacheFolder() throws IOException {
    MemoryManagerConfig tried = STORED.toBuilder().quantizationEnabled(true).cacheDirectory(folder).build();
    String first = memoryManager(tried);
    try (Stream<Path> files = Files.list(folder.resolve("probes"))) {
      assertEquals(1, files.count());
    }
    assertEquals(first, memoryManager(tried));
  }

  /** What a newly loaded model says of the pages; a loaded one remembers its trial. */
  private static String memoryManager(MemoryManagerConfig memory) {
    try (LlmModel model = LlmModel.load(ModelOptions.of(Models.tinyPath()));
        LlmSession session = open(model, memory)) {
      return session.techniques().toString();
    }
  }
}
