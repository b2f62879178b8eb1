package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.cli.algebra.LinearAlgebraLibrary;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.cli.privacy.PrivacyAudit;
import io.github.llmmobile.cli.privacy.TokenEmbeddings;
import io.github.llmmobile.edge.RowBasis;
import io.github.llmmobile.edge.RowCodec;
import io.github.llmmobile.edge.RowFormat;
import io.github.llmmobile.gguf.GgufFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code audit-privacy}: how much of a text its hidden states give away to whoever has the model. */
@Command(name = "audit-privacy", header = "Measure how much of a text hidden states give away.",
    description = {
      "Attacks the hidden states that a device would send to a worker, as someone who runs the worker could, and counts"
          + " the tokens that come out right. nearest: the token with the nearest embedding. regression: a linear map back"
          + " to embeddings, learnt from the first --train-tokens tokens of the text. search: what is likely after the"
          + " tokens recovered so far goes through the first layers and the codec; the one whose row fits is taken.",
      "Controls: regression counted against the tokens in another order (shuffled), and the most frequent token everywhere."
          + " Stronger attacks exist: what is not recovered here is not safe. docs/edge-cloud.md has figures.",
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile audit-privacy --text essays.txt",
      "  llm-mobile audit-privacy --model m.gguf --text essays.txt --splits 1,15,29 --codecs f32,int4 --json",
      "  llm-mobile audit-privacy --model m.gguf --text essays.txt --splits 15 --basis m.basis --keep 0.25",
    })
final class AuditPrivacyCommand implements Callable<Integer> {
  private static final int WINDOW = 512;

  private final CliEnvironment env;

  @Option(names = {"-m", "--model"}, paramLabel = "FILE",
      description = "Model (GGUF). Default: " + DefaultModel.NAME + " from the cache; see llm-mobile models.")
  @Nullable Path model;

  @Option(names = {"-f", "--text"}, required = true, paramLabel = "FILE", description = "Text to attack, UTF-8.")
  Path text = Path.of("");

  @Option(names = "--splits", paramLabel = "K,...", split = ",",
      description = "Layers that stay on the device. Default: 1, a quarter, half and three quarters of the layers, all but"
          + " one.")
  List<Integer> splits = List.of();

  @Option(names = "--codecs", paramLabel = "C,...", split = ",", defaultValue = "f32,int8,int4",
      description = "How hidden states travel: f32, f16, int8, int4; default f32,int8,int4.")
  List<String> codecs = List.of();

  @Option(names = "--basis", paramLabel = "FILE",
      description = "Attack reduced hidden states too, at the splits that this basis is for.")
  @Nullable Path basis;

  @Option(names = "--keep", paramLabel = "SHARE", defaultValue = "0.5",
      description = "How many numbers of a hidden state are kept then, as a share of all, default 0.5.")
  double keep;

  @Option(names = "--train-tokens", paramLabel = "N", defaultValue = "8192",
      description = "Tokens at the beginning of the text that the attacker learns from, default 8192.")
  int trainTokens;

  @Option(names = "--tokens", paramLabel = "N", defaultValue = "256",
      description = "Tokens after them that are attacked, default 256.")
  int tokens;

  @Option(names = "--search-tokens", paramLabel = "N", defaultValue = "32",
      description = "The first of these that are searched for, default 32; up to " + WINDOW + ". The search takes longest.")
  int searchTokens;

  @Option(names = "--guesses", paramLabel = "N", defaultValue = "64",
      description = "Likely tokens that the search tries at each position, besides 16 of the other attacks; default 64.")
  int guesses;

  @Option(names = {"-t", "--threads"}, paramLabel = "N", defaultValue = "0",
      description = "Threads. Default: one per physical core.")
  int threads;

  @Mixin CommonArguments common = new CommonArguments();

  AuditPrivacyCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    if (trainTokens < 1 || tokens < 1 || searchTokens < 1 || searchTokens > Math.min(tokens, WINDOW) || guesses < 1) {
      throw CliException.usage("--train-tokens, --tokens, --search-tokens and --guesses must be at least 1, and"
          + " --search-tokens no more than --tokens and " + WINDOW, "");
    }
    if (!(keep > 0 && keep <= 1)) {
      throw CliException.usage("--keep must be above 0 and at most 1, but is " + keep, "for example --keep 0.5");
    }
    ModelArguments file = new ModelArguments();
    file.model = model;
    Path path = file.path(env);
    String read = TextInput.file(text);
    // Our library first: it sets up what both share.
    int cores = LlmMobile.physicalCores();
    LinearAlgebraLibrary.prepare(threads > 0 ? threads : cores, DefaultModel.cacheFolder(env).resolve("openblas"));
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        ProgressBar bar = new ProgressBar(env, "audit-privacy");
        GgufFile gguf = GgufFile.open(path);
        LlmModel loaded = LlmModel.load(ModelOptions.of(path));
        LlmSession session =
            loaded.newSession(SessionOptions.builder().contextTokens(WINDOW).threads(threads).build())) {
      cancellation.watch(session);
      ModelInfo info = loaded.info();
      PrivacyAudit.Plan plan = plan(info, CalibrateCommand.tokens(loaded, read, trainTokens + tokens,
          "--train-tokens and --tokens"));
      PrivacyAudit.Outcome outcome = PrivacyAudit.measure(loaded, new TokenEmbeddings(gguf, info.embedding()),
          CalibrateCommand.residuals(session), plan, (what, fraction) -> {
            cancellation.stopIfRequested();
            bar.label(what);
            bar.update(fraction);
          });
      bar.close();
      show(outcome, path, info);
      env.flush();
      return ExitCode.OK.number();
    }
  }

  private PrivacyAudit.Plan plan(ModelInfo info, int[] all) {
    int layers = info.layers();
    List<Integer> chosen = !splits.isEmpty() ? splits
        : List.of(1, Math.max(1, layers / 4), Math.max(1, layers / 2), Math.max(1, 3 * layers / 4), layers - 1);
    if (chosen.stream().anyMatch(split -> split < 1 || split >= layers)) {
      throw CliException.usage("--splits must be from 1 to " + (layers - 1) + ", but is " + chosen, "");
    }
    RowBasis reducing = basis == null ? null : RowBasis.read(basis);
    if (reducing != null) {
      reducing.check(info);
      if (chosen.stream().noneMatch(reducing.splits()::contains)) {
        throw CliException.usage("the basis is for splits " + reducing.splits() + ", none of " + chosen, "");
      }
    }
    Map<Integer, List<RowFormat>> formats = new TreeMap<>();
    for (int split : chosen) {
      formats.put(split, formats(info, reducing, split));
    }
    return new PrivacyAudit.Plan(formats, Arrays.copyOf(all, trainTokens),
        Arrays.copyOfRange(all, trainTokens, trainTokens + tokens), searchTokens, guesses, WINDOW, threads);
  }

  private List<RowFormat> formats(ModelInfo info, @Nullable RowBasis reducing, int split) {
    List<RowFormat> formats = new ArrayList<>();
    codecs.forEach(codec -> formats.add(RowFormat.of(RowCodec.of(codec), info.embedding())));
    if (reducing != null && reducing.splits().contains(split)) {
      int dims = (int) Math.max(1, Math.min(reducing.dims(split), Math.round(keep * info.embedding())));
      codecs.forEach(codec -> formats.add(RowFormat.reduced(RowCodec.of(codec), reducing, split, dims)));
    }
    return formats;
  }

  private void show(PrivacyAudit.Outcome outcome, Path path, ModelInfo info) {
    if (common.json) {
      JsonObject json = new JsonObject();
      json.add("model", Reports.model(path, info));
      json.addProperty("tokens", tokens);
      json.addProperty("search_tokens", searchTokens);
      json.addProperty("train_tokens", trainTokens);
      json.addProperty("most_frequent_token", outcome.mostFrequent());
      JsonArray exposures = new JsonArray();
      outcome.exposures().forEach(exposure -> exposures.add(json(exposure)));
      json.add("exposures", exposures);
      env.out().println(Json.line(json));
      return;
    }
    TextTable table = new TextTable("rlrrrrr")
        .heading("split", "rows as", "bytes", "nearest", "regression", "search", "shuffled");
    outcome.exposures().forEach(exposure -> table.row(String.valueOf(exposure.split()), exposure.format().toString(),
        String.valueOf(exposure.format().recordBytes()), percent(exposure.nearest()), percent(exposure.regression()),
        percent(exposure.search()), percent(exposure.shuffled())));
    env.out().print(table.render(env.outStyle()));
    env.out().println("\ntokens recovered of " + tokens + ", by the search of the first " + searchTokens
        + "; the most frequent token everywhere: " + percent(outcome.mostFrequent()));
  }

  private static JsonObject json(PrivacyAudit.Exposure exposure) {
    JsonObject json = new JsonObject();
    json.addProperty("split", exposure.split());
    json.addProperty("codec", exposure.format().codec().toString());
    json.addProperty("keep_dims", exposure.format().keepDims());
    json.addProperty("record_bytes", exposure.format().recordBytes());
    json.addProperty("nearest", exposure.nearest());
    json.addProperty("regression", exposure.regression());
    json.addProperty("search", exposure.search());
    json.addProperty("shuffled", exposure.shuffled());
    return json;
  }

  private static String percent(double share) {
    return Units.decimal(100 * share, 1) + " %";
  }
}
