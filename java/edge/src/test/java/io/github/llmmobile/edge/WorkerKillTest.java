package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Worker processes that are killed in the middle of answers of a real model: {@code ci/edge-faults}. Four sessions answer at
 * once; while they do, the worker of all of them is killed, another takes its place, and that is killed as well.
 */
@Timeout(7200)
class WorkerKillTest {
  private static final int SESSIONS = Integer.getInteger("llmm.edge.kills", 0);
  private static final RowCodec CODEC = RowCodec.of(System.getProperty("llmm.edge.codec", "f32"));
  private static final int AT_ONCE = 4;
  private static final int SPLIT = 15;
  private static final int CONTEXT = 512;
  private static final int TOKENS = 64;
  private static final GenerationOptions GREEDY =
      GenerationOptions.builder().temperature(0).maxTokens(TOKENS).build();

  private final Random random = new Random(1);
  private final Map<String, List<Integer>> expected = new HashMap<>();

  /** The worker that answers, and one that waits to take its place: a new one takes seconds to start. */
  private static final class Succession implements AutoCloseable {
    private final Supplier<WorkerProcess> starter;
    private final FaultProxy way;
    private CompletableFuture<WorkerProcess> worker;
    private CompletableFuture<WorkerProcess> next;
    private int kills;

    Succession(Supplier<WorkerProcess> starter) {
      this.starter = starter;
      worker = start();
      next = start();
      way = new FaultProxy(worker.join().port());
    }

    private CompletableFuture<WorkerProcess> start() {
      return CompletableFuture.supplyAsync(starter, task -> new Thread(task, "worker-starter").start());
    }

    synchronized void awaitBoth() {
      worker.join();
      next.join();
    }

    /** The next one takes over at once if it is there already, and once it is there if not. */
    synchronized void kill() {
      worker.join().close();
      kills++;
      worker = next;
      next = start();
      worker.thenAccept(heir -> way.target(heir.port()));
    }

    @Override
    public synchronized void close() throws IOException {
      way.close();
      worker.join().close();
      next.join().close();
    }
  }

  private static SplitOptions.Builder options() {
    return SplitOptions.builder().split(SPLIT).codec(CODEC).contextTokens(CONTEXT).threads(1);
  }

  /** What the whole model says; with a codec that loses something, what a device says that loses the same alone. */
  private static List<Integer> undisturbed(LlmModel model, WorkerAddress address, int[] prompt) {
    if (CODEC == RowCodec.F32) {
      return list(RealModels.answer(model, prompt, CONTEXT, GREEDY));
    }
    try (SplitSession alone =
        SplitSession.open(model, address, options().gate((rows, bytes) -> Optional.of("alone")).build())) {
      return list(alone.generate(prompt, GREEDY, new SplitListener() {}).tokens());
    }
  }

  private static List<Integer> list(int[] tokens) {
    return IntStream.of(tokens).boxed().collect(Collectors.toList());
  }

  @Test
  void answersAreTheSameAndWhole(@TempDir Path folder) throws Exception {
    assumeTrue(SESSIONS > 0, "takes minutes; ci/edge-faults runs it");
    WorkerProcess.assumeProgram();
    Path file = RealModels.file(RealModels.DEFAULT);
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of());
    WorkerOptions options = WorkerOptions.builder().model(file).layers(LayerRange.of(SPLIT, 0)).contextTokens(CONTEXT)
        .threads(1).listen(SplitFixture.loopback(0)).keys(keys).build();
    List<String> prompts = RealModels.prompts();
    long began = System.nanoTime();
    ExecutorService threads = Executors.newFixedThreadPool(AT_ONCE);
    Totals totals = new Totals();
    try (LlmModel model = LlmModel.load(ModelOptions.of(file));
        Succession workers = new Succession(() -> new WorkerProcess(options))) {
      WorkerAddress address = WorkerAddress.of("localhost:" + workers.way.port(), keys);
      while (totals.sessions < SESSIONS) {
        List<String> round = new ArrayList<>();
        for (int i = 0; i < Math.min(AT_ONCE, SESSIONS - totals.sessions); i++) {
          String prompt = prompts.get((totals.sessions + i) % prompts.size());
          round.add(prompt);
          expected.computeIfAbsent(prompt, text -> undisturbed(model, address, model.tokenize(text, true, false)));
        }
        workers.awaitBoth();
        answerAtOnce(model, address, round, workers, threads, totals);
        System.out.println(totals.text(workers.kills, began));
      }
    } finally {
      threads.shutdown();
    }
    // Sessions that never had a worker would prove nothing.
    assertTrue(totals.split > 0 && totals.local > 0);
  }

  private static final class Totals {
    int sessions;
    int tokens;
    int losses;
    int connections;
    int split;
    int local;

    void add(SplitResult result) {
      SplitStats stats = result.stats();
      sessions++;
      tokens += result.tokens().length;
      losses += stats.losses();
      connections += stats.connections();
      split += stats.splitSteps();
      local += stats.localSteps();
    }

    String text(int kills, long began) {
      return String.format(Locale.ROOT, "%d sessions, %d tokens, all the same; %d kills, %d streams lost, %d made;"
          + " steps: %d split, %d local; %.0f s", sessions, tokens, kills, losses, connections, split, local,
          (System.nanoTime() - began) / 1e9);
    }
  }

  private void answerAtOnce(LlmModel model, WorkerAddress address, List<String> prompts, Succession workers,
      ExecutorService threads, Totals totals) throws Exception {
    // The first while each session is at its beginning still, so that it hits all of them; the second anywhere.
    Set<Integer> strikes = Set.of(1 + random.nextInt(TOKENS / 2), TOKENS + random.nextInt(2 * TOKENS));
    AtomicInteger heardByAll = new AtomicInteger();
    List<SplitSession> sessions = new ArrayList<>();
    List<Callable<SplitResult>> answers = new ArrayList<>();
    try {
      for (String prompt : prompts) {
        SplitSession session = SplitSession.open(model, address, options().build());
        sessions.add(session);
        answers.add(() -> answer(session, model.tokenize(prompt, true, false), expected.get(prompt), () -> {
          if (strikes.contains(heardByAll.incrementAndGet())) {
            workers.kill();
          }
        }));
      }
      for (Future<SplitResult> answer : threads.invokeAll(answers)) {
        totals.add(answer.get());
      }
    } finally {
      sessions.forEach(SplitSession::close);
    }
  }

  private static SplitResult answer(SplitSession session, int[] prompt, List<Integer> expected, Runnable onToken) {
    List<Integer> heard = new ArrayList<>();
    SplitResult result = session.generate(prompt, GREEDY, new SplitListener() {
      @Override
      public void onToken(int token, String text) {
        if (token != SplitSession.NO_TOKEN) {
          heard.add(token);
          onToken.run();
        }
      }
    });
    assertEquals(expected, list(result.tokens()));
    assertEquals(expected, heard);
    assertTrue(result.stats().losses() > 0, "this session has lost no worker");
    return result;
  }
}
