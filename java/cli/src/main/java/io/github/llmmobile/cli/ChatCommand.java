package io.github.llmmobile.cli;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.cli.chat.ChatEngine;
import io.github.llmmobile.cli.chat.ChatInput;
import io.github.llmmobile.cli.chat.ChatLoop;
import io.github.llmmobile.cli.chat.PlainChatInput;
import io.github.llmmobile.cli.chat.TerminalChatInput;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.config.InferenceConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code chat}: a conversation. */
@Command(name = "chat", header = "Talk with the model.",
    description = {
      "At a terminal, lines can be edited and former ones come back with the arrow keys. A line that ends with a"
          + " backslash goes on in the next one; a line that begins with three quotation marks opens a block that ends"
          + " with three of them. Ctrl-C stops an answer and not the program. /help lists the commands: /reset,"
          + " /stats, /trim MB, /save FILE, /load FILE, /quit.",
      "From a pipe, each line is a message. With --json each answer is one line of JSON.",
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile chat",
      "  llm-mobile chat --system \"Be brief.\" --context 8192 --temperature 0.5",
      "  llm-mobile chat --max-memory-mb 64 --eviction-enabled --pinned-prefix 64",
      "  printf 'Hello\\nAnd in French?\\n' | llm-mobile chat --json",
    })
final class ChatCommand implements Callable<Integer> {
  private static final int DEFAULT_MAX_TOKENS = 1024;

  private final CliEnvironment env;

  @Option(names = "--system", paramLabel = "TEXT", description = "System message in front of the conversation.")
  @Nullable String system;

  @Option(names = "--no-history", description = "Do not keep typed lines in the cache folder for the next time.")
  boolean noHistory;

  @Mixin SamplingArguments sampling = new SamplingArguments();
  @Mixin ModelArguments models = new ModelArguments();
  @Mixin ConfigArguments configuration = new ConfigArguments();
  @Mixin CommonArguments common = new CommonArguments();

  ChatCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    InferenceConfig config = configuration.merged();
    GenerationOptions options = sampling.options(configuration.maxTokens(config, DEFAULT_MAX_TOKENS));
    OpenSession open;
    // Ctrl-C stops the loading; from then on the input decides what it means.
    try (Cancellation loading = new Cancellation(env.interrupts())) {
      open = OpenSession.open(env, models, config, 0, loading);
    }
    try (open) {
      if (open.model().info().chatTemplate().isEmpty()) {
        throw CliException.usage("this model has no chat template, so it cannot hold a conversation",
            "llm-mobile run --raw continues a text");
      }
      Reports.warnOfTechniques(env, open.session().techniques());
      return talk(new Engine(open, options)).number();
    }
  }

  private ExitCode talk(Engine engine) {
    ErrorRenderer errors = new ErrorRenderer(env, common.verbose);
    List<ChatMessage> before = system == null ? List.of() : List.of(ChatMessage.system(system));
    try (ChatInput input = input()) {
      if (input.interactive()) {
        env.err().println(env.errStyle().faint(engine.open.path().getFileName() + "; /help lists the commands"));
      }
      Throwable failure = new ChatLoop(env, engine, input, errors::render, before, common.json).run();
      return failure == null ? ExitCode.OK : errors.exitCode(failure);
    }
  }

  private ChatInput input() {
    if (!env.interactive()) {
      return new PlainChatInput(env);
    }
    Path history = noHistory ? null : DefaultModel.cacheFolder(env).resolve("chat-history");
    return new TerminalChatInput(history, env.outStyle());
  }

  /** A session that answers. */
  private final class Engine implements ChatEngine {
    private final OpenSession open;
    private final GenerationOptions options;

    Engine(OpenSession open, GenerationOptions options) {
      this.open = open;
      this.options = options;
    }

    @Override
    public Answer answer(List<ChatMessage> messages, CancellationToken cancellation) {
      AnswerPrinter printer = new AnswerPrinter(env, !common.json);
      GenerationResult result =
          open.session().generate(Prompt.chat(messages), options, printer, cancellation);
      printer.end();
      return new Answer(result.text(), result.stopReason(), Reports.answer(result));
    }

    @Override
    public String stats() {
      return Reports.statsTable(open.session().stats(), open.session().techniques()).render(env.errStyle());
    }

    @Override
    public void trim(int megabytes) {
      open.session().trimMemory(megabytes);
    }

    @Override
    public void saveState(Path file) {
      open.session().save(file);
    }

    @Override
    public void loadState(Path file) {
      open.session().load(file);
    }
  }
}
