package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.PerplexityOptions;
import io.github.llmmobile.PerplexityResult;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.config.InferenceConfig;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code perplexity}: how well the model predicts a text. */
@Command(name = "perplexity", header = "Measure how well the model predicts a text.",
    description = "Same windows and scoring as llama.cpp's llama-perplexity: windows side by side, BOS in front of each"
        + " where the model wants it, the second half of each window scored. With --decode the last tokens of each window"
        + " are evaluated one by one, as when generating: only then are tokens pruned. With --save-dense the probabilities go to"
        + " a file; with --against a later run is compared with it (KL divergence, agreement of the best token).",
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile perplexity --file text.txt",
      "  llm-mobile perplexity --file text.txt --context 8192 --chunks 3 --json",
      "  llm-mobile perplexity --file text.txt --save-dense dense.bin",
      "  llm-mobile perplexity --file text.txt --against dense.bin --model smaller.gguf",
      "  llm-mobile perplexity --file text.txt --context 4096 --decode 256 --keep-ratio 0.5",
    })
final class PerplexityCommand implements Callable<Integer> {
  /** The window of llama-perplexity where none is given. */
  private static final int DEFAULT_CONTEXT = 512;

  private final CliEnvironment env;

  @Option(names = {"-f", "--file"}, required = true, paramLabel = "FILE", description = "The text, UTF-8.")
  Path file = Path.of("");

  @Option(names = "--chunks", paramLabel = "N", defaultValue = "-1",
      description = "Windows to score; -1 (default) for all. A window has --context tokens, default 512.")
  int chunks;

  @Option(names = "--decode", paramLabel = "N", defaultValue = "0",
      description = "Evaluate and score the last N tokens of each window one by one; 0 (default) for batches.")
  int decode;

  @Option(names = "--save-dense", paramLabel = "FILE", description = "Save the probabilities of every scored token.")
  @Nullable Path saveDense;

  @Option(names = "--against", paramLabel = "FILE", description = "Compare with a file of --save-dense.")
  @Nullable Path against;

  @Mixin ModelArguments models = new ModelArguments();
  @Mixin ConfigArguments configuration = new ConfigArguments();
  @Mixin CommonArguments common = new CommonArguments();

  PerplexityCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    if (saveDense != null && against != null) {
      throw CliException.usage("--save-dense and --against exclude each other", "make the saved run first");
    }
    InferenceConfig config = configuration.merged();
    String text = TextInput.file(file);
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        OpenSession open = OpenSession.open(env, models, config, DEFAULT_CONTEXT, cancellation)) {
      int[] tokens = open.model().tokenize(text, true, false);
      PerplexityResult result;
      try (ProgressBar bar = new ProgressBar(env, "perplexity")) {
        result = open.session().perplexity(tokens, options(cancellation, bar));
      }
      report(open, result);
      return ExitCode.OK.number();
    }
  }

  private PerplexityOptions options(Cancellation cancellation, ProgressBar bar) {
    PerplexityOptions.Builder options = PerplexityOptions.builder()
        .contextTokens(models.context != null ? models.context : DEFAULT_CONTEXT)
        .chunks(chunks)
        .decodeTokens(decode)
        .progress(fraction -> {
          bar.update(fraction);
          return !cancellation.requested();
        });
    if (saveDense != null) {
      options.savePath(saveDense);
    }
    if (against != null) {
      options.againstPath(against);
    }
    return options.build();
  }

  private void report(OpenSession open, PerplexityResult result) {
    if (common.json) {
      JsonObject json = json(result, Reports.techniques(open.session().techniques()));
      json.add("model", Reports.model(open.path(), open.model().info()));
      env.out().println(Json.line(json));
    } else {
      env.out().print(table(result).render(env.outStyle()));
    }
    env.flush();
  }

  private static JsonObject json(PerplexityResult result, JsonArray techniques) {
    JsonObject json = new JsonObject();
    json.add("perplexity", Json.number(result.perplexity()));
    json.add("stderr", Json.number(result.standardError()));
    json.addProperty("tokens", result.scoredTokens());
    json.add("kl_mean", Json.number(result.klMean()));
    json.add("kl_p99", Json.number(result.klP99()));
    json.add("top1_agreement", Json.number(result.top1Agreement()));
    json.add("techniques", techniques);
    json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
    return json;
  }

  private static TextTable table(PerplexityResult result) {
    TextTable table = new TextTable("ll")
        .row("perplexity", Units.decimal(result.perplexity(), 4) + " +/- " + Units.decimal(result.standardError(), 4))
        .row("tokens", result.scoredTokens() + " scored");
    if (Double.isFinite(result.klMean())) {
      table.row("KL divergence", Units.decimal(result.klMean(), 6) + " mean, " + Units.decimal(result.klP99(), 6)
              + " at the 99th percentile (nats)")
          .row("best token", Units.decimal(100 * result.top1Agreement(), 2) + " % agree");
    }
    return table;
  }
}
