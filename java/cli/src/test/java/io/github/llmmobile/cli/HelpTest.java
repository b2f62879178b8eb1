package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

class HelpTest {
  private static final List<String> COMMANDS =
      List.of("run", "chat", "inspect", "bench", "perplexity", "needle", "routing", "calibrate", "compress", "worker",
          "keys", "models", "completion");

  @Test
  void rootHelpListsTheCommands() {
    TestCli.Outcome outcome = new TestCli().run("--help");
    assertEquals(0, outcome.code());
    assertEquals("", outcome.err());
    COMMANDS.forEach(command -> assertTrue(outcome.out().contains("\n  " + command + " "), command));
  }

  @ParameterizedTest
  @ValueSource(strings = {"run", "chat", "inspect", "bench", "perplexity", "needle", "routing", "compress", "models",
          "completion"})
  void everyCommandHasExamplesAndExitCodes(String command) {
    TestCli.Outcome outcome = new TestCli().run(command, "--help");
    assertEquals(0, outcome.code());
    String help = outcome.out();
    assertTrue(help.contains("Usage: llm-mobile " + command), help);
    String examples = help.substring(help.indexOf("\nExamples:\n"));
    assertTrue(examples.contains("llm-mobile " + command), help);
    for (ExitCode code : ExitCode.values()) {
      assertTrue(help.contains("  " + code.number() + " "), help);
      assertTrue(help.contains(code.meaning()), help);
    }
  }

  @Test
  void helpStaysWithinTheTerminal() {
    for (String command : COMMANDS) {
      String help = new TestCli().run(command, "--help").out();
      help.lines().forEach(line -> assertTrue(line.length() <= 80, command + ": " + line));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"run", "chat", "inspect", "bench", "perplexity", "needle", "routing"})
  void everyModelCommandTakesTheCommonOptions(String command) {
    Set<String> names = optionNames(command);
    for (String name : List.of("--model", "--config", "--threads", "--json", "--verbose", "--context",
        "--flash-attention", "--bandwidth-threshold", "--pruning-threshold", "--max-shadow-size",
        "--keep-ratio", "--max-active-tokens", "--selection-mass", "--prune-test-interval", "--prune-min-tokens",
        "--prune-policy",
        "--compression-rank", "--hot-path-indices", "--max-memory-mb", "--page-size", "--quantization-enabled", "--smallest-tier", "--no-probe",
        "--spill-directory", "--eviction-enabled", "--recent-window", "--pinned-prefix", "--exact-attention",
        "--cache-directory",
        "--max-new-tokens", "--max-tokens", "--strict", "--lora",
        "--lora-rank", "--lora-exact", "--factors")) {
      assertTrue(names.contains(name), command + " " + name);
    }
  }

  @Test
  void everyCommandTakesJsonAndVerbose() {
    for (String command : COMMANDS) {
      assertTrue(optionNames(command).containsAll(Set.of("--json", "--verbose", "--help")), command);
    }
  }

  @Test
  void everyOptionIsDescribed() {
    for (String command : COMMANDS) {
      for (OptionSpec option : parser(command).getCommandSpec().options()) {
        String text = String.join("", option.description());
        assertTrue(text.endsWith("."), command + " " + option.longestName() + ": " + text);
      }
    }
  }

  @Test
  void benchHelpSaysThatSamplingIsIncluded() {
    String help = new TestCli().run("bench", "--help").out().replaceAll("\\s+", " ");
    assertTrue(help.contains("tg here contains sampling"), help);
  }

  @Test
  void versionGoesToStandardOutput() {
    TestCli.Outcome outcome = new TestCli().run("--version");
    assertEquals(0, outcome.code());
    assertTrue(outcome.out().matches("llm-mobile \\S+\n"), outcome.out());
  }

  @Test
  void completionIsAScriptThatKnowsCommandsAndOptions() {
    TestCli.Outcome outcome = new TestCli().run("completion", "bash");
    assertEquals(0, outcome.code());
    assertTrue(outcome.out().startsWith("#!"), outcome.out());
    for (String word : List.of("perplexity", "--hot-path-indices", "bashcompinit")) {
      assertTrue(outcome.out().contains(word), word);
    }
    assertFalse(outcome.out().contains("\r"));
    assertEquals(outcome.out(), new TestCli().run("completion", "zsh").out());
  }

  private static Set<String> optionNames(String command) {
    return parser(command).getCommandSpec().options().stream().flatMap(option -> Arrays.stream(option.names()))
        .collect(Collectors.toSet());
  }

  private static CommandLine parser(String command) {
    return LlmMobileCli.commandLine(new TestCli().environment()).getSubcommands().get(command);
  }
}
