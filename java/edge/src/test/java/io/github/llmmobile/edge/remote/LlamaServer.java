package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A llama-server on loopback, built from the pinned llama.cpp without our patches. */
final class LlamaServer implements AutoCloseable {
  private static final int KEPT_LINES = 40;

  private static final Pattern LISTENING = Pattern.compile("listening on (http://127\\.0\\.0\\.1:\\d+)");

  private final Process process;
  private volatile String url = "";
  private final CountDownLatch ready = new CountDownLatch(1);
  private final Deque<String> log = new ArrayDeque<>();

  private LlamaServer(Process process) {
    this.process = process;
  }

  /** Starts one. Skips the test if the program has not been built. */
  static LlamaServer start(Path model) throws IOException, InterruptedException {
    Path program = Path.of(System.getProperty("llmm.llama.server", "llama-server"));
    assumeTrue(Files.isExecutable(program), () -> program + " is missing; ci/peer --server builds it");
    Process process = new ProcessBuilder(List.of(program.toString(), "--model", model.toString(), "--host", "127.0.0.1",
        "--port", "0", "--ctx-size", "2048", "--parallel", "1", "--threads", "1", "--no-ui"))
        .redirectErrorStream(true).start();
    LlamaServer server = new LlamaServer(process);
    Thread reader = new Thread(server::readLog, "llama-server-log");
    reader.setDaemon(true);
    reader.start();
    if (!server.ready.await(120, TimeUnit.SECONDS) || server.url.isEmpty()) {
      server.close();
      synchronized (server.log) {
        fail("llama-server has not started:\n" + String.join("\n", server.log));
      }
    }
    return server;
  }

  private void readLog() {
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        synchronized (log) {
          log.addLast(line);
          if (log.size() > KEPT_LINES) {
            log.removeFirst();
          }
        }
        Matcher address = LISTENING.matcher(line);
        if (address.find()) {
          url = address.group(1);
          ready.countDown();
        }
      }
    } catch (IOException e) {
      // The process has gone.
    }
    ready.countDown();
  }

  RemoteModelClient client() {
    return new RemoteModelClient(RemoteEndpoint.of(url), new JdkHttpTransport());
  }

  /** As a crash would. */
  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() throws InterruptedException {
    kill();
  }
}
