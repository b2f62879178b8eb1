package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.FlashAttention;
import io.github.llmmobile.cli.needle.NeedlePlan;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** The forms of the commands that scripts rely on. */
class CommandFormsTest {
  @Test
  void runTakesItsDocumentedForm() {
    RunCommand run = parse("run", "--raw", "--max-tokens", "5", "--temperature", "0", "--seed", "7", "--stats",
        "--json", "Once upon a time");
    assertTrue(run.raw);
    assertEquals(5, run.configuration.maxTokens);
    assertEquals(0f, run.sampling.temperature);
    assertEquals(7L, run.sampling.seed);
    assertTrue(run.stats);
    assertTrue(run.common.json);
    assertEquals("Once upon a time", run.prompt);
  }

  @Test
  void runTakesListsAndFiles() {
    RunCommand run = parse("run", "--stop", "a", "--stop", "b,c", "--lora", "x.gguf:0.5", "--lora", "y.gguf",
        "--grammar", "g.gbnf", "--system", "Be brief.", "--logit-bias", "5=-1.5", "--logit-bias", "6=-inf", "p");
    assertEquals(List.of("a", "b,c"), run.sampling.stop);
    assertEquals(List.of(new LoraArgument(Path.of("x.gguf"), 0.5f), new LoraArgument(Path.of("y.gguf"), 1)),
        run.models.lora);
    assertEquals(Path.of("g.gbnf"), run.sampling.grammar);
    assertEquals("Be brief.", run.system);
    assertEquals(2, run.sampling.logitBias.size());
  }

  @Test
  void negativeNumbersAreValuesAndNotOptions() {
    RunCommand run = parse("run", "--max-tokens", "-1", "--hot-path-indices", "0,1,-1", "--presence-penalty", "-0.5",
        "p");
    assertEquals(-1, run.configuration.maxTokens);
    assertEquals(List.of(0, 1, -1), run.configuration.hotPathIndices);
    assertEquals(-0.5f, run.sampling.presencePenalty);
  }

  @Test
  void flagsWithOptionalValueLeaveThePromptAlone() {
    RunCommand run = parse("run", "--strict", "--smallest-tier", "--exact-attention", "--quantization-enabled",
        "prompt");
    assertEquals(true, run.configuration.smallestTier);
    assertEquals(true, run.configuration.exactAttention);
    assertEquals(true, run.configuration.strict);
    assertEquals(true, run.configuration.quantizationEnabled);
    assertEquals("prompt", run.prompt);
    assertEquals(false, this.<RunCommand>parse("run", "--strict=false", "p").configuration.strict);
    assertNull(this.<RunCommand>parse("run", "p").configuration.strict);
  }

  @Test
  void dashAndAtSignsArePrompts() {
    assertEquals("-", this.<RunCommand>parse("run", "-").prompt);
    assertEquals("@file", this.<RunCommand>parse("run", "@file").prompt);
    assertEquals("--json", this.<RunCommand>parse("run", "--", "--json").prompt);
    assertEquals("", this.<RunCommand>parse("run", "").prompt);
  }

  @Test
  void benchTakesItsDocumentedForm() {
    BenchCommand bench = parse("bench", "--depth", "0,2048,8192", "--prompt", "128", "--gen", "16", "--repeat", "3");
    assertEquals(List.of(0, 2048, 8192), bench.depths);
    assertEquals(128, bench.prompt);
    assertEquals(16, bench.gen);
    assertEquals(3, bench.repeat);
  }

  @Test
  void benchHasTheDocumentedDefaults() {
    BenchCommand bench = parse("bench");
    assertEquals(List.of(0), bench.depths);
    assertEquals(512, bench.prompt);
    assertEquals(32, bench.gen);
    assertEquals(5, bench.repeat);
  }

  @Test
  void perplexityTakesItsDocumentedForm() {
    PerplexityCommand perplexity =
        parse("perplexity", "--file", "f", "--context", "1024", "--chunks", "3", "--save-dense", "d");
    assertEquals(Path.of("f"), perplexity.file);
    assertEquals(1024, perplexity.models.context);
    assertEquals(3, perplexity.chunks);
    assertEquals(Path.of("d"), perplexity.saveDense);
    assertEquals(-1, this.<PerplexityCommand>parse("perplexity", "--file", "f").chunks);
  }

  @Test
  void needleTakesItsDocumentedForm() {
    NeedleCommand needle = parse("needle", "--tokens", "2000", "--depths", "10,90", "--filler", "noise,repeat",
        "--filler-file", "f", "--gap", "8", "--order", "question-aware", "--opening", "prompt", "--baseline", "--seed",
        "7");
    assertEquals(2000, needle.tokens);
    assertEquals(List.of(10, 90), needle.depths);
    assertEquals(List.of("noise", "repeat"), needle.fillers);
    assertEquals(Path.of("f"), needle.fillerFile);
    assertEquals(8, needle.gap);
    assertEquals(NeedlePlan.Order.QUESTION_AWARE, needle.order);
    assertEquals(NeedlePlan.Opening.PROMPT, needle.opening);
    assertTrue(needle.baseline);
    assertEquals(7, needle.seed);
  }

  @Test
  void needleHasTheDocumentedDefaults() {
    NeedleCommand needle = parse("needle");
    assertEquals(4096, needle.tokens);
    assertEquals(List.of(5, 15, 25, 35, 45, 55, 65, 75, 85, 95), needle.depths);
    assertNull(needle.fillers);
    assertEquals(64, needle.gap);
    assertEquals(NeedlePlan.Order.QUESTION_LAST, needle.order);
    assertEquals(NeedlePlan.Opening.DECODED, needle.opening);
    assertEquals(42, needle.seed);
  }

  @Test
  void flashAttentionIsWrittenInLowerCase() {
    RunCommand off = parse("run", "--flash-attention", "off", "p");
    assertEquals(FlashAttention.OFF, off.models.flashAttention.value());
    assertEquals(FlashAttention.AUTO, this.<RunCommand>parse("run", "p").models.flashAttention.value());
  }

  @Test
  void maxTokensAndMaxNewTokensAreOneOption() {
    assertEquals(9, this.<RunCommand>parse("run", "--max-new-tokens", "9", "p").configuration.maxTokens);
    assertEquals(9, this.<RunCommand>parse("run", "-n", "9", "p").configuration.maxTokens);
  }

  @SuppressWarnings("unchecked")
  private <T> T parse(String... args) {
    CommandLine line = LlmMobileCli.commandLine(new TestCli().environment());
    return (T) line.parseArgs(args).subcommand().commandSpec().userObject();
  }
}
