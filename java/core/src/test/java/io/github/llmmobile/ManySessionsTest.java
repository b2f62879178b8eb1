package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Models;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Sessions side by side, and one after the other. */
class ManySessionsTest {
  private static final int THREADS = 8;
  /** A long run sets -Dllmm.cycles=1000, and then the memory is watched too. */
  private static final int CYCLES = Integer.getInteger("llmm.cycles", 30);
  private static final int CYCLES_WORTH_MEASURING = 200;

  @Test
  void sessionsOnEightThreadsAnswerAsOneAlone() throws Exception {
    answerTogether(Models.tiny(), Models.tinySession(), "hello world and the", 40);
  }

  @Test
  @Tag("model")
  void sessionsOfARealModelOnEightThreadsAnswerAsOneAlone() throws Exception {
    SessionOptions options = SessionOptions.builder().contextTokens(256).threads(1).build();
    answerTogether(Models.smol(), options, "The capital of France is", 8);
  }

  private static void answerTogether(LlmModel model, SessionOptions session, String text, int tokens)
      throws Exception {
    GenerationOptions options = GenerationOptions.greedy().toBuilder().maxTokens(tokens).build();
    int[] alone = answer(model, session, text, options);
    ExecutorService executor = Executors.newFixedThreadPool(THREADS);
    try {
      List<Future<int[]>> answers = new ArrayList<>();
      for (int i = 0; i < THREADS; i++) {
        answers.add(executor.submit(() -> answer(model, session, text, options)));
      }
      for (Future<int[]> answer : answers) {
        assertArrayEquals(alone, answer.get());
      }
    } finally {
      executor.shutdown();
    }
  }

  private static int[] answer(LlmModel model, SessionOptions options, String text, GenerationOptions generation) {
    try (LlmSession session = model.newSession(options)) {
      return session.generate(Prompt.text(text), generation).tokens();
    }
  }

  @Test
  void openingAndClosingDoesNotGrow() {
    GenerationOptions options = GenerationOptions.greedy().toBuilder().maxTokens(5).build();
    int[] expected = null;
    long half = 0;
    for (int i = 0; i < CYCLES; i++) {
      try (LlmModel model = LlmModel.load(ModelOptions.of(Models.tinyPath()))) {
        int[] tokens = answer(model, Models.tinySession(), "hello world", options);
        if (expected == null) {
          expected = tokens;
        }
        assertArrayEquals(expected, tokens, "cycle " + i);
      }
      if (i == CYCLES / 2) {
        half = settledRss();
      }
    }
    if (CYCLES >= CYCLES_WORTH_MEASURING) {
      long end = settledRss();
      long before = half;
      assertTrue(end < before * 1.01, () -> "resident memory grew from " + before + " to " + end);
    }
  }

  /** Resident memory after the garbage, which would drown what the native side keeps. */
  private static long settledRss() {
    System.gc();
    return LlmMobile.processMemory().rssBytes();
  }
}
