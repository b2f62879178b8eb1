package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.config.EdgeCloudConfig;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.edge.RowBasis;
import io.github.llmmobile.edge.RowCodec;
import io.github.llmmobile.edge.SplitOptions;
import io.github.llmmobile.edge.WorkerAddress;
import io.github.llmmobile.edge.keys.CertificatePin;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.policy.SplitPolicy;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The worker that evaluates the last layers. */
final class WorkerArguments {
  /** Whether this device goes on by itself. */
  enum Fallback {
    ON, OFF;

    /** As it is typed. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(names = "--worker", paramLabel = "HOST:PORT",
      description = "Have the last layers evaluated by an llm-mobile worker there.")
  @Nullable String worker;

  @Option(names = "--split", paramLabel = "K|auto",
      description = "Layers 0 to K-1 stay here. auto (default): measured times of this device, the worker and the way decide"
          + " where to split, and whether to; with --local-fallback off: as few as the worker allows.")
  @Nullable String split;

  @Option(names = "--tls", paramLabel = "DIR",
      description = "Keys and certificates, as llm-mobile keys makes them.")
  @Nullable Path tls;

  @Option(names = "--pin", paramLabel = "sha256/BASE64",
      description = "Which key the worker's certificate must have, as llm-mobile keys tells it. Default: what worker.pin in"
          + " --tls says, if it is there.")
  @Nullable String pin;

  @Option(names = "--insecure",
      description = "Without TLS, on this machine only. What is sent is encrypted all the same.")
  boolean insecure;

  @Option(names = "--codec", paramLabel = "f32|f16|int8|int4",
      description = "How hidden states travel, default f16. int8 takes half of f16's bytes, int4 a third.")
  @Nullable String codec;

  @Option(names = "--basis", paramLabel = "FILE",
      description = "Send hidden states in fewer numbers, in a basis as llm-mobile calibrate --basis-layers makes it. The"
          + " worker needs the same file.")
  @Nullable Path basis;

  @Option(names = "--keep", paramLabel = "SHARE",
      description = "How many numbers of a hidden state are kept, as a share of all, default 0.5. Needs --basis.")
  @Nullable Double keep;

  @Option(names = "--keep-dims", paramLabel = "N", description = "The same as a number. Needs --basis.")
  @Nullable Integer keepDims;

  @Option(names = "--local-fallback", paramLabel = "on|off", defaultValue = "on",
      description = "on (default) goes on here when the worker is lost; off loads only the first layers.")
  Fallback localFallback = Fallback.ON;

  /** Takes what the configuration says of a worker; what was typed goes first, and another worker is another matter. */
  void adopt(Optional<EdgeCloudConfig> section) {
    EdgeCloudConfig config = section.filter(asked -> asked.worker().isPresent()).orElse(null);
    if (config == null || worker != null) {
      return;
    }
    worker = config.worker().get();
    if (tls == null && !insecure) {
      tls = config.tls().orElse(null);
      insecure = config.insecure();
      pin = pin == null ? config.pin().orElse(null) : pin;
    }
    if (split == null && config.split() > 0) {
      split = String.valueOf(config.split());
    }
    if (codec == null) {
      codec = config.codec().orElse(null);
    }
    if (basis == null) {
      basis = config.basis().orElse(null);
      keepDims = keep == null && keepDims == null && config.keepDims() > 0 ? Integer.valueOf(config.keepDims()) : keepDims;
    }
  }

  boolean given() {
    if (worker == null && (tls != null || insecure || pin != null)) {
      throw CliException.usage("--tls, --insecure and --pin need --worker", "name the worker with --worker HOST:PORT");
    }
    if (worker == null && (basis != null || keep != null || keepDims != null)) {
      throw CliException.usage("--basis, --keep and --keep-dims need --worker", "name the worker with --worker HOST:PORT");
    }
    return worker != null;
  }

  /** Refuses and warns of what does not go together with a worker. */
  void check(CliEnvironment env, InferenceConfig config, ModelArguments models) {
    if ((tls == null) == !insecure) {
      throw CliException.usage("--worker needs either --tls DIR or --insecure",
          "llm-mobile keys DIR makes keys; --insecure is for workers on this machine");
    }
    if (pin != null && tls == null) {
      throw CliException.usage("--pin needs --tls", "without TLS there is no certificate");
    }
    if (!models.lora.isEmpty()) {
      throw CliException.usage("--lora does not go together with --worker, which has no adapters", "leave out one of them");
    }
    if (models.batch != null || models.flashAttention != ModelArguments.Attention.AUTO) {
      throw CliException.usage("--batch and --flash-attention do not go together with --worker", "leave them out");
    }
    if (config.layerCompression().isPresent() && !config.strict()) {
      Reports.warn(env, "layer compression does not act in a split session");
    }
    if (config.memoryManager().map(MemoryManagerConfig::evictionEnabled).orElse(false) && !config.strict()) {
      Reports.warn(env, "nothing is evicted in a split session");
    }
    if (insecure) {
      Reports.warn(env, "--insecure: no TLS, and nothing tells whether it is the right worker that answers");
    }
  }

  WorkerAddress address() {
    String hostPort = String.valueOf(worker);
    if (tls == null) {
      return WorkerAddress.insecure(hostPort);
    }
    WorkerAddress address = WorkerAddress.of(hostPort, KeyFolder.open(tls));
    return pin == null ? address : address.pinned(CertificatePin.parse(pin));
  }

  boolean fallsBack() {
    return localFallback == Fallback.ON;
  }

  SplitOptions options(ModelArguments models, InferenceConfig config) {
    SplitOptions.Builder options = SplitOptions.builder().split(layers()).localFallback(fallsBack())
        .policy(policy(config)).techniques(config.withoutEdgeCloud());
    if (codec != null) {
      options.codec(RowCodec.of(codec));
    }
    if (basis != null) {
      RowBasis read = RowBasis.read(basis);
      options.basis(read).keepDims(kept(read.width()));
    } else if (keep != null || keepDims != null) {
      throw CliException.usage("--keep and --keep-dims need --basis", "llm-mobile calibrate --basis-layers makes one");
    }
    return options.contextTokens(models.context == null ? 0 : models.context)
        .threads(models.threads).batchThreads(models.batchThreads).build();
  }

  private static SplitPolicy policy(InferenceConfig config) {
    EdgeCloudConfig edge = config.edgeCloud().orElseGet(() -> EdgeCloudConfig.builder().build());
    return SplitPolicy.builder().bandwidthThresholdMbps(edge.bandwidthThresholdMbps()).build();
  }

  /** Coefficients that are kept; 0 for the default. */
  private int kept(int width) {
    if (keep != null && keepDims != null) {
      throw CliException.usage("--keep and --keep-dims say the same", "leave out one of them");
    }
    if (keepDims != null && keepDims < 1) {
      throw CliException.usage("--keep-dims must be at least 1, but is " + keepDims, "");
    }
    if (keep != null && !(keep > 0 && keep <= 1)) {
      throw CliException.usage("--keep must be above 0 and at most 1, but is " + keep, "for example --keep 0.5");
    }
    return keepDims != null ? keepDims : keep != null ? (int) Math.max(1, Math.round(keep * width)) : 0;
  }

  private int layers() {
    if (split == null || split.equals("auto")) {
      return 0;
    }
    if (!split.matches("[1-9][0-9]{0,4}")) {
      throw CliException.usage("--split " + split + ": neither auto nor a number of layers", "such as --split 15");
    }
    return Integer.parseInt(split);
  }
}
