package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** The program without its process: runs one command in an environment and gives the exit code. */
public final class LlmMobileCli {
  /** Name of the program. */
  static final String NAME = "llm-mobile";

  private static final Map<String, Function<CliEnvironment, Object>> COMMANDS = commands();

  private final CliEnvironment env;

  /**
   * The program in an environment.
   *
   * @param env streams, variables, signals (required)
   */
  public LlmMobileCli(CliEnvironment env) {
    this.env = env;
  }

  /**
   * Runs one command. Never throws: whatever goes wrong becomes an error line and an exit code.
   *
   * @param args command, options, arguments (required)
   * @return the exit code, one of {@link ExitCode}
   */
  public int run(String... args) {
    boolean verbose = Arrays.asList(args).contains("--verbose");
    ErrorRenderer errors = new ErrorRenderer(env, verbose);
    try {
      CommandLine line = args.length > 0 && COMMANDS.containsKey(args[0])
          ? commandLine(env, List.of(args[0]))
          : commandLine(env);
      line.setParameterExceptionHandler((e, ignored) -> usageError(errors, e));
      line.setExecutionExceptionHandler((e, command, ignored) -> errors.render(e).number());
      int code = line.execute(args);
      // A failed command has said what is wrong; that its output failed as well would only be said twice.
      if (code == ExitCode.OK.number()) {
        env.flush();
      }
      return code;
    } catch (Throwable e) {
      return errors.render(e).number();
    }
  }

  /** The parser with all commands. */
  static CommandLine commandLine(CliEnvironment env) {
    return commandLine(env, COMMANDS.keySet());
  }

  /** The parser with some commands. Reading the annotations of those that will not run would only cost time. */
  private static CommandLine commandLine(CliEnvironment env, Iterable<String> names) {
    CommandLine line = new CommandLine(new RootCommand());
    for (String name : names) {
      line.addSubcommand(name, COMMANDS.get(name).apply(env));
    }
    Ansi ansi = env.outStyle().enabled() ? Ansi.ON : Ansi.OFF;
    line.setColorScheme(Help.defaultColorScheme(ansi));
    line.setOut(new PrintWriter(env.out(), true, StandardCharsets.UTF_8));
    line.setErr(new PrintWriter(env.err(), true, StandardCharsets.UTF_8));
    line.setExpandAtFiles(false);
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setUsageHelpWidth(Math.max(80, Math.min(120, env.columns())));
    line.setUsageHelpLongOptionsMaxWidth(30);
    line.registerConverter(Path.class, new FileArgument());
    HelpSections.apply(line);
    return line;
  }

  private static Map<String, Function<CliEnvironment, Object>> commands() {
    Map<String, Function<CliEnvironment, Object>> commands = new LinkedHashMap<>();
    commands.put("run", RunCommand::new);
    commands.put("chat", ChatCommand::new);
    commands.put("inspect", InspectCommand::new);
    commands.put("bench", BenchCommand::new);
    commands.put("perplexity", PerplexityCommand::new);
    commands.put("needle", NeedleCommand::new);
    commands.put("routing", RoutingCommand::new);
    commands.put("calibrate", CalibrateCommand::new);
    commands.put("compress", CompressCommand::new);
    commands.put("worker", WorkerCommand::new);
    commands.put("keys", KeysCommand::new);
    commands.put("audit-privacy", AuditPrivacyCommand::new);
    commands.put("models", ModelsCommand::new);
    commands.put("completion", CompletionCommand::new);
    return commands;
  }

  private static int usageError(ErrorRenderer errors, ParameterException e) {
    String command = e.getCommandLine().getCommandSpec().qualifiedName();
    String message = String.valueOf(e.getMessage());
    String hint = "see " + command + " --help";
    if (e instanceof UnmatchedArgumentException unmatched) {
      message = describe(unmatched, command.equals(NAME));
      List<String> similar = unmatched.getSuggestions();
      if (!similar.isEmpty()) {
        hint = "did you mean " + String.join(" or ", similar) + "? Otherwise " + hint;
      } else if (command.equals(NAME + " run") && !unmatched.isUnknownOption()) {
        hint = "put a prompt of several words into quotes: llm-mobile run \"...\"";
      }
    }
    errors.show(message, hint);
    return ExitCode.USAGE.number();
  }

  private static String describe(UnmatchedArgumentException e, boolean atRoot) {
    List<String> unmatched = e.getUnmatched();
    String first = unmatched.get(0);
    if (e.isUnknownOption()) {
      return "unknown option " + unmatched.stream().filter(text -> text.startsWith("-")).findFirst().orElse(first);
    }
    return atRoot ? "unknown command " + first : "unexpected argument: " + first;
  }
}
