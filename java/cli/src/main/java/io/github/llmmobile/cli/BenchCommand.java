package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.cli.bench.BenchPlan;
import io.github.llmmobile.cli.bench.BenchReport;
import io.github.llmmobile.cli.bench.BenchResult;
import io.github.llmmobile.cli.bench.BenchRunner;
import io.github.llmmobile.cli.bench.BenchSubject;
import io.github.llmmobile.cli.bench.BenchTokens;
import io.github.llmmobile.cli.bench.SessionSubject;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.config.InferenceConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code bench}: speed of prefill and decoding. */
@Command(name = "bench", header = "Measure the speed of prefill and decoding.",
    description = {
      "Works like llama-bench. For each depth the cache is filled once with that many random tokens (untimed), after a"
          + " warm-up. Then --repeat times: prefill of --prompt random tokens (pp), and greedy generation of --gen"
          + " tokens, one at a time, past the model's end token (tg). The cache goes back to the depth in between.",
      "What a technique saves may depend on what the model reads: --file takes the tokens from a text. --baseline measures"
          + " the same model with the same text in turn, without techniques (plain) or with the memory manager alone (paged),"
          + " and says how many times as fast as that the model is with all that is asked for.",
      "The context is the depth plus the longer of the two tests unless --context is larger. Unlike llama-bench, which"
          + " feeds random tokens and samples none, tg here contains sampling and the callback into Java.",
      "A time means little by itself: compare runs on the same machine that ran in turn, with nothing else running.",
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile bench",
      "  llm-mobile bench --depth 0,2048,8192 --repeat 5 --json",
      "  llm-mobile bench --prompt 0 --gen 64 --threads 4",
      "  llm-mobile bench --depth 0,8192 --max-memory-mb 512 --smallest-tier",
      "  llm-mobile bench --baseline=paged --depth 4096 --file essays.txt --pruning-threshold 0.01 --max-memory-mb 512",
    })
final class BenchCommand implements Callable<Integer> {
  private final CliEnvironment env;

  @Option(names = {"-d", "--depth"}, paramLabel = "N", split = ",", defaultValue = "0",
      description = "Tokens in the cache beforehand, default 0; several with commas.")
  List<Integer> depths = List.of();

  @Option(names = {"-p", "--prompt"}, paramLabel = "N", defaultValue = "512",
      description = "Tokens of prefill, default 512; 0 leaves it out.")
  int prompt;

  @Option(names = {"-g", "--gen"}, paramLabel = "N", defaultValue = "32",
      description = "Tokens to generate, default 32; 0 leaves it out.")
  int gen;

  @Option(names = {"-r", "--repeat"}, paramLabel = "N", defaultValue = "5",
      description = "Measurements of each test, default 5.")
  int repeat;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "42",
      description = "Seed of the random tokens, default 42.")
  long seed;

  @Option(names = {"-f", "--file"}, paramLabel = "FILE",
      description = "Text, UTF-8, in the place of random tokens; at its end it begins again.")
  @Nullable Path file;

  @Option(names = "--baseline", paramLabel = "plain|paged", arity = "0..1", fallbackValue = "plain",
      description = "Beside the same model without techniques, or with its pages alone, in turn.")
  @Nullable Baseline baseline;

  @Mixin ModelArguments models = new ModelArguments();
  @Mixin ConfigArguments configuration = new ConfigArguments();
  @Mixin CommonArguments common = new CommonArguments();

  /** What is measured in turn with what was asked for. */
  enum Baseline {
    plain, paged;

    InferenceConfig of(InferenceConfig config) {
      InferenceConfig.Builder baseline = InferenceConfig.builder();
      if (this == paged) {
        config.memoryManager().ifPresent(baseline::memoryManager);
      }
      return baseline.build();
    }
  }

  BenchCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    BenchPlan plan = plan();
    InferenceConfig config = configuration.merged();
    String text = file == null ? "" : TextInput.file(file);
    Path path = models.path(env);
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        LlmModel model = OpenSession.loadModel(env, models, path, cancellation)) {
      Run run = new Run(model, cancellation);
      List<IntFunction<BenchSubject>> contenders = new ArrayList<>();
      contenders.add(needed -> run.open(needed, config));
      if (baseline != null) {
        InferenceConfig without = baseline.of(config);
        contenders.add(needed -> run.subject(run.session(needed, without)));
      }
      List<BenchResult> results;
      try (ProgressBar bar = new ProgressBar(env, "bench")) {
        results = new BenchRunner(plan, tokens(model, text), contenders, System::nanoTime, (what, fraction) -> {
          bar.label(what);
          bar.update(fraction);
          cancellation.stopIfRequested();
        }).run();
      }
      Reports.warnOfTechniques(env, run.techniques);
      report(path, model.info(), plan, results, run);
      return ExitCode.OK.number();
    }
  }

  private BenchPlan plan() {
    try {
      return new BenchPlan(depths, prompt, gen, repeat);
    } catch (IllegalArgumentException e) {
      throw new CliException(ExitCode.USAGE, String.valueOf(e.getMessage()), "", e);
    }
  }

  private IntFunction<int[]> tokens(LlmModel model, String text) {
    if (file == null) {
      return BenchTokens.random(seed, model.info().vocabulary());
    }
    int[] ids = model.tokenize(text, true, false);
    if (ids.length == 0) {
      throw CliException.usage("--file " + file + " has no text", "give a file with as many words as the depth needs");
    }
    return BenchTokens.of(ids);
  }

  /** What the sessions of one run have in common. */
  private final class Run {
    private final LlmModel model;
    private final Cancellation cancellation;
    private final List<LlmSession> sessions = new CopyOnWriteArrayList<>();
    private List<TechniqueReport> techniques = List.of();
    private int threads;

    Run(LlmModel model, Cancellation cancellation) {
      this.model = model;
      this.cancellation = cancellation;
    }

    BenchSubject open(int neededTokens, InferenceConfig config) {
      LlmSession session = session(neededTokens, config);
      techniques = session.techniques();
      threads = session.stats().threads();
      return subject(session);
    }

    LlmSession session(int neededTokens, InferenceConfig config) {
      int context = models.context == null ? neededTokens : Math.max(models.context, neededTokens);
      LlmSession session = OpenSession.newSession(model, models,
          models.sessionOptions(context).toBuilder().contextTokens(context).build(), config);
      sessions.add(session);
      cancellation.watch(() -> sessions.forEach(LlmSession::cancel));
      return session;
    }

    BenchSubject subject(LlmSession session) {
      return new SessionSubject(session, Reports::cacheUse);
    }
  }

  private void report(Path path, ModelInfo info, BenchPlan plan, List<BenchResult> results, Run run) {
    if (common.json) {
      env.out().println(Json.line(json(path, info, plan, results, run)));
    } else {
      JsonObject machine = machine();
      TextTable facts = new TextTable("ll")
          .row("model", path.getFileName() + ", " + Units.count(info.parameters()) + " parameters, "
              + Units.bytes(info.sizeBytes()))
          .row("machine", machine.get("cpu").getAsString() + ", " + run.threads + " threads")
          .row("commit", BuildFacts.commit(env).orElse("unknown"))
          .row("memory", Units.bytes(Reports.peakRssBytes()) + " at its peak");
      env.out().print(facts.render(env.outStyle()) + "\n" + BenchReport.table(results).render(env.outStyle()));
    }
    env.flush();
  }

  private JsonObject json(Path path, ModelInfo info, BenchPlan plan, List<BenchResult> results, Run run) {
    JsonArray depths = new JsonArray();
    plan.depths().forEach(depths::add);
    JsonObject settings = new JsonObject();
    settings.add("depth", depths);
    settings.addProperty("prompt", plan.promptTokens());
    settings.addProperty("gen", plan.generatedTokens());
    settings.addProperty("repeat", plan.repeats());
    if (file == null) {
      settings.addProperty("seed", seed);
    } else {
      settings.addProperty("file", file.toString());
    }
    settings.addProperty("baseline", baseline == null ? null : baseline.name());
    settings.addProperty("threads", run.threads);
    settings.addProperty("flash_attention", models.flashAttention.toString());
    JsonObject json = new JsonObject();
    json.add("machine", machine());
    json.add("model", Reports.model(path, info));
    json.addProperty("commit", BuildFacts.commit(env).orElse(null));
    json.add("build", JsonParser.parseString(LlmMobile.buildInfo()));
    json.add("settings", settings);
    json.add("results", BenchReport.json(results));
    json.add("techniques", Reports.techniques(run.techniques));
    json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
    return json;
  }

  private static JsonObject machine() {
    return JsonParser.parseString(LlmMobile.systemInfo()).getAsJsonObject();
  }
}
