package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.wire.ProtocolException;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Sessions of two workers behind HAProxy, without local fallback: {@code ci/edge-balancer}. */
@Timeout(600)
class BalancerTest {
  private static final int SESSIONS = Integer.getInteger("llmm.edge.balanced", 0);
  private static final String HOST = "localhost";
  private static final int PROMPTS = 8;
  /** What a Java program ends with that SIGTERM has ended in good order. */
  private static final int TERMINATED = 143;

  private final int[][] expected = new int[PROMPTS][];
  private final AtomicInteger answers = new AtomicInteger();

  private static WorkerProcess worker(KeyFolder keys) {
    return new WorkerProcess(SplitFixture.workerOptions().maxSessions(2 * SESSIONS).keys(keys).build());
  }

  private static int freePort() throws IOException {
    try (ServerSocket free = new ServerSocket(0)) {
      return free.getLocalPort();
    }
  }

  /** The keys as the configuration wants them. */
  private static Path balancerKeys(Path folder, KeyFolder keys) throws IOException {
    Path all = keys.authority().getParent();
    Path own = Files.createDirectory(folder.resolve("balancer"));
    keys.addClient(folder.resolve("client"));
    Files.copy(keys.authority(), own.resolve("ca.pem"));
    join(own.resolve("balancer.pem"), all.resolve("worker.pem"), all.resolve("worker.key"));
    join(own.resolve("client.pem"), folder.resolve("client/client.pem"), folder.resolve("client/client.key"));
    return own;
  }

  private static void join(Path to, Path certificate, Path key) throws IOException {
    Files.writeString(to, Files.readString(certificate) + Files.readString(key));
  }

  /** HAProxy with a configuration of docs/. */
  private static final class Balancer implements AutoCloseable {
    private final Process process;
    private final Path log;

    Balancer(String configuration, Path log, int port, Path keys, WorkerProcess a, WorkerProcess b) throws IOException {
      this.log = log;
      ProcessBuilder builder = new ProcessBuilder("haproxy", "-db", "-f",
          Path.of(System.getProperty("llmm.edge.haproxy"), configuration).toString())
          .redirectErrorStream(true).redirectOutput(log.toFile());
      builder.environment().putAll(Map.of("LISTEN", "127.0.0.1:" + port, "KEYS", keys.toString(), "HOST", HOST,
          "A", "127.0.0.1:" + a.port(), "A_METRICS", "" + a.metricsPort(),
          "B", "127.0.0.1:" + b.port(), "B_METRICS", "" + b.metricsPort()));
      process = builder.start();
    }

    void awaitListening(WorkerAddress address) {
      Eventually.await("HAProxy listens", () -> !process.isAlive() || listens(address));
      assertTrue(process.isAlive(), () -> read(log));
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }

  @BeforeEach
  void expect() {
    assumeTrue(SESSIONS > 0, "needs HAProxy; ci/edge-balancer runs it");
    WorkerProcess.assumeProgram();
    for (int i = 0; i < expected.length; i++) {
      expected[i] = SplitFixture.local(SplitFixture.prompt(i, 30), SplitFixture.GREEDY);
    }
  }

  private static SplitSession open(WorkerAddress address) {
    return SplitSession.open(TinyModels.deepModel(), address, SplitFixture.options().split(1).localFallback(false).build());
  }

  private void answer(SplitSession session, long seed) {
    int[] prompt = SplitFixture.prompt(seed % PROMPTS, 30);
    SplitResult result = session.generate(prompt, SplitFixture.GREEDY, new SplitListener() {});
    assertArrayEquals(expected[(int) (seed % PROMPTS)], result.tokens());
    answers.incrementAndGet();
  }

  @Test
  void aSessionHasOneWorkerAndOutlivesIt(@TempDir Path folder) throws Exception {
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of());
    int port = freePort();
    List<SplitSession> sessions = new ArrayList<>();
    ExecutorService threads = Executors.newFixedThreadPool(SESSIONS);
    try (WorkerProcess a = worker(keys); WorkerProcess b = worker(keys);
        Balancer balancer = new Balancer("edge-haproxy.cfg", folder.resolve("haproxy.log"), port,
            balancerKeys(folder, keys), a, b)) {
      try (FaultProxy way = new FaultProxy(port)) {
        WorkerAddress address = WorkerAddress.of(HOST + ":" + way.port(), keys);
        balancer.awaitListening(address);
        for (int i = 0; i < SESSIONS; i++) {
          sessions.add(open(address));
          answer(sessions.get(i), i);
        }
        long onA = a.counter("sessions_opened_total");
        long onB = b.counter("sessions_opened_total");
        assertEquals(SESSIONS, onA + onB);
        assertTrue(onA > 0 && onB > 0, onA + " and " + onB);

        way.cut();
        Eventually.await("all are back", () -> sessions.stream().allMatch(session -> session.stats().connections() == 2));
        // Each at the worker that has its rows: none was begun again.
        assertEquals(onA, a.counter("sessions_resumed_total"));
        assertEquals(onB, b.counter("sessions_resumed_total"));
        assertEquals(SESSIONS, a.counter("sessions_opened_total") + b.counter("sessions_opened_total"));

        AtomicBoolean gone = new AtomicBoolean();
        List<Future<?>> talking = new ArrayList<>();
        for (int i = 0; i < SESSIONS; i++) {
          int number = i;
          talking.add(threads.submit(() -> {
            boolean last;
            long seed = number;
            do {
              last = gone.get();
              answer(sessions.get(number), seed++);
            } while (!last);
          }));
        }
        int before = answers.get();
        Eventually.await("they answer", () -> answers.get() > before + SESSIONS);
        int drained = answers.get();
        a.terminate();
        assertEquals(TERMINATED, a.awaitEnd(), a::log);
        int alone = answers.get();
        gone.set(true);
        for (Future<?> session : talking) {
          session.get();
        }
        assertEquals(SESSIONS, b.counter("sessions"));
        System.out.printf(Locale.ROOT, "%d sessions, %d at one worker, %d at the other; all connections cut: all back at"
            + " theirs; one worker drained: %d answers meanwhile, %d afterwards, all right, 0 sessions failed%n", SESSIONS, onA, onB,
            alone - drained, answers.get() - alone);
      }
    } finally {
      sessions.forEach(SplitSession::close);
      threads.shutdown();
    }
  }

  @Test
  void tlsPassesThrough(@TempDir Path folder) throws Exception {
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of());
    int port = freePort();
    List<SplitSession> sessions = new ArrayList<>();
    try (WorkerProcess a = worker(keys); WorkerProcess b = worker(keys);
        Balancer balancer = new Balancer("edge-haproxy-tcp.cfg", folder.resolve("haproxy.log"), port, folder, a, b)) {
      WorkerAddress address = WorkerAddress.of(HOST + ":" + port, keys);
      balancer.awaitListening(address);
      for (int i = 0; i < SESSIONS; i++) {
        sessions.add(open(address));
        answer(sessions.get(i), i);
      }
      // All come from one address.
      WorkerProcess own = a.counter("sessions_opened_total") > 0 ? a : b;
      WorkerProcess other = own == a ? b : a;
      assertEquals(SESSIONS, own.counter("sessions_opened_total"));
      own.terminate();
      assertEquals(TERMINATED, own.awaitEnd(), own::log);
      for (int i = 0; i < SESSIONS; i++) {
        answer(sessions.get(i), i + 1);
      }
      assertEquals(SESSIONS, other.counter("sessions_opened_total"));
      System.out.printf(Locale.ROOT, "TLS passed through: %d sessions at one worker, which was told to stop: all at the other,"
          + " all answers right%n", SESSIONS);
    } finally {
      sessions.forEach(SplitSession::close);
    }
  }

  private static boolean listens(WorkerAddress address) {
    try (WorkerChannel channel = new WorkerChannel(address)) {
      channel.describe(1000);
      return true;
    } catch (ProtocolException e) {
      return false;
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }
}
