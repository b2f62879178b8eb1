package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.needle.Filler;
import io.github.llmmobile.cli.needle.NeedleEngine;
import io.github.llmmobile.cli.needle.NeedlePlan;
import io.github.llmmobile.cli.needle.NeedlePrompt;
import io.github.llmmobile.cli.needle.NeedlePrompts;
import io.github.llmmobile.cli.needle.NeedleReport;
import io.github.llmmobile.cli.needle.NeedleResult;
import io.github.llmmobile.cli.needle.NeedleRunner;
import io.github.llmmobile.cli.needle.SessionEngine;
import io.github.llmmobile.config.InferenceConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code needle}: whether a fact in a long text is still found. */
@Command(name = "needle", header = "Measure whether a fact hidden in a long text is still found.",
    description = {
      "For each filler and depth a new session reads a text of --tokens tokens in which a sentence tells a secret number"
          + " of five digits. Then --gap tokens of further text are evaluated one by one, as when generating, so that"
          + " token pruning and quantised pages have their effect before the question comes. The question is read in"
          + " one step, and the opening of the answer one by one.",
      "The margin is the log-probability of the right number minus that of the best of nine wrong ones, in nats, all with"
          + " the same number of tokens, which are evaluated one by one. The fact is found if the margin is above 0.",
      "With --baseline the same is measured first without the techniques of the configuration (dense). Kept are those of"
          + " the facts found there that are found with them.",
      "Ctrl-C ends the run with a report of what is done so far.",
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile needle --tokens 2000",
      "  llm-mobile needle --filler essay,noise,repeat --depths 10,50,90 --json",
      "  llm-mobile needle --filler-file book.txt --order question-aware",
      "  llm-mobile needle --baseline --max-memory-mb 64 --smallest-tier",
      "  llm-mobile needle --baseline --page-size 32 --pruning-threshold 0.01 --gap 256",
    })
final class NeedleCommand implements Callable<Integer> {
  private static final String DEFAULT_FILLER = "essay";

  private final CliEnvironment env;

  @Option(names = "--tokens", paramLabel = "N", defaultValue = "4096",
      description = "Tokens of the text with the fact in it, default 4096.")
  int tokens;

  @Option(names = "--depths", paramLabel = "PERCENT", split = ",", defaultValue = "5,15,25,35,45,55,65,75,85,95",
      description = "Where the fact is, in per cent of the text; several with commas. Default: ten depths,"
          + " 5,15,...,95.")
  List<Integer> depths = List.of();

  @Option(names = "--filler", paramLabel = "NAME", split = ",",
      description = "Text around the fact: essay (prose), noise (random common words) or repeat (the same few sentences);"
          + " several with commas. Default: essay, or none with --filler-file.")
  @Nullable List<String> fillers;

  @Option(names = "--filler-file", paramLabel = "FILE",
      description = "A text of your own around the fact, UTF-8; it starts over where it is too short.")
  @Nullable Path fillerFile;

  @Option(names = "--gap", paramLabel = "N", defaultValue = "64",
      description = "Tokens of further text that are evaluated one by one before the question, default 64.")
  int gap;

  @Option(names = "--order", paramLabel = "question-last|question-aware", defaultValue = "question-last",
      description = "Whether the question comes only after the text (default), or stands before it as well.")
  NeedlePlan.Order order = NeedlePlan.Order.QUESTION_LAST;

  @Option(names = "--opening", paramLabel = "decoded|prompt", defaultValue = "decoded",
      description = "How the opening of the answer (\"The secret code of the harbour is\") is evaluated: one by one as if"
          + " the model had written it (default), or in one step with the question. The steps right after a prompt test"
          + " all that was pruned, so that with prompt pruning hardly takes part in the answer.")
  NeedlePlan.Opening opening = NeedlePlan.Opening.DECODED;

  @Option(names = "--baseline", description = "Measure without the techniques first, and compare.")
  boolean baseline;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "42",
      description = "Seed of texts and numbers, default 42.")
  long seed;

  @Mixin ModelArguments models = new ModelArguments();
  @Mixin ConfigArguments configuration = new ConfigArguments();
  @Mixin CommonArguments common = new CommonArguments();

  NeedleCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    NeedlePlan plan = checked(() -> new NeedlePlan(tokens, depths, gap, order, opening, seed));
    List<Filler> texts = checked(this::fillers);
    InferenceConfig config = configuration.merged();
    if (baseline && !hasTechnique(config)) {
      throw CliException.usage("--baseline compares with a configured technique, but none is configured",
          "leave it out, or configure one, for example with --max-memory-mb");
    }
    Path path = models.path(env);
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        LlmModel model = OpenSession.loadModel(env, models, path, cancellation)) {
      List<NeedlePrompt> prompts =
          checked(() -> NeedlePrompts.build(plan, texts, (text, start) -> model.tokenize(text, start, false)));
      Run run = new Run(model, prompts, cancellation);
      boolean complete = run.all(config);
      Reports.warnOfTechniques(env, run.techniques);
      report(path, model, plan, texts, run, complete);
      return (complete ? ExitCode.OK : ExitCode.INTERRUPTED).number();
    }
  }

  private static <T> T checked(Supplier<T> maker) {
    try {
      return maker.get();
    } catch (IllegalArgumentException e) {
      throw new CliException(ExitCode.USAGE, String.valueOf(e.getMessage()), "", e);
    }
  }

  private List<Filler> fillers() {
    List<Filler> texts = new ArrayList<>();
    for (String name : fillers != null ? fillers : fillerFile == null ? List.of(DEFAULT_FILLER) : List.<String>of()) {
      texts.add(Filler.builtIn(name));
    }
    if (fillerFile != null) {
      texts.add(Filler.of(fillerFile.getFileName().toString(), TextInput.file(fillerFile)));
    }
    return texts;
  }

  private static boolean hasTechnique(InferenceConfig config) {
    return config.edgeCloud().isPresent() || config.tokenPruning().isPresent()
        || config.layerCompression().isPresent() || config.memoryManager().isPresent();
  }

  /** The dense run, if it is asked for, and the run itself. */
  private final class Run {
    private final LlmModel model;
    private final List<NeedlePrompt> prompts;
    private final Cancellation cancellation;
    private final List<NeedleResult> dense = new ArrayList<>();
    private final List<NeedleResult> results = new ArrayList<>();
    private List<TechniqueReport> techniques = List.of();
    private int threads;
    private int contextTokens;

    Run(LlmModel model, List<NeedlePrompt> prompts, Cancellation cancellation) {
      this.model = model;
      this.prompts = prompts;
      this.cancellation = cancellation;
    }

    /** False if the user stopped it; the results so far are there. */
    boolean all(InferenceConfig config) {
      try (ProgressBar bar = new ProgressBar(env, "needle")) {
        if (baseline) {
          measure(InferenceConfig.empty(), dense, bar, "dense, ", 0);
        }
        measure(config, results, bar, "", baseline ? 1 : 0);
        return true;
      } catch (RuntimeException e) {
        if (!cancellation.requested()) {
          throw e;
        }
        return false;
      }
    }

    private void measure(InferenceConfig config, List<NeedleResult> into, ProgressBar bar, String what, int part) {
      int parts = baseline ? 2 : 1;
      new NeedleRunner(prompts, needed -> open(config, needed), (where, fraction) -> {
        bar.label(what + where);
        bar.update((part + fraction) / parts);
        cancellation.stopIfRequested();
      }).run(into::add);
    }

    private NeedleEngine open(InferenceConfig config, int needed) {
      int context = models.context == null ? needed : Math.max(models.context, needed);
      LlmSession session = OpenSession.newSession(model, models,
          models.sessionOptions(context).toBuilder().contextTokens(context).build(), config);
      cancellation.watch(session);
      techniques = session.techniques();
      threads = session.stats().threads();
      contextTokens = session.contextTokens();
      return new SessionEngine(session, hasTechnique(config), Reports::cacheUse);
    }
  }

  private void report(Path path, LlmModel model, NeedlePlan plan, List<Filler> texts, Run run, boolean complete) {
    NeedleReport report = new NeedleReport(baseline, run.dense, run.results);
    if (common.json) {
      JsonObject json = new JsonObject();
      json.add("model", Reports.model(path, model.info()));
      json.addProperty("commit", BuildFacts.commit(env).orElse(null));
      json.add("build", JsonParser.parseString(LlmMobile.buildInfo()));
      json.add("settings", settings(plan, texts, run));
      json.addProperty("interrupted", !complete);
      json.add("results", report.json());
      json.add("summary", report.summary());
      json.add("techniques", Reports.techniques(run.techniques));
      json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
      env.out().println(Json.line(json));
    } else {
      TextTable facts = new TextTable("ll").row("model", path.getFileName().toString())
          .row("text", plan.tokens() + " tokens, " + plan.gap() + " more one by one, " + plan.order());
      env.out().print(facts.render(env.outStyle()) + "\n" + report.table().render(env.outStyle()) + "\n"
          + report.summaryTable().render(env.outStyle()));
      if (!complete) {
        Reports.warn(env, "interrupted: " + run.results.size() + " of " + run.prompts.size() + " facts were looked for");
      }
    }
    env.flush();
  }

  private JsonObject settings(NeedlePlan plan, List<Filler> texts, Run run) {
    JsonArray asked = new JsonArray();
    plan.depths().forEach(asked::add);
    JsonArray names = new JsonArray();
    texts.forEach(text -> names.add(text.name()));
    JsonObject settings = new JsonObject();
    settings.addProperty("tokens", plan.tokens());
    settings.add("depths", asked);
    settings.add("fillers", names);
    settings.addProperty("gap", plan.gap());
    settings.addProperty("order", plan.order().toString());
    settings.addProperty("opening", plan.opening().toString());
    settings.addProperty("baseline", baseline);
    settings.addProperty("seed", plan.seed());
    settings.addProperty("context_tokens", run.contextTokens);
    settings.addProperty("threads", run.threads);
    settings.addProperty("flash_attention", models.flashAttention.toString());
    return settings;
  }
}
