package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

@Timeout(120)
class CloseTest {
  private static final Prompt PROMPT = Prompt.text("hello world");
  private static final GenerationOptions LONG =
      GenerationOptions.greedy().toBuilder().maxTokens(-1).ignoreEos(true).build();
  private static final GenerationOptions SHORT = LONG.toBuilder().maxTokens(3).build();

  @Test
  void aClosedSessionSaysSoWhateverIsAsked() {
    LlmSession session = Models.tiny().newSession(Models.tinySession());
    session.close();
    session.close();
    session.cancel();
    List<Executable> uses = List.of(
        () -> session.generate(PROMPT), () -> session.stream(PROMPT, SHORT), () -> session.tokens(PROMPT, SHORT),
        () -> session.eval(1), () -> session.rewind(0), session::tokens, session::tokenCount, session::logits,
        () -> session.topLogprobs(1), () -> session.perplexity(new int[9], PerplexityOptions.defaults()),
        () -> session.save(Path.of("x")), () -> session.load(Path.of("x")), () -> session.setThreads(1, 1),
        () -> session.setAdapters(Map.of()), session::stats, session::resetStats, session::fork,
        () -> session.setMemoryBudget(1 << 20), () -> session.trimMemory(1));
    for (Executable use : uses) {
      assertEquals("LlmSession is closed", assertThrows(IllegalStateException.class, use).getMessage());
    }
    assertEquals(TinyModel.CONTEXT, session.contextTokens());
    assertEquals(4, session.techniques().size());
  }

  @Test
  void aClosedModelSaysSoWhateverIsAsked() {
    LlmModel model = LlmModel.load(ModelOptions.of(Models.tinyPath()));
    model.info();
    model.close();
    model.close();
    List<Executable> uses = List.of(
        model::info, model::newSession, () -> model.tokenize("a", true, true),
        () -> model.detokenize(new int[0], true), () -> model.renderChat(List.of(ChatMessage.user("a"))),
        () -> model.openAdapter(Path.of("x")), () -> model.embed("a", EmbeddingOptions.defaults()));
    for (Executable use : uses) {
      assertEquals("LlmModel is closed", assertThrows(IllegalStateException.class, use).getMessage());
    }
  }

  @Test
  void aSessionOutlivesItsModel() {
    LlmModel model = LlmModel.load(ModelOptions.of(Models.tinyPath()));
    try (LlmSession session = model.newSession(Models.tinySession())) {
      String before = session.generate(PROMPT, SHORT).text();
      model.close();
      assertEquals(before, session.generate(PROMPT, SHORT).text());
      assertEquals(3, session.generate(Prompt.user("hello"), SHORT).tokens().length);
    }
  }

  @Test
  void closeInTheListenerEndsTheCallAndFreesTheSession() {
    LlmSession session = Models.tiny().newSession(Models.tinySession());
    AtomicInteger heard = new AtomicInteger();
    GenerationResult result = session.generate(PROMPT, LONG, token -> {
      if (heard.incrementAndGet() == 2) {
        session.close();
        session.close();
      }
    });
    assertEquals(StopReason.CANCELLED, result.stopReason());
    assertEquals(2, result.tokens().length);
    assertThrows(IllegalStateException.class, session::stats);
  }

  @Test
  void closeFromAnotherThreadWaitsForTheListenerToReturn() throws InterruptedException {
    LlmSession session = Models.tiny().newSession(Models.tinySession());
    CountDownLatch started = new CountDownLatch(1);
    AtomicBoolean inListener = new AtomicBoolean();
    AtomicReference<GenerationResult> result = new AtomicReference<>();
    Thread runner = new Thread(() -> result.set(session.generate(PROMPT, LONG, token -> {
      inListener.set(true);
      started.countDown();
      // Until close() has marked the session; then a while longer, in which close() must not return.
      try {
        while (true) {
          session.stats();
        }
      } catch (LlmException busy) {
        // Not closed yet.
      } catch (IllegalStateException closed) {
        Thread.yield();
      }
      inListener.set(false);
    })));
    runner.start();
    started.await();
    session.close();
    assertFalse(inListener.get());
    runner.join();
    assertEquals(StopReason.CANCELLED, result.get().stopReason());
  }

  @Test
  void severalClosersAllWait() throws InterruptedException {
    LlmSession session = Models.tiny().newSession(Models.tinySession());
    CountDownLatch started = new CountDownLatch(1);
    AtomicBoolean done = new AtomicBoolean();
    AtomicInteger early = new AtomicInteger();
    Thread runner = new Thread(() -> {
      session.generate(PROMPT, LONG, token -> {
        started.countDown();
        done.set(false);
        Thread.yield();
        done.set(true);
      });
    });
    runner.start();
    started.await();
    Thread[] closers = new Thread[4];
    for (int i = 0; i < closers.length; i++) {
      closers[i] = new Thread(() -> {
        session.close();
        if (!done.get()) {
          early.incrementAndGet();
        }
      });
      closers[i].start();
    }
    for (Thread closer : closers) {
      closer.join();
    }
    runner.join();
    assertEquals(0, early.get());
  }

  @Test
  void aModelThatIsClosedWhileLoadingSessionsGivesSessionsOrSaysSo() throws InterruptedException {
    for (int round = 0; round < 20; round++) {
      LlmModel model = LlmModel.load(ModelOptions.of(Models.tinyPath()));
      AtomicReference<Throwable> failure = new AtomicReference<>();
      Thread user = new Thread(() -> {
        try (LlmSession session = model.newSession(Models.tinySession())) {
          session.generate(PROMPT, SHORT);
        } catch (IllegalStateException closedFirst) {
          failure.compareAndSet(null, null);
        } catch (Throwable e) {
          failure.set(e);
        }
      });
      user.start();
      model.close();
      user.join();
      assertEquals(null, failure.get(), "round " + round);
    }
  }

  @Test
  void aListenerMayCloseTheModel() {
    LlmModel model = LlmModel.load(ModelOptions.of(Models.tinyPath()));
    try (LlmSession session = model.newSession(Models.tinySession())) {
      GenerationResult result = session.generate(PROMPT, SHORT, token -> model.close());
      assertEquals(3, result.tokens().length);
    }
    assertTrue(assertThrows(IllegalStateException.class, model::info).getMessage().contains("LlmModel"));
  }
}
