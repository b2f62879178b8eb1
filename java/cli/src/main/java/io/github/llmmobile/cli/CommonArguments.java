package io.github.llmmobile.cli;

import picocli.CommandLine.Option;

/** Options that every command takes. */
final class CommonArguments {
  @Option(names = "--json", description = "Print one JSON object instead of text.")
  boolean json;

  @Option(names = "--verbose", description = "Show log lines, and the stack trace of an error.")
  boolean verbose;

  @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help and exit.")
  boolean help;
}
