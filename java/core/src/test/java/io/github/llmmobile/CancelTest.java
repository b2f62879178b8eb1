package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.io.IOException;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class CancelTest {
  private static final Prompt PROMPT = Prompt.text("hello world");
  private static final TokenListener SILENT = token -> {};
  private static final GenerationOptions LONG =
      GenerationOptions.greedy().toBuilder().maxTokens(-1).ignoreEos(true).build();
  private static final GenerationOptions SHORT = LONG.toBuilder().maxTokens(5).build();

  private final LlmSession session = Models.tiny().newSession(Models.tinySession());

  @AfterEach
  void close() {
    session.close();
  }

  private void assertUsable() {
    GenerationResult result = session.generate(PROMPT, SHORT);
    assertEquals(StopReason.MAX_TOKENS, result.stopReason());
    assertEquals(5, result.tokens().length);
  }

  @Test
  void aTokenCancelledInTheListenerEndsWithTheTextSoFar() {
    CancellationToken cancellation = new CancellationToken();
    AtomicInteger heard = new AtomicInteger();
    GenerationResult result = session.generate(PROMPT, LONG, token -> {
      if (heard.incrementAndGet() == 3) {
        cancellation.cancel();
      }
    }, cancellation);
    assertEquals(StopReason.CANCELLED, result.stopReason());
    assertEquals(3, result.tokens().length);
    assertEquals(0, cancellation.registered());
    assertUsable();
  }

  @Test
  void aTokenThatIsCancelledAlreadyStopsEveryCallBeforeItBegins() {
    CancellationToken cancellation = new CancellationToken();
    cancellation.cancel();
    for (int i = 0; i < 3; i++) {
      assertThrows(LlmCancelledException.class, () -> session.generate(PROMPT, LONG, SILENT, cancellation));
    }
    assertEquals(0, session.tokenCount());
    assertUsable();
  }

  @Test
  void aCancelOfTheSessionWithoutACallIsForgotten() {
    session.cancel();
    assertUsable();
    session.cancel();
    session.eval(70, 71);
    assertUsable();
  }

  @Test
  void aCancelFromAnotherThreadReachesTheRunningCall() throws InterruptedException {
    CountDownLatch started = new CountDownLatch(1);
    CountDownLatch cancelled = new CountDownLatch(1);
    Thread canceller = new Thread(() -> {
      await(started);
      session.cancel();
      cancelled.countDown();
    });
    canceller.start();
    GenerationResult result = session.generate(PROMPT, LONG, token -> {
      started.countDown();
      await(cancelled);
    });
    canceller.join();
    assertEquals(StopReason.CANCELLED, result.stopReason());
    assertEquals(1, result.tokens().length);
    assertUsable();
  }

  @Test
  void anInterruptCancelsAndStaysSet() {
    AtomicInteger heard = new AtomicInteger();
    GenerationResult result = session.generate(PROMPT, LONG, token -> {
      if (heard.incrementAndGet() == 2) {
        Thread.currentThread().interrupt();
      }
    });
    assertTrue(Thread.interrupted());
    assertEquals(StopReason.CANCELLED, result.stopReason());
    assertEquals(2, result.tokens().length);
    assertUsable();
  }

  @Test
  void anInterruptedThreadStartsNothing() {
    int[] tokens = new int[100];
    Arrays.fill(tokens, 70);
    Thread.currentThread().interrupt();
    assertThrows(LlmCancelledException.class, () -> session.generate(PROMPT, LONG));
    assertThrows(LlmCancelledException.class, () -> session.eval(tokens));
    assertThrows(LlmCancelledException.class, () -> session.perplexity(tokens, PerplexityOptions.defaults()));
    assertTrue(Thread.interrupted());
    assertEquals(0, session.tokenCount());
    assertUsable();
  }

  @Test
  void aCancelWhileThePromptIsReadLeavesWhatIsInCommon() throws InterruptedException {
    int[] prompt = new int[TinyModel.CONTEXT - 1];
    Arrays.fill(prompt, 70);
    session.eval(70, 70, 70);
    // Many rounds, because where the cancel hits is chance; each outcome must be one of the two allowed.
    for (int round = 0; round < 50; round++) {
      CancellationToken cancellation = new CancellationToken();
      session.rewind(3);
      Thread canceller = new Thread(cancellation::cancel);
      canceller.start();
      try {
        assertEquals(StopReason.CANCELLED,
            session.generate(Prompt.tokens(prompt), LONG, token -> await(cancellation), cancellation).stopReason());
      } catch (LlmCancelledException e) {
        assertArrayEquals(new int[] {70, 70, 70}, session.tokens(), "round " + round);
      }
      canceller.join();
    }
    assertUsable();
  }

  @Test
  void whatTheListenerThrowsComesOutAsItIs() {
    IllegalArgumentException failure = new IllegalArgumentException("mine");
    AtomicInteger heard = new AtomicInteger();
    assertSame(failure, assertThrows(IllegalArgumentException.class, () -> session.generate(PROMPT, LONG, token -> {
      heard.incrementAndGet();
      throw failure;
    })));
    assertEquals(1, heard.get());
    Error error = new StackOverflowError();
    assertSame(error, assertThrows(StackOverflowError.class, () -> session.generate(PROMPT, LONG, token -> {
      throw error;
    })));
    assertUsable();
  }

  @Test
  void aCheckedExceptionOfAListenerInAnotherLanguageComesOutToo() {
    IOException failure = new IOException();
    assertSame(failure, assertThrows(IOException.class,
        () -> session.generate(PROMPT, LONG, token -> CancelTest.<RuntimeException>sneak(failure))));
    assertUsable();
  }

  @SuppressWarnings("unchecked")
  private static <T extends Throwable> void sneak(Throwable e) throws T {
    throw (T) e;
  }

  @Test
  void callsFromTheListenerAreBusyAndSettingsAreNot() {
    AtomicReference<String> message = new AtomicReference<>();
    GenerationResult result = session.generate(PROMPT, SHORT, token -> {
      message.set(fails(ErrorCode.BUSY, session::stats));
      fails(ErrorCode.BUSY, () -> session.generate(PROMPT, SHORT));
      fails(ErrorCode.BUSY, session::tokens);
      session.setThreads(1, 1);
      assertEquals(TinyModel.CONTEXT, session.contextTokens());
      assertEquals(4, session.techniques().size());
    });
    assertEquals(5, result.tokens().length);
    assertFalse(message.get().isEmpty());
  }

  @Test
  void aSecondThreadIsBusyAndTheFirstGoesOn() throws InterruptedException {
    CountDownLatch started = new CountDownLatch(1);
    CountDownLatch tried = new CountDownLatch(1);
    AtomicReference<GenerationResult> result = new AtomicReference<>();
    Thread first = new Thread(() -> result.set(session.generate(PROMPT, SHORT, token -> {
      started.countDown();
      await(tried);
    })));
    first.start();
    await(started);
    fails(ErrorCode.BUSY, () -> session.generate(PROMPT, SHORT));
    fails(ErrorCode.BUSY, () -> session.eval(70));
    tried.countDown();
    first.join();
    assertEquals(5, result.get().tokens().length);
  }

  private static void await(CancellationToken token) {
    while (!token.isCancelled()) {
      Thread.onSpinWait();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
