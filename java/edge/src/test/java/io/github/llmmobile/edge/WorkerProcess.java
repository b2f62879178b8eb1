package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.edge.worker.WorkerOptions;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A worker in a process of its own, as {@code llm-mobile worker} starts it: with the options that the command line has. Needs
 * {@code -Dllmm.edge.program}, the launcher of a tree that has been built; the scripts in ci/ give it.
 */
final class WorkerProcess implements LiveWorker {
  private static final String PROGRAM = System.getProperty("llmm.edge.program");
  private static final Pattern METRICS_PORT = Pattern.compile("\"metrics_port\":([0-9]+)");
  private static final long KB = 1024;
  private static final int LOG_END = 4000;

  private final Path log;
  private final Process process;
  private final int port;

  static boolean hasProgram() {
    return PROGRAM != null;
  }

  /** Skips the test where there is no program. */
  static void assumeProgram() {
    assumeTrue(hasProgram(), "no -Dllmm.edge.program; a script in ci/ gives it");
  }

  /** Starts one, and waits until devices can connect. */
  WorkerProcess(WorkerOptions options) {
    try {
      Path folder = Files.createTempDirectory("llmm-worker");
      log = folder.resolve("log");
      Path portFile = folder.resolve("port");
      ProcessBuilder builder = new ProcessBuilder(command(options, portFile)).redirectErrorStream(true)
          .redirectOutput(log.toFile());
      builder.environment().put("LLMM_REBUILD", "0");
      process = builder.start();
      Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
      Eventually.await("the worker listens", () -> Files.exists(portFile) || !process.isAlive());
      if (!process.isAlive()) {
        throw new AssertionError("the worker did not start: " + log());
      }
      port = Integer.parseInt(Files.readString(portFile).trim());
      for (Path file : new Path[] {folder, log, portFile}) {
        file.toFile().deleteOnExit();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<String> command(WorkerOptions options, Path portFile) {
    List<String> command = new ArrayList<>(List.of(PROGRAM, "worker", "--json", "--metrics", ":0",
        "--model", options.model().toString(),
        "--layers", options.layers().begin() + ":",
        "--listen", options.listen().getHostString() + ":" + options.listen().getPort(),
        "--port-file", portFile.toString(),
        "--context", "" + options.contextTokens(),
        "--threads", "" + options.threads(),
        "--max-sessions", "" + options.maxSessions(),
        "--max-sessions-per-client", "" + options.maxSessionsPerClient(),
        "--parallel", "" + options.parallelSteps(),
        "--max-memory-mb", "" + (options.maxMemoryBytes() >> 20),
        "--lease-seconds", "" + options.lease().toSeconds()));
    if (options.keys().isPresent()) {
      command.addAll(List.of("--tls", options.keys().get().workerCertificate().getParent().toString()));
    } else {
      command.add("--insecure");
    }
    return command;
  }

  @Override
  public int port() {
    return port;
  }

  String log() {
    try {
      return Files.readString(log);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public String state() {
    String log = log();
    return (process.isAlive() ? "it runs" : "it ended with " + process.exitValue()) + ", and says "
        + log.substring(Math.max(0, log.length() - LOG_END));
  }

  /** Where it has its counters. */
  int metricsPort() {
    Matcher said = METRICS_PORT.matcher(log());
    if (!said.find()) {
      throw new AssertionError("the worker has no counters: " + log());
    }
    return Integer.parseInt(said.group(1));
  }

  @Override
  public String metrics() {
    try (InputStream in = URI.create("http://127.0.0.1:" + metricsPort() + "/metrics").toURL().openStream()) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Memory that it has, in bytes. */
  long residentBytes() {
    try (Stream<String> lines = Files.lines(Path.of("/proc", Long.toString(process.pid()), "status"))) {
      return KB * lines.filter(line -> line.startsWith("VmRSS:")).mapToLong(
          line -> Long.parseLong(line.replaceAll("[^0-9]", ""))).sum();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** SIGTERM: it goes down in good order. */
  void terminate() {
    process.destroy();
  }

  /** Waits for its end, and gives its exit status. */
  int awaitEnd() {
    try {
      if (!process.waitFor(2, TimeUnit.MINUTES)) {
        throw new AssertionError("the worker does not end");
      }
      return process.exitValue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** SIGKILL. */
  @Override
  public void close() {
    process.destroyForcibly();
    awaitEnd();
  }
}
