package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UsageTest {
  @Test
  void noCommandIsAUsageError() {
    TestCli.Outcome outcome = new TestCli().run();
    assertEquals(2, outcome.code());
    assertEquals("error: no command given\nhint: see llm-mobile --help\n", outcome.err());
    assertEquals("", outcome.out());
  }

  @Test
  void unknownCommandSuggestsTheNearest() {
    TestCli.Outcome outcome = new TestCli().run("rum");
    assertEquals(2, outcome.code());
    assertTrue(outcome.err().startsWith("error: unknown command rum\nhint: did you mean run?"), outcome.err());
  }

  @Test
  void unknownOptionSuggestsTheNearest() {
    TestCli.Outcome outcome = new TestCli().run("run", "--tempp", "1", "x");
    assertEquals(2, outcome.code());
    assertTrue(outcome.err().startsWith("error: unknown option --tempp\nhint: did you mean --temperature?"),
        outcome.err());
  }

  @Test
  void promptOfSeveralWordsExplainsQuotes() {
    TestCli.Outcome outcome = new TestCli().run("run", "Why", "blue");
    assertEquals(2, outcome.code());
    assertTrue(outcome.err().contains("error: unexpected argument: blue\n"), outcome.err());
    assertTrue(outcome.err().contains("into quotes"), outcome.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "run", "run --max-tokens many x", "run --flash-attention maybe x", "run --seed 1.5 x", "perplexity",
    "bench --depth 1,two", "models nonsense", "completion fish", "run --strict=perhaps x",
    "run --quantization-enabled=perhaps x", "run --logit-bias 5 x", "needle --order backwards",
    "needle --opening sung",
  })
  void wrongArgumentsAreOneLineAndAHint(String line) {
    TestCli.Outcome outcome = new TestCli().run(line.split(" "));
    assertEquals(2, outcome.code(), outcome.err());
    assertEquals("", outcome.out());
    String[] lines = outcome.err().split("\n");
    assertEquals(2, lines.length, outcome.err());
    assertTrue(lines[0].startsWith("error: "), outcome.err());
    assertTrue(lines[1].startsWith("hint: "), outcome.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "bench --repeat 0", "bench --depth -1", "bench --prompt 0 --gen 0", "bench --gen -5",
    "run --raw --system S x", "run --grammar a --json-schema b x", "run --logit-bias 5=much x",
    "perplexity --file f --save-dense a --against b", "run --explain-pruning page.html x",
    "run --keep-ratio 0.5 --explain-pruning /nonexistent/page.html x",
    "needle --tokens 0", "needle --depths 101", "needle --gap -1", "needle --filler song",
    "needle --filler-file /nonexistent", "needle --baseline",
  })
  void contradictionsAreFoundBeforeAModelIsLookedFor(String line) {
    TestCli.Outcome outcome = new TestCli().variable("LLMM_CACHE_DIR", "/nonexistent").run(line.split(" "));
    assertEquals(2, outcome.code(), outcome.err());
    assertTrue(outcome.err().startsWith("error: "), outcome.err());
  }

  @Test
  void colourIsForTerminalsOnly() {
    assertTrue(new TestCli().terminals().run("rum").err().startsWith("\u001b[31merror:\u001b[0m "));
    assertTrue(new TestCli().run("rum").err().startsWith("error: "));
    assertTrue(new TestCli().terminals().variable("NO_COLOR", "1").run("rum").err().startsWith("error: "));
    assertTrue(new TestCli().terminals().variable("TERM", "dumb").run("rum").err().startsWith("error: "));
  }
}
