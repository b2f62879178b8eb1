package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.worker.Worker;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Many sessions at once on one worker, without local fallback, so that each token is the worker's. {@code ci/edge-load} has 200
 * of them, again and again, and a worker process whose memory is looked at; with {@code --real} they have the default model.
 */
@Timeout(7200)
class WorkerLoadTest {
  private static final int SESSIONS = Integer.getInteger("llmm.edge.load", 24);
  private static final int ROUNDS = Integer.getInteger("llmm.edge.load.rounds", 1);
  private static final boolean REAL = Boolean.getBoolean("llmm.edge.load.real");
  private static final int SPLIT = REAL ? 15 : 1;
  private static final int FIT = SESSIONS / 4;
  private static final int PROMPTS = 4;
  private static final double MB = 1 << 20;
  private static final GenerationOptions ANSWER = GenerationOptions.builder().temperature(0).maxTokens(24).ignoreEos(true).build();

  private static LlmModel model;

  private final int[][] prompts = new int[PROMPTS][];
  private final int[][] expected = new int[PROMPTS][];

  @BeforeAll
  static void load() {
    model = REAL ? LlmModel.load(ModelOptions.of(RealModels.file(RealModels.DEFAULT))) : TinyModels.deepModel();
  }

  @AfterAll
  static void close() {
    if (REAL && model != null) {
      model.close();
    }
  }

  private static WorkerOptions.Builder options() {
    WorkerOptions.Builder options = SplitFixture.workerOptions().maxSessions(2 * SESSIONS).lease(Duration.ZERO);
    return REAL ? options.model(RealModels.file(RealModels.DEFAULT)).layers(LayerRange.of(SPLIT, 0)) : options;
  }

  private static SplitSession open(LiveWorker worker) {
    return SplitSession.open(
        model, worker.address(), SplitFixture.options().split(SPLIT).localFallback(false).build());
  }

  private void makePrompts() {
    for (int i = 0; i < PROMPTS; i++) {
      prompts[i] = SplitFixture.prompt(i, 40);
      expected[i] = RealModels.answer(model, prompts[i], TinyModels.CONTEXT, ANSWER);
    }
  }

  /** An answer that must be right. */
  private void answer(SplitSession session, int i, SplitListener listener) {
    SplitResult result = session.generate(prompts[i % PROMPTS], ANSWER, listener);
    assertArrayEquals(expected[i % PROMPTS], result.tokens());
    assertEquals(0, result.stats().localSteps());
  }

  private interface Session {
    void run(int i) throws Exception;
  }

  /** All at once, each on a thread of its own. */
  private static void atOnce(Session session) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(SESSIONS);
    List<Callable<Void>> all = new ArrayList<>();
    for (int i = 0; i < SESSIONS; i++) {
      int number = i;
      all.add(() -> {
        session.run(number);
        return null;
      });
    }
    try {
      for (Future<Void> done : threads.invokeAll(all)) {
        done.get();
      }
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void noneWaitsMuchLongerThanAnother() throws Exception {
    makePrompts();
    try (LiveWorker worker = LiveWorker.start(options().build())) {
      Memory memory = new Memory(worker);
      for (int round = 0; round < ROUNDS; round++) {
        AtomicIntegerArray steps = new AtomicIntegerArray(SESSIONS);
        double[] seconds = new double[SESSIONS];
        int[] least = {0};
        AtomicInteger finished = new AtomicInteger();
        CyclicBarrier begin = new CyclicBarrier(SESSIONS);
        atOnce(i -> {
          try (SplitSession session = open(worker)) {
            begin.await(10, TimeUnit.MINUTES);
            long began = System.nanoTime();
            answer(session, i, new SplitListener() {
              @Override
              public void onStep(SplitEvent event) {
                steps.incrementAndGet(i);
              }
            });
            seconds[i] = (System.nanoTime() - began) / 1e9;
            if (finished.incrementAndGet() == 1) {
              least[0] = least(steps);
            }
          }
        });
        Arrays.sort(seconds);
        System.out.printf(Locale.ROOT, "round %d: %d sessions took %.2f s to %.2f s, median %.2f s;"
            + " when the first was ready the slowest had %d of its %d steps; %s%n", round + 1, SESSIONS, seconds[0],
            seconds[SESSIONS - 1], seconds[SESSIONS / 2], least[0], steps.get(0), memory.text());
        // Equal work that begins together and takes turns ends together.
        assertTrue(seconds[SESSIONS - 1] <= 2 * seconds[SESSIONS / 2], Arrays.toString(seconds));
        Eventually.await("all sessions are over", () -> worker.counter("sessions") == 0);
        memory.look();
      }
      memory.mustBeFlat();
    }
  }

  private static int least(AtomicIntegerArray values) {
    int least = Integer.MAX_VALUE;
    for (int i = 0; i < values.length(); i++) {
      least = Math.min(least, values.get(i));
    }
    return least;
  }

  @Test
  void whoFindsNoRoomIsToldWhenToTryAgainAndGetsIn() throws Exception {
    makePrompts();
    long budget = budget();
    try (LiveWorker worker = LiveWorker.start(options().maxMemoryBytes(budget).build())) {
      Memory memory = new Memory(worker);
      for (int round = 0; round < ROUNDS; round++) {
        AtomicInteger refused = new AtomicInteger();
        long[] most = {0};
        long began = System.nanoTime();
        atOnce(i -> {
          try (SplitSession session = openPatiently(worker, refused)) {
            answer(session, i, new SplitListener() {});
            if (i % 10 == 0) {
              long reserved = worker.counter("session_bytes");
              synchronized (most) {
                most[0] = Math.max(most[0], reserved);
              }
            }
          }
        });
        System.out.printf(Locale.ROOT, "round %d: %d sessions with room for %d, %d refusals, all answered in %.1f s;"
            + " reserved up to %.1f of %.1f MB; %s%n", round + 1, SESSIONS, FIT, refused.get(),
            (System.nanoTime() - began) / 1e9, most[0] / MB, budget / MB, memory.text());
        assertTrue(refused.get() > 0);
        assertTrue(most[0] > 0 && most[0] <= budget, most[0] + " of " + budget);
        Eventually.await("all sessions are over", () -> worker.counter("sessions") == 0);
        memory.look();
      }
      memory.mustBeFlat();
    }
  }

  /** Room for a quarter of the sessions, in whole megabytes as a worker's command line has it. */
  private static long budget() {
    try (Worker worker = Worker.start(options().build())) {
      long one = worker.sessionBytes();
      return (FIT * one >> 20) + 1 << 20;
    }
  }

  private static SplitSession openPatiently(LiveWorker worker, AtomicInteger refused) {
    for (;;) {
      try {
        return open(worker);
      } catch (LlmException e) {
        if (!(e.getCause() instanceof ProtocolException)) {
          throw e;
        }
        ProtocolException refusal = (ProtocolException) e.getCause();
        assertEquals(Code.NO_SPACE, refusal.code(), refusal.getMessage());
        assertTrue(refusal.getMessage().startsWith("RESOURCE_EXHAUSTED"), refusal.getMessage());
        assertTrue(refusal.retryAfterMs() > 0);
        refused.incrementAndGet();
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(refusal.retryAfterMs()));
      }
    }
  }

  /** What a worker process takes after each round. */
  private static final class Memory {
    private final LiveWorker worker;
    private final List<Long> resident = new ArrayList<>();

    Memory(LiveWorker worker) {
      this.worker = worker;
    }

    private long now() {
      return worker instanceof WorkerProcess ? ((WorkerProcess) worker).residentBytes() : 0;
    }

    void look() {
      resident.add(now());
    }

    String text() {
      return String.format(Locale.ROOT, "resident %.1f MB", now() / MB);
    }

    /** The first half fills the heap and compiles; in the other nothing may grow. */
    void mustBeFlat() {
      if (ROUNDS >= 12) {
        long early = resident.get(ROUNDS / 2 - 1);
        long late = resident.get(ROUNDS - 1);
        assertTrue(late <= 1.05 * early + 8 * MB, resident.toString());
      }
    }
  }
}
