package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.TapRequest;
import io.github.llmmobile.cli.algebra.LinearAlgebraLibrary;
import io.github.llmmobile.cli.calibrate.CalibratedProfile;
import io.github.llmmobile.cli.calibrate.Residuals;
import io.github.llmmobile.cli.calibrate.StandIns;
import io.github.llmmobile.cli.calibrate.TrialLog;
import io.github.llmmobile.cli.calibrate.Trials;
import io.github.llmmobile.cli.compress.LayerRange;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.gguf.GgufFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code calibrate}: finds out which parts of a model's layers can be left out, and what stands in for them. */
@Command(name = "calibrate", header = "Find out which parts of a model's layers it can do without.",
    description = {
      "Reads a text, fits a small stand-in to each attention and feed-forward part, and measures how far predictions go"
          + " astray without each, and without more and more of them together. What it finds goes into a profile, with"
          + " which sessions leave parts out while they decode: llm-mobile run --layer-profile PROFILE.",
      "The first --tokens tokens of the text are for the stand-ins, the next --trial-tokens for choosing, the next"
          + " --eval-tokens for saying what the choice costs on a text that took no part in it.",
      "That takes minutes for a small model and hours for a large one. After Ctrl-C the same command goes on where it"
          + " was: OUTPUT.partial remembers. docs/layer-profile.md has method, sources and the format.",
      "With --basis-layers it makes something else of the first --tokens tokens, a basis in which hidden states travel"
          + " to a worker in fewer numbers: llm-mobile run --worker ... --basis BASIS. docs/row-basis.md has it.",
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile calibrate m.gguf --text essays.txt --output m.profile",
      "  llm-mobile calibrate m.gguf --text essays.txt --output m.profile --html m.html --depth 8192",
      "  llm-mobile run --model m.gguf --layer-profile m.profile --kl-budget 0.05 \"Why is the sky blue?\"",
      "  llm-mobile calibrate m.gguf --text essays.txt --output m.basis --basis-layers 15",
    })
final class CalibrateCommand implements Callable<Integer> {
  private static final int WINDOW = 512;
  private static final long MOMENT_BYTES = 1L << 30;
  /** Of the bar: reading and fitting, and the whole model's predictions. */
  private static final double FITTED = 0.1;
  private static final double BEGUN = 0.13;

  private final CliEnvironment env;

  @Parameters(paramLabel = "MODEL", description = "Model (GGUF).")
  Path model = Path.of("");

  @Option(names = {"-f", "--text"}, required = true, paramLabel = "FILE",
      description = "Text like those that the model will read, UTF-8.")
  Path text = Path.of("");

  @Option(names = {"-o", "--output"}, required = true, paramLabel = "FILE", description = "The profile, or the basis.")
  Path output = Path.of("");

  @Option(names = "--html", paramLabel = "FILE", description = "Plots and tables as a page that loads nothing.")
  @Nullable Path html;

  @Option(names = "--basis-layers", paramLabel = "K,...", split = ",",
      description = "Make a basis for these splits, and no profile. Of the other options --text, --output, --tokens,"
          + " --eval-tokens and --threads count.")
  List<Integer> basisLayers = List.of();

  @Option(names = "--layers", paramLabel = "A:B",
      description = "Leave out only parts of layers A to B - 1, such as 6:12, which takes less time. Default: all.")
  @Nullable String layers;

  @Option(names = "--ranks", paramLabel = "R,...", split = ",", defaultValue = "8,64",
      description = "Ranks of the stand-ins, default 8,64; 0 for none. The greatest one chooses; with each of them the"
          + " choice is measured.")
  List<Integer> ranks = List.of();

  @Option(names = "--parts", paramLabel = "N",
      description = "The most parts that can be left out together, default 12.")
  int parts = 12;

  @Option(names = "--max-kl", paramLabel = "X",
      description = "Stop adding parts before their divergence is above this, default 0.5.")
  double maxKl = 0.5;

  @Option(names = "--depth", paramLabel = "N",
      description = "Length of the contexts for which work is weighed, default 1024: the longer, the more the attention"
          + " parts save.")
  int depth = 1024;

  @Option(names = "--tokens", paramLabel = "N",
      description = "Tokens of the text that the stand-ins are fitted to, default 10000.")
  int tokens = 10000;

  @Option(names = "--trial-tokens", paramLabel = "N",
      description = "Tokens after them by which parts are chosen, default 2048.")
  int trialTokens = 2048;

  @Option(names = "--eval-tokens", paramLabel = "N",
      description = "Tokens after them by which the choice is measured, default 4096.")
  int evalTokens = 4096;

  @Option(names = {"-t", "--threads"}, paramLabel = "N", defaultValue = "0",
      description = "Threads. Default: one per physical core.")
  int threads;

  @Mixin CommonArguments common = new CommonArguments();

  CalibrateCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() throws IOException {
    checkOptions();
    ranks = ranks.stream().sorted().distinct().toList();
    String read = TextInput.file(text);
    // Our library first: it sets up what both share.
    int cores = LlmMobile.physicalCores();
    LinearAlgebraLibrary.prepare(threads > 0 ? threads : cores, DefaultModel.cacheFolder(env).resolve("openblas"));
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        ProgressBar bar = new ProgressBar(env, "calibrate");
        StagedFiles files = new StagedFiles();
        GgufFile file = GgufFile.open(model);
        LlmModel loaded = LlmModel.load(ModelOptions.of(model));
        LlmSession session =
            loaded.newSession(SessionOptions.builder().contextTokens(WINDOW).threads(threads).build())) {
      cancellation.watch(session);
      if (!basisLayers.isEmpty()) {
        BasisCalibration made = basis(loaded, session, read, cancellation, bar, files);
        bar.close();
        files.commit();
        show(made, loaded.info());
        env.flush();
        return ExitCode.OK.number();
      }
      CalibratedProfile profile = measure(file, loaded, session, read, cancellation, bar, files);
      bar.close();
      profile.write(files.forTarget(output), loaded.info().fingerprint(), name(loaded.info()));
      if (html != null) {
        Files.writeString(files.forTarget(html), profile.html(name(loaded.info())));
      }
      files.commit();
      Files.deleteIfExists(partial());
      show(profile, loaded.info());
      env.flush();
      return ExitCode.OK.number();
    }
  }

  private void checkOptions() {
    ModelFiles.requireModel(model);
    if (tokens < WINDOW || trialTokens < 2 * WINDOW || evalTokens < 2 * WINDOW) {
      throw CliException.usage("--tokens must be at least " + WINDOW + ", --trial-tokens and --eval-tokens at least "
          + 2 * WINDOW, "");
    }
    if (ranks.isEmpty() || ranks.stream().anyMatch(rank -> rank < 0)) {
      throw CliException.usage("--ranks must be numbers from 0 on, but is " + ranks, "for example --ranks 8,64");
    }
    if (parts < 1 || depth < 0 || !(maxKl > 0)) {
      throw CliException.usage("--parts must be at least 1, --depth at least 0 and --max-kl above 0", "");
    }
    for (Path file : html == null ? List.of(output) : List.of(output, html)) {
      ModelFiles.requireFolder(file, "name a file in a folder that exists");
    }
  }

  private BasisCalibration basis(LlmModel loaded, LlmSession session, String read, Cancellation cancellation,
      ProgressBar bar, StagedFiles files) throws IOException {
    ModelInfo info = loaded.info();
    BasisCalibration.check(basisLayers, info.layers());
    int[] all = tokens(loaded, read, tokens + evalTokens, "--tokens and --eval-tokens");
    JsonObject settings = new JsonObject();
    settings.addProperty("version", LlmMobile.version());
    settings.addProperty("text_sha256", sha256(read));
    settings.addProperty("window", WINDOW);
    settings.addProperty("tokens", tokens);
    return BasisCalibration.run(residuals(session), info, name(info), basisLayers, Arrays.copyOf(all, tokens),
        Arrays.copyOfRange(all, tokens, tokens + evalTokens), WINDOW, files.forTarget(output), settings,
        (what, fraction) -> step(cancellation, bar, what, fraction));
  }

  /** The tokens of a text, which must have enough of them. */
  static int[] tokens(LlmModel loaded, String read, int needed, String options) {
    int[] all = loaded.tokenize(read, true, false);
    if (all.length < needed) {
      throw CliException.usage("the text has only " + all.length + " tokens; " + needed + " are needed",
          "name a longer text, or lower " + options);
    }
    return all;
  }

  private Path partial() {
    return output.resolveSibling(output.getFileName() + ".partial");
  }

  private CalibratedProfile measure(GgufFile file, LlmModel loaded, LlmSession session, String read,
      Cancellation cancellation, ProgressBar bar, StagedFiles files) {
    ModelInfo info = loaded.info();
    int greatest = ranks.get(ranks.size() - 1);
    if (greatest > info.embedding()) {
      throw CliException.usage("--ranks has " + greatest + ", but the model is only " + info.embedding() + " wide", "");
    }
    int needed = tokens + trialTokens + evalTokens;
    int[] all = tokens(loaded, read, needed, "--tokens, --trial-tokens and --eval-tokens");
    LayerRange range = CompressCommand.range(layers);
    int[] skippable = Arrays.stream(session.skippableParts()).filter(part -> range.contains(part / 2)).toArray();
    if (skippable.length == 0) {
      throw new CliException(ExitCode.NOT_AVAILABLE, "the model has no parts that can be left out",
          "it has less than three layers, or an architecture whose layers cannot be told apart, or --layers names others");
    }
    JsonObject settings = settings(info, read);
    TrialLog log = TrialLog.open(partial(), settings.toString());
    if (log.size() > 0) {
      Reports.note(env, "going on with " + log.size() + " trials of " + partial());
    }
    StandIns standIns = StandIns.fit(residuals(session), skippable, info.embedding(), Math.max(1, greatest),
        Arrays.copyOf(all, tokens), WINDOW, MOMENT_BYTES, (what, fraction) ->
            step(cancellation, bar, what, FITTED * fraction));
    Trials trials = new Trials(session, residuals(session), info, standIns, log, WINDOW, cancellation::requested);
    int[] choice = Arrays.copyOfRange(all, tokens, tokens + trialTokens);
    step(cancellation, bar, "the whole model", FITTED);
    trials.begin(Trials.Text.CHOICE, choice, files.beside(output, "choice"));
    trials.begin(Trials.Text.STEPS, choice, files.beside(output, "steps"));
    trials.begin(Trials.Text.HELD_OUT, Arrays.copyOfRange(all, tokens + trialTokens, needed),
        files.beside(output, "held-out"));
    CalibratedProfile.Plan plan = new CalibratedProfile.Plan(info.layers(), info.embedding(), ranks, depth, parts, maxKl);
    return CalibratedProfile.measure(plan, file, skippable, trials, standIns, settings, (what, fraction) ->
        step(cancellation, bar, what, BEGUN + (1 - BEGUN) * fraction));
  }

  private static void step(Cancellation cancellation, ProgressBar bar, String what, double fraction) {
    cancellation.stopIfRequested();
    bar.label(what);
    bar.update(fraction);
  }

  /** What a session passes on from layer to layer. */
  static Residuals residuals(LlmSession session) {
    return (words, places, rows) -> {
      TapRequest request = TapRequest.create();
      places.forEach(request::place);
      session.taps(words, request, rows);
    };
  }

  /** All that the outcomes depend on, but for the machine. */
  private JsonObject settings(ModelInfo info, String read) {
    JsonObject settings = new JsonObject();
    settings.addProperty("version", LlmMobile.version());
    settings.addProperty("fingerprint", info.fingerprint());
    settings.addProperty("text_sha256", sha256(read));
    settings.addProperty("window", WINDOW);
    settings.addProperty("tokens", tokens);
    settings.addProperty("trial_tokens", trialTokens);
    settings.addProperty("eval_tokens", evalTokens);
    JsonArray list = new JsonArray();
    ranks.forEach(list::add);
    settings.add("ranks", list);
    settings.addProperty("parts", parts);
    settings.addProperty("max_kl", maxKl);
    settings.addProperty("depth", depth);
    if (layers != null) {
      settings.addProperty("layers", layers);
    }
    return settings;
  }

  private static String sha256(String read) {
    try {
      return HexFormat.of()
          .formatHex(MessageDigest.getInstance("SHA-256").digest(read.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  private String name(ModelInfo info) {
    return info.name().orElse(model.getFileName().toString());
  }

  private void show(BasisCalibration made, ModelInfo info) {
    if (common.json) {
      JsonObject json = new JsonObject();
      json.add("model", Reports.model(model, info));
      json.add("reductions", made.json());
      json.addProperty("output", output.toString());
      json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
      env.out().println(Json.line(json));
      return;
    }
    env.out().print(made.table().render(env.outStyle()));
    env.out().println("\nbasis: " + output);
  }

  private void show(CalibratedProfile profile, ModelInfo info) {
    if (common.json) {
      JsonObject json = new JsonObject();
      json.add("model", Reports.model(model, info));
      json.add("profile", profile.data());
      json.addProperty("output", output.toString());
      json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
      env.out().println(Json.line(json));
      return;
    }
    env.out().print(profile.table().render(env.outStyle()));
    env.out().println("\nDivergence per unit of work saved; leaving parts out of every step is 1:");
    env.out().print(profile.gateTable().render(env.outStyle()));
    env.out().println("\nhot path: layers " + profile.data().get("hot_path"));
    env.out().println("profile: " + output);
    if (html != null) {
      env.out().println("page: " + html);
    }
  }
}
