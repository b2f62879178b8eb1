package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.cli.console.CliEnvironment;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code completion}: a script that lets the shell complete commands and options. */
@Command(name = "completion", header = "Print a completion script for the shell.",
    description = "The script works in bash, and in zsh, where it loads bashcompinit by itself.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  source <(llm-mobile completion)",
      "  llm-mobile completion bash > ~/.local/share/bash-completion/completions/llm-mobile",
    })
final class CompletionCommand implements Callable<Integer> {
  /** Shells that the script is for. */
  enum Shell {
    BASH, ZSH;

    /** As it is typed. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private final CliEnvironment env;

  @Parameters(arity = "0..1", paramLabel = "bash|zsh", defaultValue = "bash",
      description = "The shell, default bash; the script is the same.")
  Shell shell = Shell.BASH;

  @Mixin CommonArguments common = new CommonArguments();

  CompletionCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    CommandLine all = LlmMobileCli.commandLine(env);
    String script = AutoComplete.bash(LlmMobileCli.NAME, all);
    if (common.json) {
      JsonObject json = new JsonObject();
      json.addProperty("script", script);
      script = Json.line(json) + "\n";
    }
    env.out().print(script);
    env.flush();
    return ExitCode.OK.number();
  }
}
