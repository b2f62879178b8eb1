package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The history of tokens: append, drop, read, and measure. */
class HistoryTest {
  private final LlmModel model = Models.tiny();
  private final LlmSession session = model.newSession(Models.tinySession());

  @AfterEach
  void close() {
    session.close();
  }

  private static int[] randomTokens(int n, int seed) {
    return new Random(seed).ints(n, TinyModel.FIRST_BYTE + ' ', TinyModel.FIRST_BYTE + '~').toArray();
  }

  @Test
  void evalAppendsAndRewindDrops() {
    session.eval(70, 71, 72);
    session.eval(73);
    assertArrayEquals(new int[] {70, 71, 72, 73}, session.tokens());
    assertEquals(4, session.tokenCount());
    session.rewind(2);
    assertArrayEquals(new int[] {70, 71}, session.tokens());
    session.eval();
    assertEquals(2, session.tokenCount());
    session.rewind(0);
    assertEquals(0, session.tokenCount());
  }

  @Test
  void aRewoundSessionPredictsAsIfNothingHadBeen() {
    session.eval(70, 71, 72);
    float[] before = session.logits();
    session.eval(80, 81, 82, 83);
    session.rewind(3);
    assertArrayEquals(before, session.logits(), 1e-4f);
  }

  @Test
  void badTokensAndLengthsChangeNothing() {
    session.eval(70, 71);
    fails(ErrorCode.RANGE, () -> session.eval(1 << 20));
    fails(ErrorCode.RANGE, () -> session.eval(-1));
    fails(ErrorCode.RANGE, () -> session.rewind(-1));
    fails(ErrorCode.RANGE, () -> session.rewind(3));
    int[] tooMany = new int[TinyModel.CONTEXT - 1];
    Arrays.fill(tooMany, 70);
    String message = fails(ErrorCode.CONTEXT_FULL, () -> session.eval(tooMany));
    assertTrue(message.contains("513") && message.contains("512"), message);
    assertThrows(NullPointerException.class, () -> session.eval((int[]) null));
    assertArrayEquals(new int[] {70, 71}, session.tokens());
    session.eval(72);
  }

  @Test
  void logitsNeedAHistory() {
    fails(ErrorCode.NO_LOGITS, session::logits);
    fails(ErrorCode.NO_LOGITS, () -> session.topLogprobs(3));
  }

  @Test
  void topLogprobsAreTheSortedSoftmaxOfTheLogits() {
    session.eval(70, 71, 72);
    float[] logits = session.logits();
    assertEquals(model.info().vocabulary(), logits.length);
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit);
    }
    List<TokenLogprob> top = session.topLogprobs(logits.length);
    double previous = 0;
    double total = 0;
    for (TokenLogprob entry : top) {
      assertEquals(logits[entry.token()] - Math.log(sum), entry.logprob(), 1e-4);
      assertTrue(entry.logprob() <= previous);
      previous = entry.logprob();
      total += Math.exp(entry.logprob());
    }
    assertEquals(1, total, 1e-4);
    fails(ErrorCode.RANGE, () -> session.topLogprobs(0));
    fails(ErrorCode.RANGE, () -> session.topLogprobs(logits.length + 1));
  }

  @Test
  void perplexityIsTheExponentialOfTheMeanSurprise() {
    int[] tokens = randomTokens(128, 3);
    List<Double> fractions = new ArrayList<>();
    PerplexityResult result = session.perplexity(tokens, PerplexityOptions.builder().contextTokens(32).chunks(2)
        .progress(fraction -> fractions.add(fraction)).build());
    assertTrue(Double.isNaN(result.klMean()) && Double.isNaN(result.klP99()) && Double.isNaN(result.top1Agreement()));
    assertEquals(1.0, fractions.get(fractions.size() - 1), 1e-6);
    double surprise = 0;
    int scored = 0;
    for (int window = 0; window < 2; window++) {
      int[] part = Arrays.copyOfRange(tokens, 32 * window, 32 * window + 32);
      part[0] = model.info().bos().orElseThrow();
      // The second half is scored: position i predicts the token after it.
      for (int i = 16; i + 1 < 32; i++) {
        session.rewind(0);
        session.eval(Arrays.copyOf(part, i + 1));
        int next = part[i + 1];
        surprise -= session.topLogprobs(model.info().vocabulary()).stream()
            .filter(entry -> entry.token() == next).findFirst().orElseThrow().logprob();
        scored++;
      }
    }
    assertEquals(scored, result.scoredTokens());
    double expected = Math.exp(surprise / scored);
    assertEquals(expected, result.perplexity(), 1e-3 * expected);
  }

  @Test
  void perplexityComparesWithASavedRun(@TempDir Path folder) throws IOException {
    int[] tokens = randomTokens(128, 4);
    Path saved = folder.resolve("dense.bin");
    PerplexityOptions options = PerplexityOptions.builder().contextTokens(32).build();
    PerplexityResult first = session.perplexity(tokens, options.toBuilder().savePath(saved).build());
    assertTrue(Files.size(saved) > 0);
    PerplexityResult same = session.perplexity(tokens, options.toBuilder().againstPath(saved).build());
    assertEquals(first.perplexity(), same.perplexity(), 1e-6 * first.perplexity());
    assertEquals(0, same.klMean(), 1e-4);
    assertEquals(1, same.top1Agreement());
    try (LlmSession other = Models.other().newSession(Models.tinySession())) {
      PerplexityResult different = other.perplexity(tokens, options.toBuilder().againstPath(saved).build());
      assertTrue(different.klMean() > 0.1, different::toString);
      assertTrue(different.klP99() >= different.klMean(), different::toString);
    }
  }

  @Test
  void perplexityRefusesWhatItCannotMeasure(@TempDir Path folder) {
    fails(ErrorCode.RANGE, () -> session.perplexity(randomTokens(63, 1),
        PerplexityOptions.builder().contextTokens(32).build()));
    LlmException missing = assertThrows(LlmException.class, () -> session.perplexity(randomTokens(64, 1),
        PerplexityOptions.builder().contextTokens(32).againstPath(folder.resolve("missing")).build()));
    assertNotEquals(ErrorCode.INTERNAL, missing.code());
    fails(ErrorCode.IO, () -> session.perplexity(randomTokens(64, 1),
        PerplexityOptions.builder().contextTokens(32).savePath(folder.resolve("no/such/folder")).build()));
    fails(ErrorCode.CANCELLED, () -> session.perplexity(randomTokens(64, 1),
        PerplexityOptions.builder().contextTokens(32).progress(fraction -> false).build()));
    IllegalStateException own = new IllegalStateException("mine");
    assertEquals(own, assertThrows(IllegalStateException.class, () -> session.perplexity(randomTokens(64, 1),
        PerplexityOptions.builder().contextTokens(32).progress(fraction -> {
          throw own;
        }).build())));
    session.eval(70);
    assertEquals(1, session.tokenCount());
  }

  @Test
  void threadsCanBeChangedWithinTheirRange() {
    session.setThreads(2, 1);
    assertEquals(2, session.stats().threads());
    assertEquals(1, session.stats().batchThreads());
    session.setThreads(0, 0);
    assertEquals(2, session.stats().threads());
    fails(ErrorCode.RANGE, () -> session.setThreads(-1, 0));
    fails(ErrorCode.RANGE, () -> session.setThreads(0, 100_000));
  }
}
