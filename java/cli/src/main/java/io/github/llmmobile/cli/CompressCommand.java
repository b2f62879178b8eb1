package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.cli.ModelMeter.Reading;
import io.github.llmmobile.cli.algebra.LinearAlgebraLibrary;
import io.github.llmmobile.cli.compress.Compensation;
import io.github.llmmobile.cli.compress.LayerRange;
import io.github.llmmobile.cli.compress.Replacement;
import io.github.llmmobile.cli.compress.TextCalibration;
import io.github.llmmobile.cli.compress.Weights;
import io.github.llmmobile.cli.compress.Work;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.TensorType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code compress}: makes a model smaller with low-rank factors, and says what that costs. */
@Command(name = "compress", header = "Make a model smaller with low-rank factors.",
    description = {
      "compensate stores the matrices of the layers in a smaller type (--base-type) and writes factors of a low rank that"
          + " add what was lost, as a LoRA adapter: llm-mobile run --model BASE --lora OUTPUT. The adapter belongs to"
          + " that base model and no other.",
      "replace puts factors of a low rank in the place of matrices. That saves only below a rank of n m / (n + m), and"
          + " costs small models far more than a smaller type would. Such models run here alone; with --densify the"
          + " factors are multiplied out again, so that the model runs everywhere, without being smaller.",
      "bypass makes stand-ins of a low rank for whole parts of layers, and measures which parts can be left out for them:"
          + " it is llm-mobile calibrate with one rank, and writes its profile.",
      "What counts as near is what the matrices make of a text (--text): its first --tokens tokens show what goes into"
          + " them, the next --eval-tokens are predicted before and after for the report.",
      "Ctrl-C leaves nothing behind. docs/compression.md has method, sources and figures.",
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile compress m.gguf --mode compensate --rank 8 --base-type Q4_0 \\",
      "      --text essays.txt --output m-r8.gguf",
      "  llm-mobile compress m.gguf --mode replace --target-size 0.9 \\",
      "      --text essays.txt --output m-90.gguf --json",
      "  llm-mobile compress m.gguf --mode bypass --rank 64 --layers 5:9 --text essays.txt --output m.profile",
    })
final class CompressCommand implements Callable<Integer> {
  /** What is done with the factors. */
  enum Mode {
    COMPENSATE, REPLACE, BYPASS;

    /** As it is typed. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** How matrices are rounded. */
  enum Rounding {
    CALIBRATED, NEAREST;

    /** As it is typed. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private static final int WINDOW = 512;
  private static final int DEFAULT_RANK = 8;
  private static final int DEFAULT_BYPASS_RANK = 64;
  /** A perplexity so many times that of the original is that of a broken model. */
  private static final double BROKEN = 2;
  private static final long MOMENT_BYTES = 1L << 30;

  private final CliEnvironment env;

  @Parameters(paramLabel = "MODEL", description = "Model (GGUF).")
  Path model = Path.of("");

  @Option(names = "--mode", required = true, paramLabel = "MODE",
      description = "compensate: add what a smaller type loses. replace: stand in for matrices. bypass: stand in for parts of"
          + " layers.")
  Mode mode = Mode.COMPENSATE;

  @Option(names = {"-r", "--rank"}, paramLabel = "R",
      description = "Rank of the factors. With compensate default 8, with bypass 64; with replace either this or"
          + " --target-size.")
  @Nullable Integer rank;

  @Option(names = "--target-size", paramLabel = "X",
      description = "With replace: size of the file with factors as a share of the size before, such as 0.9; ranks go"
          + " where they lose least.")
  @Nullable Double targetSize;

  @Option(names = "--layers", paramLabel = "A:B",
      description = "Only layers A to B - 1, such as 2:28. Default: all; with replace all but the first and the last.")
  @Nullable String layers;

  @Option(names = "--base-type", paramLabel = "TYPE",
      description = "Type of the matrices, such as Q4_0 or Q2_0. Needed with compensate; default with replace: as they"
          + " are.")
  @Nullable TensorType baseType;

  @Option(names = "--matrices", paramLabel = "N",
      description = "With compensate: only the N matrices that gain most get factors; each one with factors takes time"
          + " in every step. Default: all.")
  int matrices = Integer.MAX_VALUE;

  @Option(names = "--rounding", paramLabel = "calibrated|nearest", defaultValue = "calibrated",
      description = "With compensate: how Q4_0 and Q2_0 are rounded: so that the outputs of the matrices change least"
          + " (default), or each number for itself. Other types always for themselves.")
  Rounding rounding = Rounding.CALIBRATED;

  @Option(names = "--factor-type", paramLabel = "TYPE",
      description = "With compensate: type of the factors. Default: Q8_0 if the rank is a multiple of 32, else F16.")
  @Nullable TensorType factorType;

  @Option(names = {"-f", "--text"}, required = true, paramLabel = "FILE",
      description = "Text like those that the model will read, UTF-8.")
  Path text = Path.of("");

  @Option(names = "--tokens", paramLabel = "N", defaultValue = "10000",
      description = "Tokens of the text that show what goes into the matrices, default 10000.")
  int tokens;

  @Option(names = "--eval-tokens", paramLabel = "N", defaultValue = "4096",
      description = "Tokens after them that are predicted for the report, default 4096.")
  int evalTokens;

  @Option(names = "--densify", description = "With replace: multiply the factors out again.")
  boolean densify;

  @Option(names = {"-o", "--output"}, required = true, paramLabel = "FILE",
      description = "With compensate the adapter, with replace the model, with bypass the profile.")
  Path output = Path.of("");

  @Option(names = "--base-output", paramLabel = "FILE",
      description = "With compensate: the base model. Default: OUTPUT with -base before the ending.")
  @Nullable Path baseOutput;

  @Option(names = "--bench", description = "Time decoding before and after as well.")
  boolean bench;

  @Option(names = {"-t", "--threads"}, paramLabel = "N", defaultValue = "0",
      description = "Threads. Default: one per physical core.")
  int threads;

  @Mixin CommonArguments common = new CommonArguments();

  CompressCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() throws IOException {
    if (mode == Mode.BYPASS) {
      return bypass().call();
    }
    checkOptions();
    LayerRange range = range(layers);
    ModelFiles.requireModel(model);
    String read = TextInput.file(text);
    // Our library first: it sets up what both share.
    int cores = LlmMobile.physicalCores();
    LinearAlgebraLibrary.prepare(threads > 0 ? threads : cores, DefaultModel.cacheFolder(env).resolve("openblas"));
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        ProgressBar bar = new ProgressBar(env, "compress");
        StagedFiles files = new StagedFiles();
        GgufFile file = GgufFile.open(model)) {
      if (file.metadata().containsKey("split.count")) {
        throw new CliException(ExitCode.NOT_AVAILABLE, "models in several files cannot be compressed", "");
      }
      LayerRange chosen = layers == null && mode == Mode.REPLACE ? Weights.innerLayers(file) : range;
      Report report = new Run(model, file, Weights.of(file, chosen), read, cancellation, bar, files).run();
      bar.close();
      show(report);
      files.commit();
      env.flush();
      return ExitCode.OK.number();
    }
  }

  /** Stand-ins for parts of layers are part of a profile, which another command makes. */
  private CalibrateCommand bypass() {
    if (targetSize != null || baseType != null || baseOutput != null || factorType != null || densify || bench
        || matrices != Integer.MAX_VALUE) {
      throw CliException.usage("--mode bypass has --rank, --layers, --tokens, --eval-tokens and --threads, and no other"
          + " options", "llm-mobile calibrate has more");
    }
    CalibrateCommand command = new CalibrateCommand(env);
    command.model = model;
    command.text = text;
    command.output = output;
    command.layers = layers;
    command.ranks = List.of(rank == null ? DEFAULT_BYPASS_RANK : rank);
    command.tokens = tokens;
    command.evalTokens = evalTokens;
    command.threads = threads;
    command.common = common;
    return command;
  }

  private void checkOptions() {
    if (mode == Mode.COMPENSATE) {
      if (baseType == null) {
        throw CliException.usage("--mode compensate needs --base-type, the type whose loss is to be compensated",
            "for example --base-type Q4_0");
      }
      if (targetSize != null || densify) {
        throw CliException.usage("--target-size and --densify belong to --mode replace", "");
      }
    } else if ((rank == null) == (targetSize == null)) {
      throw CliException.usage("--mode replace needs either --rank or --target-size", "");
    } else if (baseOutput != null || factorType != null) {
      throw CliException.usage("--base-output and --factor-type belong to --mode compensate", "");
    }
    if (targetSize != null && !(targetSize > 0 && targetSize < 1)) {
      throw CliException.usage("--target-size must be between 0 and 1, but is " + targetSize, "");
    }
    if (tokens < WINDOW || evalTokens < 2 * WINDOW) {
      throw CliException.usage("--tokens must be at least " + WINDOW + " and --eval-tokens at least " + 2 * WINDOW, "");
    }
    ModelFiles.requireFolder(output, "--output names a file in a folder that exists");
  }

  private int compensationRank() {
    return rank == null ? DEFAULT_RANK : rank;
  }

  /** Layers as they are typed, all of them if they are not. */
  static LayerRange range(@Nullable String layers) {
    try {
      return layers == null ? LayerRange.ALL : LayerRange.parse(layers);
    } catch (IllegalArgumentException e) {
      throw new CliException(ExitCode.USAGE, String.valueOf(e.getMessage()), "", e);
    }
  }

  private Path basePath() {
    if (baseOutput != null) {
      return baseOutput;
    }
    String name = output.getFileName().toString();
    int dot = name.lastIndexOf('.');
    return output.resolveSibling(dot > 0 ? name.substring(0, dot) + "-base" + name.substring(dot) : name + "-base");
  }

  /** What came out: the readings, and facts for the table and the JSON. */
  private static final class Report {
    private final ModelInfo info;
    private final Path path;
    private final boolean sourceQuantised;
    private final Reading original;
    private @Nullable Reading base;
    private @Nullable Reading result;
    /** With compensate: share of the error in the outputs that is left; with replace: that is lost. */
    private double outputError;
    private long factorBytes;
    private int replaced;
    private int matrices;
    private boolean evaluatedOnCalibration;
    private final JsonArray ranks = new JsonArray();

    Report(Path path, ModelInfo info, boolean sourceQuantised, Reading original) {
      this.path = path;
      this.info = info;
      this.sourceQuantised = sourceQuantised;
      this.original = original;
    }

    Reading result() {
      if (result == null) {
        throw new IllegalStateException("nothing was measured");
      }
      return result;
    }

    boolean broken() {
      return !(result().quality().perplexity() <= BROKEN * original.quality().perplexity());
    }

    /** Share of the divergence that the base model has and the result has not. */
    double recovered() {
      return base == null ? Double.NaN : 1 - result().quality().klMean() / base.quality().klMean();
    }
  }

  /** One run from the model to its report. */
  private final class Run {
    private final Path path;
    private final GgufFile file;
    private final List<GgufTensor> weights;
    private final String read;
    private final Cancellation cancellation;
    private final ProgressBar bar;
    private final StagedFiles files;

    Run(Path path, GgufFile file, List<GgufTensor> weights, String read, Cancellation cancellation, ProgressBar bar,
        StagedFiles files) {
      this.path = path;
      this.file = file;
      this.weights = weights;
      this.read = read;
      this.cancellation = cancellation;
      this.bar = bar;
      this.files = files;
    }

    Report run() {
      try (LlmModel source = LlmModel.load(ModelOptions.of(path));
          LlmSession session =
              source.newSession(SessionOptions.builder().contextTokens(WINDOW).threads(threads).build())) {
        cancellation.watch(session);
        int[] all = source.tokenize(read, true, false);
        boolean apart = all.length >= tokens + evalTokens;
        if (!apart && all.length < 2 * WINDOW) {
          throw CliException.usage("the text has only " + all.length + " tokens; at least " + 2 * WINDOW
              + " are needed", "");
        }
        int[] evaluated = apart ? Arrays.copyOfRange(all, tokens, tokens + evalTokens)
            : Arrays.copyOfRange(all, Math.max(0, all.length - evalTokens), all.length);
        ModelMeter meter = new ModelMeter(evaluated, WINDOW, threads, bench, cancellation);
        Path predictions = files.beside(output, "predictions");
        Reading original = meter.read(path, size(path), null, predictions, null, stage("original", 0, 0.1)::onFraction);
        Report report = new Report(path, source.info(), Weights.quantised(weights), original);
        report.evaluatedOnCalibration = !apart;
        report.matrices = weights.size();
        int[] shown = Arrays.copyOf(all, Math.min(all.length, tokens));
        try (TextCalibration calibration = new TextCalibration(InputTaps.of(session), weights, shown, WINDOW,
            mode == Mode.REPLACE, MOMENT_BYTES, stage("", 0.1, 0.3)::onStep)) {
          if (mode == Mode.COMPENSATE) {
            compensate(calibration, meter, predictions, report);
          } else {
            replace(calibration, meter, predictions, report);
          }
        }
        return report;
      }
    }

    private void compensate(TextCalibration calibration, ModelMeter meter, Path predictions, Report report) {
      Compensation work = new Compensation(file, weights, calibration, compensationRank(), matrices);
      Path base = files.forTarget(basePath());
      work.writeBase(base, Objects.requireNonNull(baseType), rounding == Rounding.CALIBRATED, factorType,
          stage("", 0.3, 0.8)::onStep);
      report.base = meter.read(base, size(base), null, null, predictions, stage("base", 0.8, 0.9)::onFraction);
      Path adapter = files.forTarget(output);
      work.writeAdapter(adapter, fingerprint(base));
      report.outputError = work.remainingError();
      report.factorBytes = work.factorBytes();
      report.result = meter.read(base, size(base) + size(adapter), adapter, null, predictions,
          stage("base with adapter", 0.9, 1)::onFraction);
    }

    private void replace(TextCalibration calibration, ModelMeter meter, Path predictions, Report report) {
      Replacement work = new Replacement(file, weights, calibration, baseType);
      int[] ranks = targetSize != null
          ? work.within(targetSize, stage("", 0.3, 0.5)::onStep)
          : work.uniform(Objects.requireNonNull(rank));
      for (int i = 0; i < ranks.length; i++) {
        JsonObject entry = new JsonObject();
        entry.addProperty("weight", weights.get(i).name());
        entry.addProperty("rank", ranks[i]);
        report.ranks.add(entry);
        report.replaced += ranks[i] > 0 ? 1 : 0;
      }
      report.factorBytes = work.bytes(ranks);
      Path written = files.forTarget(output);
      Work writing = stage("", 0.5, 0.9)::onStep;
      report.outputError =
          densify ? work.writeDense(written, ranks, writing) : work.writeFactors(written, ranks, writing);
      report.result = meter.read(written, size(written), null, null, predictions, stage("result", 0.9, 1)::onFraction);
    }

    private Stage stage(String label, double from, double to) {
      return new Stage(label, from, to);
    }

    /** A part of the bar. Each step looks whether the user wants to stop. */
    private final class Stage implements Work {
      private final String label;
      private final double from;
      private final double to;

      Stage(String label, double from, double to) {
        this.label = label;
        this.from = from;
        this.to = to;
      }

      void onFraction(double fraction) {
        onStep(label, fraction);
      }

      @Override
      public void onStep(String what, double fraction) {
        cancellation.stopIfRequested();
        bar.label(what);
        bar.update(from + fraction * (to - from));
      }
    }
  }

  private static String fingerprint(Path file) {
    try (LlmModel model = LlmModel.load(ModelOptions.builder().path(file).vocabOnly(true).build())) {
      return model.info().fingerprint();
    }
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw new CliException(ExitCode.RUNTIME, "cannot read " + file + ": " + e.getMessage(), "", e);
    }
  }

  private void show(Report report) {
    if (report.sourceQuantised) {
      Reports.warn(env, "the model's matrices are quantised already; their values are taken as the original");
    }
    if (report.evaluatedOnCalibration) {
      Reports.warn(env, "the text is too short to measure on other tokens than those that were calibrated on");
    }
    if (report.broken()) {
      Reports.warn(env, "the perplexity more than doubled: the model that is written is broken");
    }
    if (common.json) {
      env.out().println(Json.line(json(report)));
      return;
    }
    TextTable table = new TextTable("lrrrrr").heading("", "size", "perplexity", "KL", "best token", "tokens/s");
    row(table, "original", report.original);
    if (report.base != null) {
      row(table, baseType + " alone", report.base);
    }
    row(table, mode == Mode.COMPENSATE ? baseType + " with factors" : "with factors", report.result());
    env.out().print(table.render(env.outStyle()));
    TextTable facts = new TextTable("ll");
    if (report.base != null) {
      facts.row("recovered", Units.decimal(100 * report.recovered(), 1) + " % of the divergence")
          .row("error left", Units.decimal(100 * report.outputError, 1) + " % in the outputs of the matrices")
          .row("factors", Units.bytes(report.factorBytes))
          .row("base model", basePath().toString())
          .row("adapter", output.toString());
    } else {
      facts.row("replaced", report.replaced + " of " + report.matrices + " matrices")
          .row("error", Units.decimal(100 * report.outputError, 1) + " % in their outputs")
          .row("as factors", Units.bytes(report.factorBytes))
          .row("model", output + (densify ? ", multiplied out" : ""));
    }
    env.out().print("\n" + facts.render(env.outStyle()));
  }

  private static void row(TextTable table, String name, Reading reading) {
    boolean compared = Double.isFinite(reading.quality().klMean());
    table.row(name, Units.bytes(reading.bytes()), Units.decimal(reading.quality().perplexity(), 3),
        compared ? Units.decimal(reading.quality().klMean(), 4) : "",
        compared ? Units.decimal(100 * reading.quality().top1Agreement(), 1) + " %" : "",
        Double.isFinite(reading.tokensPerSecond()) ? Units.decimal(reading.tokensPerSecond(), 1) : "");
  }

  private JsonObject json(Report report) {
    JsonObject settings = new JsonObject();
    settings.addProperty("mode", mode.toString());
    settings.addProperty("rank", mode == Mode.COMPENSATE ? Integer.valueOf(compensationRank()) : rank);
    settings.addProperty("target_size", targetSize);
    settings.addProperty("layers", layers);
    settings.addProperty("base_type", baseType == null ? null : baseType.name());
    settings.addProperty("matrices", matrices == Integer.MAX_VALUE ? null : Integer.valueOf(matrices));
    settings.addProperty("rounding", rounding.toString());
    settings.addProperty("factor_type", factorType == null ? null : factorType.name());
    settings.addProperty("tokens", tokens);
    settings.addProperty("eval_tokens", evalTokens);
    settings.addProperty("densify", densify);
    JsonObject json = new JsonObject();
    json.add("model", Reports.model(report.path, report.info));
    json.add("settings", settings);
    json.addProperty("source_quantised", report.sourceQuantised);
    json.addProperty("evaluated_on_calibration", report.evaluatedOnCalibration);
    json.add("original", report.original.json());
    json.add("base", report.base == null ? null : report.base.json());
    json.add("result", report.result().json());
    json.add("kl_recovered", Json.number(report.recovered()));
    json.add("output_error", Json.number(report.outputError));
    json.addProperty("factor_bytes", report.factorBytes);
    json.addProperty("broken", report.broken());
    json.add("ranks", report.ranks);
    json.addProperty("output", output.toString());
    json.addProperty("base_output", mode == Mode.COMPENSATE ? basePath().toString() : null);
    json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
    return json;
  }
}
