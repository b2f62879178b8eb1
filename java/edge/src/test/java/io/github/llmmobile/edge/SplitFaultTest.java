package io.github.llmmobile.edge;

import static io.github.llmmobile.edge.SplitFixture.GREEDY;
import static io.github.llmmobile.edge.SplitFixture.local;
import static io.github.llmmobile.edge.SplitFixture.loopback;
import static io.github.llmmobile.edge.SplitFixture.options;
import static io.github.llmmobile.edge.SplitFixture.prompt;
import static io.github.llmmobile.edge.SplitFixture.workerOptions;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.edge.worker.Worker;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Workers that die, networks that fall silent: the tokens stay the same, each once. */
@Timeout(180)
class SplitFaultTest {
  private LlmModel model;
  private Worker worker;
  private FaultProxy proxy;

  @BeforeEach
  void start() {
    model = TinyModels.deepModel();
    worker = SplitFixture.worker();
    proxy = new FaultProxy(worker.port());
  }

  @AfterEach
  void stop() throws IOException {
    proxy.close();
    worker.close();
  }

  /** Does something once, when a number of tokens has been heard. */
  private static final class At extends SplitListenerBase {
    private final int count;
    private final Runnable action;

    At(int count, Runnable action) {
      this.count = count;
      this.action = action;
    }

    @Override
    public void onToken(int token, String text) {
      super.onToken(token, text);
      if (heard.tokens.size() == count) {
        action.run();
      }
    }
  }

  /** Hears and keeps. */
  private static class SplitListenerBase implements SplitListener {
    final SplitFixture.Heard heard = new SplitFixture.Heard();

    @Override
    public void onToken(int token, String text) {
      heard.onToken(token, text);
    }

    @Override
    public void onStep(SplitEvent event) {
      heard.onStep(event);
    }
  }

  private static void assertSame(int[] prompt, SplitResult result, SplitFixture.Heard heard) {
    int[] expected = local(prompt, GREEDY);
    assertArrayEquals(expected, result.tokens());
    assertEquals(IntStream.of(expected).boxed().collect(Collectors.toList()), heard.tokens);
  }

  @Test
  void aWorkerThatDiesIsNotMissed() {
    int[] prompt = prompt(1, 30);
    try (SplitSession session = SplitSession.open(model, SplitFixture.address(worker), options().build())) {
      At listener = new At(6, worker::close);
      SplitResult result = session.generate(prompt, GREEDY, listener);
      assertSame(prompt, result, listener.heard);
      assertEquals(6, listener.heard.count(SplitEvent.Where.SPLIT));
      assertTrue(listener.heard.count(SplitEvent.Where.LOCAL) > 0);
      assertEquals(1, result.stats().losses());
    }
  }

  @Test
  void aWorkerThatReadsReducedRowsIsNotMissedEither(@TempDir Path folder) {
    RowBasis basis = TinyBasis.write(folder.resolve("a.basis"), 1);
    int[] prompt = prompt(1, 30);
    SplitOptions options = options().codec(RowCodec.INT8).split(2).basis(basis).keepDims(48).build();
    int[] whole;
    try (Worker reading = Worker.start(workerOptions().basis(basis).build())) {
      try (SplitSession session = SplitSession.open(model, SplitFixture.address(reading), options)) {
        whole = session.generate(prompt, GREEDY, new SplitListener() {}).tokens();
      }
      try (SplitSession session = SplitSession.open(model, SplitFixture.address(reading), options)) {
        At listener = new At(6, reading::close);
        assertArrayEquals(whole, session.generate(prompt, GREEDY, listener).tokens());
        assertEquals(6, listener.heard.count(SplitEvent.Where.SPLIT));
        assertTrue(listener.heard.count(SplitEvent.Where.LOCAL) > 0);
      }
    }
  }

  @Test
  void anotherWorkerInItsPlaceIsBroughtUpToDate() {
    int[] prompt = prompt(2, 60);
    AtomicReference<Worker> second = new AtomicReference<>();
    try (SplitSession session = SplitSession.open(model, proxy.address(), options().build())) {
      int[] before = {0};
      At listener = new At(4, () -> {
        before[0] = session.stats().connections();
        worker.close();
        Worker next = SplitFixture.worker();
        second.set(next);
        proxy.target(next.port());
      });
      SplitListener waiting = new SplitListener() {
        @Override
        public void onToken(int token, String text) {
          listener.onToken(token, text);
          if (listener.heard.tokens.size() == 10) {
            Eventually.await("split again", () -> session.stats().connections() > before[0]);
          }
        }

        @Override
        public void onStep(SplitEvent event) {
          listener.onStep(event);
        }
      };
      SplitResult result = session.generate(prompt, GREEDY, waiting);
      assertSame(prompt, result, listener.heard);
      assertEquals(SplitEvent.Where.SPLIT, listener.heard.steps.get(listener.heard.steps.size() - 1).where());
      assertTrue(result.stats().replayedRows() >= prompt.length, result.stats().replayedRows() + "");
    } finally {
      second.get().close();
    }
  }

  @Test
  void aCutConnectionIsResumedWithoutSendingEverythingAgain() {
    int[] prompt = prompt(3, 100);
    try (SplitSession session = SplitSession.open(model, proxy.address(), options().build())) {
      At listener = new At(4, () -> {
        int before = session.stats().connections();
        proxy.cut();
        Eventually.await("connected again", () -> session.stats().connections() > before);
      });
      SplitResult result = session.generate(prompt, GREEDY, listener);
      assertSame(prompt, result, listener.heard);
      assertEquals(0, result.stats().replayedRows());
      assertTrue(worker.metrics().contains("\nllmm_worker_sessions_resumed_total 1\n"), worker.metrics());
      assertEquals(1, worker.sessionCount());
    }
  }

  /** {@code -Dllmm.edge.sessions=2000} for the long form. */
  @Test
  void sessionsEndTheSameWhenConnectionsAreCutAtRandom() {
    Random random = new Random(11);
    for (int i = 0; i < Integer.getInteger("llmm.edge.sessions", 30); i++) {
      int[] prompt = prompt(100 + i, 1 + random.nextInt(80));
      SplitOptions options = options().split(1 + random.nextInt(4)).build();
      try (SplitSession session = SplitSession.open(model, proxy.address(), options)) {
        SplitListenerBase listener = new SplitListenerBase() {
          @Override
          public void onToken(int token, String text) {
            super.onToken(token, text);
            if (random.nextInt(4) == 0) {
              proxy.cut();
            }
          }
        };
        assertSame(prompt, session.generate(prompt, GREEDY, listener), listener.heard);
      }
    }
  }

  @Test
  void aSilentNetworkCostsADeadlineAndNoToken() {
    int[] prompt = prompt(5, 30);
    SplitOptions options = options().stepDeadline(Duration.ofSeconds(1)).build();
    try (SplitSession session = SplitSession.open(model, proxy.address(), options)) {
      At listener = new At(5, proxy::blackhole);
      SplitResult result = session.generate(prompt, GREEDY, listener);
      assertSame(prompt, result, listener.heard);
      assertEquals("deadline", listener.heard.steps.get(5).reason());
      assertEquals("late", listener.heard.steps.get(6).reason());
      assertEquals(1, result.stats().missedDeadlines());
      proxy.heal();
      splitsAgain(session);
    }
  }

  /** A healthy network leads back to the worker, whatever became of the connection. */
  private void splitsAgain(SplitSession session) {
    int[] seed = {1000};
    Eventually.await("split again", () -> {
      int[] prompt = prompt(seed[0]++, 10);
      SplitListenerBase listener = new SplitListenerBase();
      SplitResult result = session.generate(prompt, GREEDY, listener);
      assertSame(prompt, result, listener.heard);
      return listener.heard.count(SplitEvent.Where.LOCAL) == 0;
    });
  }

  @Test
  void aConnectionThatStaysSilentIsGivenUpForAnother() {
    SplitOptions options =
        options().stepDeadline(Duration.ofMillis(300)).connectTimeout(Duration.ofSeconds(2)).build();
    try (SplitSession session = SplitSession.open(model, proxy.address(), options)) {
      proxy.blackhole();
      int[] seed = {0};
      Eventually.await("the connection is given up", () -> {
        int[] prompt = prompt(seed[0]++, 5);
        SplitListenerBase listener = new SplitListenerBase();
        assertSame(prompt, session.generate(prompt, GREEDY, listener), listener.heard);
        return session.stats().losses() > 0;
      });
      proxy.heal();
      splitsAgain(session);
      assertTrue(session.stats().connections() >= 2);
    }
  }

  @Test
  void aWorkerThatIsNotThereYetIsWaitedForInTheBackground() {
    int port = worker.port();
    worker.close();
    int[] prompt = prompt(7, 20);
    try (SplitSession session = SplitSession.open(model, address("127.0.0.1", port), options().split(1).build())) {
      SplitListenerBase listener = new SplitListenerBase();
      assertSame(prompt, session.generate(prompt, GREEDY, listener), listener.heard);
      assertEquals(0, listener.heard.count(SplitEvent.Where.SPLIT));
      worker = Worker.start(workerOptions().listen(loopback(port)).build());
      splitsAgain(session);
    }
  }

  private static WorkerAddress address(String host, int port) {
    return WorkerAddress.insecure(host + ":" + port);
  }

  @Test
  void withoutFallbackAStepWaitsForTheWorkerAndThenFails() {
    int[] prompt = prompt(8, 20);
    int port = worker.port();
    SplitOptions options = options().localFallback(false).remoteWait(Duration.ofSeconds(30)).build();
    try (SplitSession session = SplitSession.open(model, SplitFixture.address(worker), options)) {
      At listener = new At(5, () -> {
        worker.close();
        worker = Worker.start(workerOptions().listen(loopback(port)).build());
      });
      SplitResult result = session.generate(prompt, GREEDY, listener);
      assertSame(prompt, result, listener.heard);
      assertEquals(0, result.stats().localSteps());
    }
    SplitOptions impatient = options().localFallback(false).remoteWait(Duration.ofMillis(100)).build();
    try (SplitSession session = SplitSession.open(model, SplitFixture.address(worker), impatient)) {
      At listener = new At(5, worker::close);
      LlmException e =
          assertThrows(LlmException.class, () -> session.generate(prompt, GREEDY, listener));
      assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
      assertEquals(5, listener.heard.tokens.size());
    }
    LlmException e = assertThrows(LlmException.class,
        () -> SplitSession.open(model, address("127.0.0.1", port), impatient));
    assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
  }

  @Test
  void aSessionThatWasSilentForLongIsTakenUpAgainWhenItIsNeeded() {
    int[] prompt = prompt(10, 30);
    try (Worker brisk = Worker.start(workerOptions().idle(Duration.ofSeconds(1)).build());
        SplitSession session = SplitSession.open(model, SplitFixture.address(brisk), options().build())) {
      Eventually.await("the worker ends the stream", () -> session.trouble().isPresent());
      assertTrue(session.trouble().get().contains("ABORTED"), session.trouble().get());
      SplitListenerBase listener = new SplitListenerBase();
      SplitResult result = session.generate(prompt, GREEDY, listener);
      assertSame(prompt, result, listener.heard);
      assertEquals(0, result.stats().localSteps());
      assertTrue(result.stats().connections() >= 2);
    }
  }

  @Test
  void aWorkerThatGoesDownInGoodOrderFailsNobody() throws InterruptedException {
    int[] prompt = prompt(9, 40);
    try (SplitSession session = SplitSession.open(model, SplitFixture.address(worker), options().build())) {
      Thread[] draining = new Thread[1];
      At listener = new At(5, () -> {
        draining[0] = new Thread(() -> worker.drain(Duration.ofSeconds(20)));
        draining[0].start();
        Eventually.await("the worker drains", () -> worker.metrics().contains("llmm_worker_draining 1"));
      });
      SplitResult result = session.generate(prompt, GREEDY, listener);
      assertSame(prompt, result, listener.heard);
      draining[0].join();
      assertEquals(0, worker.sessionCount());
    }
  }
}
