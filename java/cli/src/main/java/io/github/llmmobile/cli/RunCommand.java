package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.explain.PruningExplainer;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.config.TokenPruningConfig;
import io.github.llmmobile.edge.SplitResult;
import io.github.llmmobile.edge.remote.RoutedPrompt;
import io.github.llmmobile.edge.remote.RoutedResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code run}: one prompt, one answer. */
@Command(name = "run", header = "Answer one prompt.",
    description = "The prompt is put into the model's chat template and the answer is printed as it comes. A model"
        + " without a chat template gets the prompt as it is.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile run \"Why is the sky blue?\"",
      "  llm-mobile run --system \"Answer in French.\" --max-tokens 100 @question.txt",
      "  git diff | llm-mobile run --context 8192 -",
      "  llm-mobile run --raw --temperature 0 --json \"Once upon a time\"",
      "  llm-mobile run --stats --max-memory-mb 32 --spill-directory /var/tmp/pages @long.txt",
      "  llm-mobile run --pruning-threshold 0.01 --explain-pruning page.html @long.txt",
      "  llm-mobile run --worker worker.example:7443 --tls keys --codec int8 --stats \"Hi\"",
      "  llm-mobile run --remote-model http://127.0.0.1:8080 --explain-routing \"Who was Ada Lovelace?\"",
      "  llm-mobile run --json-schema person.schema.json \"Invent a person.\"",
    })
final class RunCommand implements Callable<Integer> {
  private static final int DEFAULT_MAX_TOKENS = 256;

  private final CliEnvironment env;

  @Parameters(arity = "1", paramLabel = "PROMPT",
      description = "The prompt; @FILE reads a file (@@ begins a text with @), - reads standard input. UTF-8; the line"
          + " break at the end of a file or input is dropped.")
  String prompt = "";

  @Option(names = "--raw", description = "Use the prompt as it is, without the chat template.")
  boolean raw;

  @Option(names = "--system", paramLabel = "TEXT", description = "System message in front of the prompt.")
  @Nullable String system;

  @Option(names = "--stats", description = "Show speed and memory on standard error afterwards.")
  boolean stats;

  @Option(names = "--explain-pruning", paramLabel = "FILE",
      description = "Write an HTML page that shows which tokens were read, pruned and recalled. Needs token pruning.")
  @Nullable Path explainPruning;

  @Mixin WorkerArguments worker = new WorkerArguments();
  @Mixin RoutingArguments routing = new RoutingArguments();
  @Mixin SamplingArguments sampling = new SamplingArguments();
  @Mixin ModelArguments models = new ModelArguments();
  @Mixin ConfigArguments configuration = new ConfigArguments();
  @Mixin CommonArguments common = new CommonArguments();

  RunCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() throws IOException {
    if (raw && system != null) {
      throw CliException.usage("--system needs the chat template, which --raw leaves out",
          "put the instructions into the prompt");
    }
    InferenceConfig config = recorded(configuration.merged());
    int maxTokens = configuration.maxTokens(config, DEFAULT_MAX_TOKENS);
    GenerationOptions options = sampling.options(maxTokens);
    worker.adopt(config.edgeCloud());
    routing.check(worker.given());
    String text = TextInput.prompt(env, prompt);
    if (worker.given() && routing.active()) {
      throw CliException.usage("--worker and --remote-model exclude each other", "give only one of them");
    }
    if (worker.given()) {
      return split(config, options, text, maxTokens);
    }
    if (routing.active()) {
      return routed(config, options, text, maxTokens);
    }
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        OpenSession open = OpenSession.open(env, models, config, 0, cancellation)) {
      stopUnlessPruning(open.session().techniques());
      AnswerPrinter printer = new AnswerPrinter(env, !common.json);
      GenerationResult result =
          open.session().generate(prompt(open.model(), text), options, printer, cancellation.token());
      printer.end();
      Reports.warnOfTechniques(env, result.techniques());
      report(open, result);
      explain(open, result, config.memoryManager().map(MemoryManagerConfig::evictionEnabled).orElse(false));
      return exitCode(result.stopReason(), maxTokens).number();
    }
  }

  /** The same with the last layers at a worker. */
  private int split(InferenceConfig config, GenerationOptions options, String text, int maxTokens) {
    if (explainPruning != null) {
      throw CliException.usage("--explain-pruning does not go together with --worker", "leave out one of them");
    }
    worker.check(env, config, models);
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        SplitRun run = SplitRun.open(
            env, worker, models, config, model -> prompt(model, text).tokens(model), maxTokens, cancellation)) {
      AnswerPrinter printer = new AnswerPrinter(env, !common.json);
      SplitResult result = run.generate(options, printer);
      printer.end();
      if (common.json) {
        JsonObject json = SplitReports.answer(result, run);
        json.add("model", Reports.model(run.path(), run.model().info()));
        env.out().println(Json.line(json));
      }
      env.flush();
      if (routing.explain) {
        env.err().print(RoutingReports.table(run.decisions()).render(env.errStyle()));
      }
      if (stats) {
        env.err().print(SplitReports.table(result, run).render(env.errStyle()));
      }
      return exitCode(result.stopReason(), maxTokens).number();
    }
  }

  /** The same with hard tokens, or all, from another model. */
  private int routed(InferenceConfig config, GenerationOptions options, String text, int maxTokens) {
    if (explainPruning != null) {
      throw CliException.usage("--explain-pruning and --remote-model exclude each other", "give only one of them");
    }
    RoutedRun run = new RoutedRun(env, routing, config);
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        OpenSession open = OpenSession.open(env, models, RoutedRun.ofSession(config), 0, cancellation)) {
      List<ChatMessage> messages = messages(open.model(), text);
      boolean chat = !messages.isEmpty();
      AnswerPrinter printer = new AnswerPrinter(env, !common.json);
      RoutedResult result = run.generate(open, chat ? RoutedPrompt.chat(messages) : RoutedPrompt.text(text), chat,
          options, printer, cancellation.token());
      printer.end();
      Reports.warnOfTechniques(env, result.techniques());
      if (common.json) {
        JsonObject json = run.json(result);
        json.add("model", Reports.model(open.path(), open.model().info()));
        env.out().println(Json.line(json));
      }
      env.flush();
      if (routing.explain) {
        env.err().print(run.explanation().render(env.errStyle()));
      }
      if (stats) {
        env.err().print(run.statsTable(result).render(env.errStyle()));
      }
      return exitCode(result.stopReason(), maxTokens).number();
    }
  }

  /** The configuration, with the list of what is pruned if that is to be explained. */
  private InferenceConfig recorded(InferenceConfig config) {
    if (explainPruning == null) {
      return config;
    }
    TokenPruningConfig pruning = config.tokenPruning().orElseThrow(() -> CliException.usage(
        "--explain-pruning needs token pruning, which is not switched on",
        "add --pruning-threshold 0.01 or --keep-ratio 0.5"));
    Path folder = explainPruning.toAbsolutePath().getParent();
    if (Files.isDirectory(explainPruning) || folder == null || !Files.isDirectory(folder)) {
      throw CliException.usage("--explain-pruning: no file can be written at " + explainPruning,
          "name a file in a folder that exists");
    }
    return config.toBuilder().tokenPruning(pruning.toBuilder().recordEvents(true).build()).build();
  }

  private void stopUnlessPruning(List<TechniqueReport> techniques) {
    if (explainPruning == null) {
      return;
    }
    TechniqueReport report = pruning(techniques);
    if (report.status() != TechniqueReport.Status.ACTIVE) {
      throw new CliException(
          report.status() == TechniqueReport.Status.OFF ? ExitCode.USAGE : ExitCode.NOT_AVAILABLE,
          "--explain-pruning: token pruning is not active: " + report.detail(), "leave out --explain-pruning");
    }
  }

  private static TechniqueReport pruning(List<TechniqueReport> techniques) {
    return techniques.stream().filter(report -> report.technique().equals("token_pruning")).findFirst().orElseThrow();
  }

  private void explain(OpenSession open, GenerationResult result, boolean evicts) throws IOException {
    if (explainPruning != null) {
      Files.writeString(explainPruning, PruningExplainer.html(open.path().getFileName().toString(),
          pruning(result.techniques()).detail(), open.model(), open.session(), result, evicts));
    }
  }

  private Prompt prompt(LlmModel model, String text) {
    List<ChatMessage> messages = messages(model, text);
    return messages.isEmpty() ? Prompt.text(text) : Prompt.chat(messages);
  }

  /** What goes into the chat template; empty if the prompt is used as it is. */
  private List<ChatMessage> messages(LlmModel model, String text) {
    if (raw) {
      return List.of();
    }
    if (model.info().chatTemplate().isEmpty()) {
      if (system != null) {
        throw CliException.usage("--system needs a chat template, and this model has none",
            "put the instructions into the prompt");
      }
      return List.of();
    }
    List<ChatMessage> messages = new ArrayList<>();
    if (system != null) {
      messages.add(ChatMessage.system(system));
    }
    messages.add(ChatMessage.user(text));
    return messages;
  }

  private void report(OpenSession open, GenerationResult result) {
    if (common.json) {
      JsonObject json = Reports.answer(result);
      json.add("model", Reports.model(open.path(), open.model().info()));
      env.out().println(Json.line(json));
    }
    env.flush();
    if (stats) {
      env.err().print(Reports.statsTable(result.stats(), result.techniques()).render(env.errStyle()));
    }
  }

  /** An answer that was asked to fill the context has not failed by doing so. */
  private ExitCode exitCode(StopReason reason, int maxTokens) {
    if (reason == StopReason.CANCELLED) {
      return ExitCode.INTERRUPTED;
    }
    if (reason == StopReason.CONTEXT_FULL && maxTokens >= 0) {
      Reports.warn(env, "the context is full and the answer was cut off; --context makes it larger");
      return ExitCode.CONTEXT;
    }
    return ExitCode.OK;
  }
}
