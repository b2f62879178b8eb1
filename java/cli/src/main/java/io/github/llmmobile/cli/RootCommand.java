package io.github.llmmobile.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code llm-mobile} itself: nothing but its commands. */
@Command(name = LlmMobileCli.NAME, header = "Run GGUF language models on the device at hand.",
    synopsisSubcommandLabel = "COMMAND", versionProvider = RootCommand.Version.class,
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile run \"Why is the sky blue?\"",
      "  llm-mobile chat",
      "  llm-mobile run --help",
    })
final class RootCommand implements Runnable {
  @Spec CommandSpec spec;

  @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help and exit.")
  boolean help;

  @Option(names = {"-V", "--version"}, versionHelp = true, description = "Show the version and exit.")
  boolean version;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "no command given");
  }

  /** Asks for the version only when somebody wants to see it. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {LlmMobileCli.NAME + " " + BuildFacts.version()};
    }
  }
}
