package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.testing.Models;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** Cancel, close, interrupt and settings against a running call, in random order and number. */
class RaceTest {
  /** A long run sets -Dllmm.races=10000. */
  private static final int ROUNDS = Integer.getInteger("llmm.races", 300);

  private static final InferenceConfig PAGES =
      InferenceConfig.fromJson("{\"memory_manager_config\":{\"page_size\":16,\"eviction_enabled\":true}}");
  private static final Prompt PROMPT = Prompt.text("hello world and the stop");
  private static final GenerationOptions LONG =
      GenerationOptions.greedy().toBuilder().maxTokens(-1).ignoreEos(true).build();
  private static final GenerationOptions SHORT = LONG.toBuilder().maxTokens(10).build();

  @Test
  void noOrderOfCancelAndCloseCrashesHangsOrLeaks() throws InterruptedException {
    int[] expected = shortAnswer();
    for (int seed = 0; seed < ROUNDS; seed++) {
      race(seed);
    }
    assertArrayEquals(expected, shortAnswer());
  }

  private static int[] shortAnswer() {
    try (LlmSession session = Models.tiny().newSession(Models.tinySession())) {
      return session.generate(PROMPT, SHORT).tokens();
    }
  }

  private static void race(int seed) throws InterruptedException {
    Random random = new Random(seed);
    LlmSession session = Models.tiny().newSession(Models.tinySession(), PAGES);
    CancellationToken cancellation = new CancellationToken();
    CountDownLatch go = new CountDownLatch(1);
    AtomicReference<Throwable> failure = new AtomicReference<>();
    int closeAtToken = random.nextInt(4) == 0 ? random.nextInt(5) : -1;
    int runs = 1 + random.nextInt(3);
    boolean stream = random.nextBoolean();
    // Every second race begins when the first token is there, the others at any time around the call's begin.
    CountDownLatch firstToken = new CountDownLatch(1);
    CountDownLatch start = seed % 2 == 0 ? firstToken : go;

    List<Thread> threads = new ArrayList<>();
    Thread runner = new Thread(() -> {
      await(go);
      try {
        for (int i = 0; i < runs; i++) {
          run(session, cancellation, stream, closeAtToken, firstToken);
        }
      } catch (LlmCancelledException | IllegalStateException | ContextFullException expected) {
        // A budget that holds what is there may have no room for more.
        failure.compareAndSet(null, null);
      } catch (Throwable e) {
        failure.set(e);
      } finally {
        firstToken.countDown();
      }
    });
    threads.add(runner);
    int disturbers = 1 + random.nextInt(3);
    for (int i = 0; i < disturbers; i++) {
      int action = random.nextInt(6);
      long delay = delay(random);
      long bytes = random.nextInt(1 << 20);
      threads.add(new Thread(() -> {
        await(start);
        spin(delay);
        try {
          disturb(action, bytes, session, cancellation, runner);
        } catch (IllegalStateException closed) {
          assertTrue(action == 3 || action == 4);
        } catch (Throwable e) {
          failure.set(e);
        }
      }));
    }
    threads.forEach(Thread::start);
    go.countDown();
    await(start);
    spin(delay(random));
    session.close();
    for (Thread thread : threads) {
      thread.join(TimeUnit.MINUTES.toMillis(2));
      assertFalse(thread.isAlive(), "seed " + seed + " hangs");
    }
    assertNull(failure.get(), () -> "seed " + seed + ": " + failure.get());
    assertThrows(IllegalStateException.class, session::stats, "seed " + seed);
  }

  /** Nanoseconds up to about what a generation takes here: some disturb before it, some within, some after. */
  private static long delay(Random random) {
    return random.nextInt(1 << random.nextInt(24));
  }

  private static void spin(long nanos) {
    long start = System.nanoTime();
    while (System.nanoTime() - start < nanos) {
      Thread.onSpinWait();
    }
  }

  private static void run(LlmSession session, CancellationToken cancellation, boolean stream, int closeAtToken,
      CountDownLatch firstToken) {
    int[] heard = new int[1];
    if (stream) {
      try (TokenIterator tokens = session.stream(PROMPT, LONG)) {
        while (tokens.hasNext()) {
          tokens.next();
          firstToken.countDown();
          if (heard[0]++ == closeAtToken) {
            session.close();
          }
        }
      }
    } else {
      session.generate(PROMPT, LONG, token -> {
        firstToken.countDown();
        if (heard[0]++ == closeAtToken) {
          session.close();
        }
      }, cancellation);
    }
  }

  private static void disturb(
      int action, long bytes, LlmSession session, CancellationToken cancellation, Thread runner) {
    switch (action) {
      case 0:
        session.cancel();
        break;
      case 1:
        cancellation.cancel();
        break;
      case 2:
        session.close();
        break;
      case 3:
        session.setThreads(1, 1);
        break;
      case 4:
        try {
          session.setMemoryBudget(bytes);
        } catch (ContextFullException e) {
          // Less than the session needs.
        }
        break;
      default:
        runner.interrupt();
        break;
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      // The interrupt is meant for what comes next.
      Thread.currentThread().interrupt();
    }
  }
}
