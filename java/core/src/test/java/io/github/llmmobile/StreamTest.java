package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Forced;
import io.github.llmmobile.testing.Models;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class StreamTest {
  private static final Prompt PROMPT = Prompt.text("hello world");
  private static final TokenListener SILENT = token -> {};
  private static final GenerationOptions LONG =
      GenerationOptions.greedy().toBuilder().maxTokens(-1).ignoreEos(true).build();
  private static final GenerationOptions SHORT = LONG.toBuilder().maxTokens(20).build();

  private final LlmSession session = Models.tiny().newSession(Models.tinySession());

  @AfterEach
  void close() {
    session.close();
  }

  @Test
  void pulledTokensAreThoseOfGenerate() {
    int[] expected = session.generate(PROMPT, SHORT).tokens();
    try (TokenIterator tokens = session.stream(PROMPT, SHORT)) {
      List<Integer> ids = new ArrayList<>();
      while (tokens.hasNext()) {
        Token token = tokens.next();
        if (token.id() != Token.NO_ID) {
          ids.add(token.id());
        }
      }
      assertArrayEquals(expected, ids.stream().mapToInt(Integer::intValue).toArray());
      assertThrows(NoSuchElementException.class, tokens::next);
      GenerationResult result = tokens.result().orElseThrow();
      assertArrayEquals(expected, result.tokens());
      assertEquals(StopReason.MAX_TOKENS, result.stopReason());
    }
  }

  @Test
  void closingEarlyFreesTheSession() {
    TokenIterator tokens = session.stream(PROMPT, LONG);
    tokens.next();
    fails(ErrorCode.BUSY, session::stats);
    tokens.close();
    tokens.close();
    assertFalse(tokens.hasNext());
    assertEquals(StopReason.CANCELLED, tokens.result().orElseThrow().stopReason());
    assertTrue(session.tokenCount() < session.contextTokens(), "the generation ran only a little ahead");
    assertEquals(20, session.generate(PROMPT, SHORT).tokens().length);
  }

  @Test
  void cancellingTheSessionEndsTheStream() {
    try (TokenIterator tokens = session.stream(PROMPT, LONG)) {
      tokens.next();
      session.cancel();
      int more = 0;
      while (tokens.hasNext()) {
        tokens.next();
        more++;
      }
      assertTrue(more < 100, more + " tokens came after the cancel");
      assertEquals(StopReason.CANCELLED, tokens.result().orElseThrow().stopReason());
    }
  }

  @Test
  void closingTheSessionEndsTheStream() {
    TokenIterator tokens = session.stream(PROMPT, LONG);
    tokens.next();
    session.close();
    while (tokens.hasNext()) {
      tokens.next();
    }
    tokens.close();
    assertEquals(StopReason.CANCELLED, tokens.result().orElseThrow().stopReason());
  }

  @Test
  void anInterruptedReaderEndsTheStreamAndStaysInterrupted() {
    try (TokenIterator tokens = session.stream(PROMPT, LONG)) {
      tokens.next();
      Thread.currentThread().interrupt();
      while (tokens.hasNext()) {
        tokens.next();
      }
      assertTrue(Thread.interrupted());
    }
    assertEquals(20, session.generate(PROMPT, SHORT).tokens().length);
  }

  @Test
  void failuresComeOutOfHasNext() {
    try (TokenIterator tokens = session.stream(Prompt.text("\ud800"), SHORT)) {
      fails(ErrorCode.ENCODING, tokens::hasNext);
      fails(ErrorCode.ENCODING, tokens::next);
      assertTrue(tokens.result().isEmpty());
    }
    try (TokenIterator first = session.stream(PROMPT, LONG)) {
      first.next();
      try (TokenIterator second = session.stream(PROMPT, LONG)) {
        fails(ErrorCode.BUSY, second::hasNext);
      }
      assertTrue(first.hasNext());
    }
  }

  @Test
  void aJavaStreamGivesTheTextAndFreesTheSessionWhenClosed() {
    try (Stream<Token> tokens = session.tokens(PROMPT, Forced.text("hello world").build())) {
      assertEquals("hello world", tokens.map(Token::text).collect(Collectors.joining()));
    }
    try (Stream<Token> tokens = session.tokens(PROMPT, LONG)) {
      assertEquals(3, tokens.limit(3).count());
    }
    assertEquals(20, session.generate(PROMPT, SHORT).tokens().length);
  }

  @Test
  void anAsynchronousAnswerIsTheSame() throws Exception {
    int[] expected = session.generate(PROMPT, SHORT).tokens();
    ExecutorService executor = Executors.newSingleThreadExecutor();
    try {
      assertArrayEquals(expected, session.generateAsync(PROMPT, SHORT, SILENT, executor).get().tokens());
      ExecutionException e = assertThrows(ExecutionException.class,
          () -> session.generateAsync(Prompt.text("\ud800"), SHORT, SILENT, executor).get());
      assertEquals(ErrorCode.ENCODING, ((LlmException) e.getCause()).code());
      IllegalStateException own = new IllegalStateException();
      ExecutionException thrown = assertThrows(ExecutionException.class,
          () -> session.generateAsync(PROMPT, SHORT, token -> {
            throw own;
          }, executor).get());
      assertSame(own, thrown.getCause());
    } finally {
      executor.shutdown();
    }
  }

  @Test
  void cancellingTheFutureCancelsTheGeneration() throws Exception {
    ExecutorService executor = Executors.newSingleThreadExecutor();
    try {
      CountDownLatch started = new CountDownLatch(1);
      CompletableFuture<GenerationResult> future =
          session.generateAsync(PROMPT, LONG, token -> started.countDown(), executor);
      started.await();
      assertTrue(future.cancel(true));
      assertThrows(CancellationException.class, future::get);
      // The executor's only thread is free again when the generation has ended.
      executor.submit(() -> {}).get();
      assertEquals(20, session.generate(PROMPT, SHORT).tokens().length);
    } finally {
      executor.shutdown();
    }
  }

  @Test
  void aFutureThatIsCancelledInTheQueueRunsNothing() {
    List<Runnable> queue = new ArrayList<>();
    CompletableFuture<GenerationResult> future = session.generateAsync(PROMPT, LONG, SILENT, queue::add);
    future.cancel(false);
    queue.get(0).run();
    assertEquals(0, session.tokenCount());
  }
}
