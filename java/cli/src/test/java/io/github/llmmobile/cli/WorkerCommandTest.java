package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.cli.console.Interrupts;
import io.github.llmmobile.edge.keys.KeyFolder;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Commands that work together: keys, worker, run --worker. */
@Timeout(120)
class WorkerCommandTest {
  @TempDir Path folder;

  /** Ctrl-C by hand. */
  private static final class ByHand implements Interrupts {
    private final List<Runnable> actions = new CopyOnWriteArrayList<>();

    @Override
    public Registration onInterrupt(Runnable action) {
      actions.add(action);
      return () -> actions.remove(action);
    }

    @Override
    public void finished() {}

    void interrupt() {
      actions.forEach(Runnable::run);
    }
  }

  /** A worker command that runs on a thread of its own. */
  private final class RunningWorker implements AutoCloseable {
    private final ByHand interrupts = new ByHand();
    private final Path portFile = folder.resolve("port");
    private final CompletableFuture<TestCli.Outcome> outcome;
    final int port;

    RunningWorker(Path model, String... more) throws IOException {
      String[] args = new String[more.length + 11];
      System.arraycopy(new String[] {"worker", "--model", model.toString(), "--layers", "1:", "--listen", "127.0.0.1:0",
          "--port-file", portFile.toString(), "--threads", "1"}, 0, args, 0, 11);
      System.arraycopy(more, 0, args, 11, more.length);
      outcome = CompletableFuture.supplyAsync(() -> new TestCli().interrupts(interrupts).run(args));
      while (!Files.exists(portFile) && !outcome.isDone()) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
      }
      assertTrue(Files.exists(portFile), () -> outcome.join().err());
      port = Integer.parseInt(Files.readString(portFile).strip());
    }

    TestCli.Outcome stop() throws InterruptedException, ExecutionException, TimeoutException {
      interrupts.interrupt();
      return outcome.get(60, TimeUnit.SECONDS);
    }

    @Override
    public void close() throws IOException {
      interrupts.interrupt();
      outcome.join();
      Files.deleteIfExists(portFile);
    }
  }

  private static JsonArray tokens(TestCli.Outcome outcome) {
    assertEquals(0, outcome.code(), outcome.err());
    return json(outcome).getAsJsonArray("tokens");
  }

  private static JsonObject json(TestCli.Outcome outcome) {
    return JsonParser.parseString(outcome.out()).getAsJsonObject();
  }

  private static TestCli.Outcome run(Path model, String... more) {
    String[] args = new String[more.length + 11];
    System.arraycopy(new String[] {"run", "--model", model.toString(), "--threads", "1", "--temperature", "0", "-n",
        "20", "--json", "hello world"}, 0, args, 0, 11);
    System.arraycopy(more, 0, args, 11, more.length);
    return new TestCli().run(args);
  }

  @Test
  void aWorkerGivesTheAnswerOfTheWholeModel() throws Exception {
    Path model = TinyModelFile.in(folder);
    JsonArray expected = tokens(run(model));
    try (RunningWorker worker = new RunningWorker(model, "--insecure", "--json")) {
      String address = "127.0.0.1:" + worker.port;
      for (List<String> options : List.of(
          List.of("--codec", "f32", "--split", "1"),
          List.of("--codec", "f32", "--local-fallback", "off"))) {
        String[] args = new String[options.size() + 4];
        System.arraycopy(new String[] {"--worker", address, "--insecure", "--stats"}, 0, args, 0, 4);
        System.arraycopy(options.toArray(), 0, args, 4, options.size());
        TestCli.Outcome outcome = run(model, args);
        assertEquals(expected, tokens(outcome), outcome.err());
        JsonObject edge = json(outcome).getAsJsonObject("edge");
        assertEquals(0, edge.get("local_steps").getAsInt());
        assertTrue(edge.get("sent_bytes_per_token").getAsDouble() > 256);
        assertTrue(outcome.err().contains("split, 0 local"), outcome.err());
        assertTrue(outcome.err().contains("warning:"), outcome.err());
      }
      TestCli.Outcome stopped = worker.stop();
      assertEquals(0, stopped.code(), stopped.err());
      assertEquals(worker.port, JsonParser.parseString(stopped.out()).getAsJsonObject().get("port").getAsInt());
      // Nobody is there any more: this device goes on by itself, and does not without leave.
      TestCli.Outcome alone = run(model, "--worker", address, "--insecure", "--codec", "f32");
      assertEquals(expected, tokens(alone), alone.err());
      assertEquals(0, json(alone).getAsJsonObject("edge").get("split_steps").getAsInt());
      TestCli.Outcome failed = run(model, "--worker", address, "--insecure", "--split", "1", "--local-fallback", "off");
      assertEquals(ExitCode.RUNTIME.number(), failed.code());
      assertTrue(failed.err().contains("hint: is the worker running"), failed.err());
    }
  }

  @Test
  void whatIsDecidedAndWhyIsShown() throws Exception {
    Path model = TinyModelFile.in(folder);
    JsonArray expected = tokens(run(model));
    try (RunningWorker worker = new RunningWorker(model, "--insecure")) {
      String address = "127.0.0.1:" + worker.port;
      // Which it is depends on this machine; either way all steps have a place and a reason.
      TestCli.Outcome planned = run(model, "--worker", address, "--insecure", "--codec", "f32", "--split", "auto",
          "--bandwidth-threshold", "0", "--explain-routing", "--stats");
      assertEquals(expected, tokens(planned), planned.err());
      JsonObject edge = json(planned).getAsJsonObject("edge");
      JsonObject plan = edge.getAsJsonObject("plan");
      JsonObject first = edge.getAsJsonArray("decisions").get(0).getAsJsonObject();
      assertEquals(plan.get("place").getAsString(), first.get("place").getAsString());
      assertEquals(plan.get("reason").getAsString(), first.get("reason").getAsString());
      assertTrue(plan.get("local_ms").getAsDouble() > 0 && plan.get("split_ms").getAsDouble() > 0);
      assertTrue(edge.get("goodput_mbps").getAsDouble() > 0);
      assertTrue(planned.err().contains("why") && planned.err().contains("faster"), planned.err());
      // No link carries that much.
      TestCli.Outcome narrow = run(model, "--worker", address, "--insecure", "--codec", "f32", "--split", "1",
          "--bandwidth-threshold", "1000 Gbps", "--explain-routing");
      assertEquals(expected, tokens(narrow), narrow.err());
      edge = json(narrow).getAsJsonObject("edge");
      assertEquals(0, edge.get("sent_bytes").getAsLong());
      assertEquals("closed", edge.get("gate").getAsString());
      assertTrue(edge.getAsJsonObject("local_reasons").has("bandwidth"), edge.toString());
      assertTrue(narrow.err().contains("below bandwidth_threshold"), narrow.err());
      // The same from a file.
      Path config = Files.writeString(folder.resolve("config.json"), "{\"edge_cloud_config\":{\"worker\":\"" + address
          + "\",\"insecure\":true,\"split\":1,\"codec\":\"f32\",\"bandwidth_threshold\":0}}");
      TestCli.Outcome configured = run(model, "--config", config.toString());
      assertEquals(expected, tokens(configured), configured.err());
      edge = json(configured).getAsJsonObject("edge");
      assertEquals(0, edge.get("local_steps").getAsInt());
      assertEquals("fixed", edge.getAsJsonArray("decisions").get(0).getAsJsonObject().get("reason").getAsString());
    }
  }

  @Test
  void bothSidesKeepPages() throws Exception {
    Path model = TinyModelFile.in(folder);
    try (RunningWorker worker = new RunningWorker(model, "--insecure", "--page-size", "16", "--quantization-enabled",
        "--recent-window", "32", "--max-memory-mb", "64")) {
      String[] options = {"--worker", "127.0.0.1:" + worker.port, "--insecure", "--split", "1", "--stats",
          "--bandwidth-threshold", "0", "--max-memory-mb", "16", "--quantization-enabled=false"};
      TestCli.Outcome outcome = run(model, options);
      assertEquals(0, outcome.code(), outcome.err());
      assertTrue(outcome.err().contains("f16") && outcome.err().contains("the worker's are in pages of 16 tokens, older ones in"
          + " 4 bits"), outcome.err());
      JsonObject cache = json(outcome).getAsJsonObject("cache");
      assertEquals(8 << 20, cache.get("kv_budget_bytes").getAsInt());
      assertTrue(cache.get("kv_pages_f16").getAsInt() > 0, outcome.out());
      TestCli.Outcome strict = run(model, "--worker", "127.0.0.1:" + worker.port, "--insecure", "--split", "1",
          "--pruning-threshold", "0.01", "--strict");
      assertEquals(ExitCode.NOT_AVAILABLE.number(), strict.code());
      assertTrue(strict.err().contains("in the device's layers alone"), strict.err());
    }
  }

  @Test
  void reducedRowsNeedTheSameBasisOnBothSides() throws Exception {
    Path model = TinyModelFile.in(folder);
    String basis = folder.resolve("tiny.basis").toString();
    Path text = Files.writeString(folder.resolve("text.txt"), "the world and the stop hello to he ".repeat(400));
    TestCli.Outcome made = TestCli.real().run("calibrate", model.toString(), "--text", text.toString(), "--output", basis,
        "--basis-layers", "1", "--tokens", "512", "--eval-tokens", "1024", "--threads", "1");
    assertEquals(0, made.code(), made.err());
    try (RunningWorker worker = new RunningWorker(model, "--insecure", "--basis", basis)) {
      String[] options = {"--worker", "127.0.0.1:" + worker.port, "--insecure", "--basis", basis, "--keep", "0.25",
          "--split", "1", "--bandwidth-threshold", "0", "--stats"};
      TestCli.Outcome outcome = run(model, options);
      assertEquals(0, outcome.code(), outcome.err());
      JsonObject edge = json(outcome).getAsJsonObject("edge");
      assertEquals(16, edge.get("keep_dims").getAsInt());
      assertEquals(0, edge.get("local_steps").getAsInt());
      assertTrue(edge.get("sent_bytes_per_token").getAsDouble() < 128, outcome.out());
      assertTrue(outcome.err().contains("rows as f16, 16 of 64 dimensions"), outcome.err());
    }
    try (RunningWorker worker = new RunningWorker(model, "--insecure")) {
      TestCli.Outcome refused =
          run(model, "--worker", "127.0.0.1:" + worker.port, "--insecure", "--basis", basis, "--keep-dims", "9");
      assertEquals(ExitCode.RUNTIME.number(), refused.code());
      assertTrue(refused.err().contains("has no basis"), refused.err());
    }
  }

  @Test
  void keysAreWhatTlsNeeds() throws Exception {
    Path model = TinyModelFile.in(folder);
    String keys = folder.resolve("keys").toString();
    TestCli.Outcome made = new TestCli().run("keys", keys, "--host", "worker.example");
    assertEquals(0, made.code(), made.err());
    assertTrue(made.out().contains(keys) && made.out().contains("the worker's pin is sha256/"), made.out());
    assertEquals(ExitCode.RUNTIME.number(), new TestCli().run("keys", keys).code());
    try (RunningWorker worker = new RunningWorker(model, "--tls", keys, "--metrics", ":0", "--json")) {
      TestCli.Outcome outcome =
          run(model, "--worker", "localhost:" + worker.port, "--tls", keys, "--codec", "f32", "--local-fallback", "off");
      assertEquals(tokens(run(model)), tokens(outcome));
      assertFalse(outcome.err().contains("warning"), outcome.err());
      String pin = KeyFolder.create(folder.resolve("others"), List.of()).pin().orElseThrow().toString();
      TestCli.Outcome pinned = run(model, "--worker", "localhost:" + worker.port, "--tls", keys, "--pin", pin);
      assertEquals(ExitCode.RUNTIME.number(), pinned.code());
      assertTrue(pinned.err().contains("not " + pin + ", which is pinned"), pinned.err());
      Path config = Files.writeString(folder.resolve("pinned.json"), "{\"edge_cloud_config\":{\"worker\":\"localhost:"
          + worker.port + "\",\"tls\":\"" + keys + "\",\"pin\":\"" + pin + "\"}}");
      assertTrue(run(model, "--config", config.toString()).err().contains("which is pinned"));
    }
  }

  @Test
  void anotherClientHasKeysOfItsOwn() throws Exception {
    Path model = TinyModelFile.in(folder);
    String keys = folder.resolve("keys").toString();
    String anna = folder.resolve("anna").toString();
    assertEquals(0, new TestCli().run("keys", keys).code());
    TestCli.Outcome made = new TestCli().run("keys", keys, "--client", anna, "--json");
    assertEquals(0, made.code(), made.err());
    assertEquals(anna, json(made).get("folder").getAsString());
    assertEquals(Files.readString(Path.of(keys, "worker.pin")).strip(), json(made).get("pin").getAsString());
    assertEquals(List.of("ca.pem", "client.key", "client.pem", "worker-hpke.pub", "worker.pin"), names(Path.of(anna)));
    assertFalse(Files.readString(Path.of(anna, "client.pem")).equals(Files.readString(Path.of(keys, "client.pem"))));
    try (RunningWorker worker = new RunningWorker(model, "--tls", keys, "--max-sessions-per-client", "1")) {
      for (String client : List.of(keys, anna)) {
        TestCli.Outcome outcome = run(model, "--worker", "localhost:" + worker.port, "--tls", client, "--codec", "f32",
            "--local-fallback", "off");
        assertEquals(0, outcome.code(), outcome.err());
      }
    }
    // Nothing is overwritten, and without the authority's key no client is made.
    assertEquals(ExitCode.RUNTIME.number(), new TestCli().run("keys", keys, "--client", anna).code());
    TestCli.Outcome none = new TestCli().run("keys", anna, "--client", folder.resolve("berta").toString());
    assertEquals(ExitCode.RUNTIME.number(), none.code());
    assertTrue(none.err().contains("ca.key"), none.err());
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void countersAreServed() throws Exception {
    Path model = TinyModelFile.in(folder);
    try (java.net.ServerSocket free = new java.net.ServerSocket(0)) {
      int port = free.getLocalPort();
      free.close();
      try (RunningWorker worker = new RunningWorker(model, "--insecure", "--metrics", ":" + port)) {
        run(model, "--worker", "localhost:" + worker.port, "--insecure", "--split", "1");
        String text = HttpClient.newHttpClient().send(
            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/metrics"))
                .timeout(Duration.ofSeconds(30)).build(),
            HttpResponse.BodyHandlers.ofString()).body();
        assertTrue(text.contains("llmm_worker_sessions_opened_total 1\n"), text);
        assertFalse(text.contains("llmm_worker_steps_total 0\n"), text);
      }
    }
  }

  private static void usage(String expected, String... args) {
    TestCli.Outcome outcome = new TestCli().run(args);
    assertEquals(ExitCode.USAGE.number(), outcome.code(), outcome.err());
    assertTrue(outcome.err().contains(expected), outcome.err());
  }

  @Test
  void wrongOptionsAreNamed() throws IOException {
    String model = TinyModelFile.in(folder).toString();
    usage("--tls DIR or --insecure", "run", "--model", model, "--worker", "localhost:1", "x");
    usage("--pin needs --tls", "run", "--model", model, "--worker", "localhost:1", "--insecure", "--pin", "x", "x");
    usage("is no pin", "run", "--model", model, "--worker", "localhost:1", "--tls", folder.toString(), "--pin", "x", "x");
    usage("--worker", "run", "--model", model, "--insecure", "x");
    usage("--split", "run", "--model", model, "--worker", "localhost:1", "--insecure", "--split", "half", "x");
    usage("codec", "run", "--model", model, "--worker", "localhost:1", "--insecure", "--codec", "int3", "x");
    usage("HOST:PORT", "run", "--model", model, "--worker", "localhost", "--insecure", "x");
    usage("--flash-attention", "run", "--model", model, "--worker", "localhost:1", "--insecure", "--batch", "3", "x");
    usage("--keep and --keep-dims need --basis", "run", "--model", model, "--worker", "localhost:1", "--insecure", "--keep",
        "0.5", "x");
    usage("need --worker", "run", "--model", model, "--basis", model, "x");
    usage("--layers", "worker", "--model", model, "--listen", "localhost:0", "--insecure");
    usage("--tls DIR or --insecure", "worker", "--model", model, "--listen", "localhost:0", "--layers", "1:2");
    usage("layers", "worker", "--model", model, "--listen", "localhost:0", "--layers", "0:1", "--insecure");
    usage("layers", "worker", "--model", model, "--listen", "localhost:0", "--layers", "1:9", "--insecure");
    usage("loopback", "worker", "--model", model, "--listen", "0.0.0.0:0", "--layers", "1:", "--insecure");
    usage("--page-size must be", "worker", "--model", model, "--listen", "localhost:0", "--layers", "1:", "--insecure",
        "--page-size", "17");
    usage("need --page-size", "worker", "--model", model, "--listen", "localhost:0", "--layers", "1:", "--insecure",
        "--quantization-enabled");
    usage("need --quantization-enabled", "worker", "--model", model, "--listen", "localhost:0", "--layers", "1:", "--insecure",
        "--page-size", "16", "--recent-window", "64");
    usage("spillDirectory", "worker", "--model", model, "--listen", "localhost:0", "--layers", "1:", "--insecure",
        "--page-size", "16", "--spill-directory", folder.toString());
    usage("--drain-seconds", "worker", "--model", model, "--listen", "localhost:0", "--layers", "1:", "--insecure",
        "--drain-seconds", "-1");
  }
}
