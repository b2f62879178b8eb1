package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.Interrupts;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.edge.RowBasis;
import io.github.llmmobile.edge.SplitPages;
import io.github.llmmobile.edge.WorkerAddress;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.worker.Worker;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code worker}: the last layers of a model for many devices, until it is told to stop. */
@Command(name = "worker", header = "Serve the last layers of a model to devices.",
    description = "Loads layers of a model, no others, and evaluates them for every device that connects with"
        + " llm-mobile run --worker. Devices keep the first layers; they need the same model file. Stops on Ctrl-C and on"
        + " SIGTERM, after the streams that are open have had time to end.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile worker --layers 15:30 --listen 127.0.0.1:7443 --insecure",
      "  llm-mobile worker --model m.gguf --layers 8: --listen 0.0.0.0:7443 --tls keys",
      "  llm-mobile worker --layers 15: --listen [::]:7443 --tls keys --metrics :9464",
    })
final class WorkerCommand implements Callable<Integer> {
  private static final int MAX_DRAIN_SECONDS = 3600;
  private static final int STOP_SECONDS = 5;
  /** Its log: to gRPC a device that goes away is worth a stack trace. Held, since the settings go with it. */
  private static final Logger GRPC_LOG = Logger.getLogger("io.grpc");
  /** The same for each message that cannot be read: whoever sends such would fill the log. */
  private static final Logger GRPC_MESSAGE_LOG = Logger.getLogger("io.grpc.internal.SerializingExecutor");

  private final CliEnvironment env;

  @Option(names = {"-m", "--model"}, paramLabel = "FILE",
      description = "Model (GGUF). Default: " + DefaultModel.NAME + " from the cache; see llm-mobile models.")
  @Nullable Path model;

  @Option(names = "--layers", paramLabel = "K:N", required = true,
      description = "Layers K to N-1; the last one must be among them, and N may be left out.")
  String layers = "";

  @Option(names = "--listen", paramLabel = "HOST:PORT", required = true,
      description = "Where devices connect; port 0 takes any that is free.")
  String listen = "";

  @Option(names = "--port-file", paramLabel = "FILE", description = "Write the port there once devices can connect.")
  @Nullable Path portFile;

  @Option(names = "--tls", paramLabel = "DIR", description = "Keys and certificates, as llm-mobile keys makes them.")
  @Nullable Path tls;

  @Option(names = "--insecure",
      description = "Serve without TLS, on the loopback interface only. What devices send is encrypted all the same.")
  boolean insecure;

  @Option(names = "--basis", paramLabel = "FILE",
      description = "The basis of devices that send hidden states in fewer numbers; the same file as there.")
  @Nullable Path basis;

  @Option(names = "--max-sessions", paramLabel = "N", defaultValue = "64",
      description = "Sessions at once, default 64; others are told when to try again.")
  int maxSessions;

  @Option(names = "--max-sessions-per-client", paramLabel = "N", defaultValue = "0",
      description = "The same of one client certificate. Default: no bound but that.")
  int maxSessionsPerClient;

  @Option(names = "--max-memory-mb", paramLabel = "N", defaultValue = "0",
      description = "Caches and buffers of all sessions together, in MB; what a session may need is reserved when it opens."
          + " Default: no bound.")
  int maxMemoryMb;

  @Option(names = "--page-size", paramLabel = "N",
      description = "Keep keys and values in pages of 16, 32 or 64 tokens, for devices that know pages. Default: unpaged.")
  @Nullable Integer pageSize;

  @Option(names = "--quantization-enabled", arity = "0..1", fallbackValue = "true", defaultValue = "false",
      paramLabel = "true|false", description = "Keep older pages in 4 bits per element. Needs --page-size.")
  boolean quantizationEnabled;

  @Option(names = "--recent-window", paramLabel = "N",
      description = "Newest tokens that stay in 16 bits, default 128. Needs --quantization-enabled.")
  @Nullable Integer recentWindow;

  @Option(names = "--pinned-prefix", paramLabel = "N",
      description = "First tokens of which the same holds, default 16. Needs --quantization-enabled.")
  @Nullable Integer pinnedPrefix;

  @Option(names = "--spill-directory", paramLabel = "DIR",
      description = "Folder for pages that do not fit a session's share of --max-memory-mb, which is divided by"
          + " --max-sessions. Needs --page-size, without --quantization-enabled.")
  @Nullable Path spillDirectory;

  @Option(names = {"-c", "--context"}, paramLabel = "N", defaultValue = "0",
      description = "Tokens that a session may hold. Default: 4096, or what the model was trained for.")
  int context;

  @Option(names = {"-t", "--threads"}, paramLabel = "N", defaultValue = "0",
      description = "Threads of a step. Default: one per physical core.")
  int threads;

  @Option(names = "--parallel", paramLabel = "N", defaultValue = "1",
      description = "Steps of different sessions at the same time, default 1.")
  int parallel;

  @Option(names = "--lease-seconds", paramLabel = "N", defaultValue = "30",
      description = "How long a session is kept whose connection is lost, default 30.")
  int leaseSeconds;

  @Option(names = "--drain-seconds", paramLabel = "N", defaultValue = "30",
      description = "How long open streams may go on when the worker is told to stop, default 30.")
  int drainSeconds;

  @Option(names = "--metrics", paramLabel = "[HOST]:PORT",
      description = "Serve counters for Prometheus at http://HOST:PORT/metrics. Without HOST on the loopback interface.")
  @Nullable String metrics;

  @Mixin CommonArguments common = new CommonArguments();

  WorkerCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    if ((tls == null) == !insecure) {
      throw CliException.usage("a worker needs either --tls DIR or --insecure",
          "llm-mobile keys DIR makes keys; --insecure is for devices on this machine");
    }
    if (drainSeconds < 0 || drainSeconds > MAX_DRAIN_SECONDS) {
      throw CliException.usage("--drain-seconds must be from 0 to " + MAX_DRAIN_SECONDS, "");
    }
    ModelArguments file = new ModelArguments();
    file.model = model;
    WorkerOptions.Builder options = WorkerOptions.builder().model(file.path(env)).layers(LayerRange.parse(layers))
        .listen(address(listen)).maxSessions(maxSessions).maxSessionsPerClient(maxSessionsPerClient)
        .maxMemoryBytes((long) maxMemoryMb << 20)
        .contextTokens(context).threads(threads).parallelSteps(parallel).lease(Duration.ofSeconds(leaseSeconds));
    if (basis != null) {
      options.basis(RowBasis.read(basis));
    }
    pages(options);
    if (tls != null) {
      options.keys(KeyFolder.open(tls));
    } else {
      Reports.warn(env, "--insecure: no TLS; for devices on this machine and for tests");
    }
    if (!common.verbose) {
      GRPC_LOG.setLevel(Level.SEVERE);
      GRPC_MESSAGE_LOG.setLevel(Level.OFF);
    }
    CountDownLatch stop = new CountDownLatch(1);
    env.interrupts().patience(drainSeconds + STOP_SECONDS);
    try (Interrupts.Registration registration = env.interrupts().onInterrupt(stop::countDown);
        Worker worker = Worker.start(options.build());
        MetricsEndpoint endpoint = endpoint(worker)) {
      announce(worker, endpoint);
      stop.await();
      env.err().println("stopping");
      worker.drain(Duration.ofSeconds(drainSeconds));
    }
    return ExitCode.OK.number();
  }

  private void pages(WorkerOptions.Builder options) {
    if (!quantizationEnabled && (recentWindow != null || pinnedPrefix != null)) {
      throw CliException.usage("--recent-window and --pinned-prefix need --quantization-enabled",
          "without it all pages stay in 16 bits");
    }
    if (pageSize == null) {
      if (quantizationEnabled || spillDirectory != null) {
        throw CliException.usage("--quantization-enabled and --spill-directory need --page-size", "such as --page-size 32");
      }
      return;
    }
    if (pageSize != 16 && pageSize != 32 && pageSize != 64) {
      throw CliException.usage("--page-size must be 16, 32 or 64, but is " + pageSize, "");
    }
    MemoryManagerConfig.Builder pages =
        MemoryManagerConfig.builder().pageSize(pageSize).quantizationEnabled(quantizationEnabled);
    if (recentWindow != null) {
      pages.recentWindow(recentWindow);
    }
    if (pinnedPrefix != null) {
      pages.pinnedPrefix(pinnedPrefix);
    }
    options.pages(SplitPages.of(pages.build()));
    if (spillDirectory != null) {
      options.spillDirectory(spillDirectory);
    }
  }

  private @Nullable MetricsEndpoint endpoint(Worker worker) throws IOException {
    if (metrics == null) {
      return null;
    }
    return new MetricsEndpoint(address(metrics.startsWith(":") ? "127.0.0.1" + metrics : metrics), worker::metrics);
  }

  private static InetSocketAddress address(String hostPort) {
    WorkerAddress parsed = WorkerAddress.insecure(hostPort);
    return new InetSocketAddress(parsed.host(), parsed.port());
  }

  private void announce(Worker worker, @Nullable MetricsEndpoint endpoint) throws IOException {
    LayerRange served = LayerRange.parse(layers);
    String where = WorkerAddress.insecure(listen).host() + ":" + worker.port();
    if (common.json) {
      JsonObject json = new JsonObject();
      json.addProperty("listen", where);
      json.addProperty("port", worker.port());
      json.addProperty("layer_begin", served.begin());
      json.addProperty("layer_end", worker.model().layers());
      json.addProperty("model", worker.model().fingerprint());
      json.addProperty("max_positions", worker.maxPositions());
      json.addProperty("session_bytes", worker.sessionBytes());
      if (endpoint != null) {
        json.addProperty("metrics_port", endpoint.port());
      }
      env.out().println(Json.line(json));
    } else {
      env.out().println("serving layers " + served.begin() + " to " + (worker.model().layers() - 1) + " on " + where
          + (tls == null ? " without TLS" : "") + "; a session of " + worker.maxPositions() + " tokens takes "
          + Units.bytes(worker.sessionBytes()));
    }
    env.flush();
    if (portFile != null) {
      // Whoever waits for the file finds a whole number in it.
      try (StagedFiles files = new StagedFiles()) {
        Files.writeString(files.forTarget(portFile), worker.port() + "\n");
        files.commit();
      }
    }
  }
}
