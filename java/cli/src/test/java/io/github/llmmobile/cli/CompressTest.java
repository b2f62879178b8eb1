package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code compress} with the tiny model. */
class CompressTest {
  @TempDir Path folder;
  private Path model;
  private Path text;
  private Path output;
  private int tokens = 600;

  @BeforeEach
  void write() throws IOException {
    model = TinyModelFile.in(folder);
    text = Files.writeString(folder.resolve("text.txt"), "the world and the stop hello to he ".repeat(200));
    output = folder.resolve("out.gguf");
  }

  private TestCli.Outcome compress(TestCli cli, String... more) {
    Stream<String> start = Stream.of("compress", model.toString(), "--text", text.toString(), "--output",
        output.toString(), "--tokens", String.valueOf(tokens), "--eval-tokens", "1100", "--threads", "1");
    return cli.run(Stream.concat(start, Arrays.stream(more)).toArray(String[]::new));
  }

  private void refused(int code, String says, String... more) {
    TestCli.Outcome outcome = compress(new TestCli(), more);
    assertEquals(code, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains(says), outcome.err());
    assertFalse(Files.exists(output));
  }

  @Test
  void optionsThatDoNotGoTogetherAreRefused() {
    refused(2, "--base-type", "--mode", "compensate");
    refused(2, "--densify", "--mode", "compensate", "--base-type", "Q4_0", "--densify");
    refused(2, "--rank or --target-size", "--mode", "replace");
    refused(2, "--rank or --target-size", "--mode", "replace", "--rank", "8", "--target-size", "0.9");
    refused(2, "--target-size must be", "--mode", "replace", "--target-size", "1.5");
    refused(2, "--factor-type", "--mode", "replace", "--rank", "8", "--factor-type", "F16");
    refused(2, "--layers", "--mode", "replace", "--rank", "8", "--layers", "5");
    refused(2, "--mode bypass has", "--mode", "bypass", "--base-type", "Q4_0");
    tokens = 5;
    refused(2, "--tokens must be", "--mode", "replace", "--rank", "8");
    tokens = 600;
    refused(2, "--base-type", "--mode", "compensate", "--base-type", "Q99");
  }

  @Test
  void missingFilesAreRefused() throws IOException {
    output = folder.resolve("no/such/folder.gguf");
    refused(2, "no such folder", "--mode", "replace", "--rank", "8");
    output = folder.resolve("out.gguf");
    Path sound = model;
    model = folder.resolve("missing.gguf");
    refused(3, "no such model file", "--mode", "replace", "--rank", "8");
    model = Files.write(folder.resolve("broken.gguf"), Arrays.copyOf(Files.readAllBytes(sound), 5000));
    refused(3, "broken GGUF", "--mode", "replace", "--rank", "8");
    model = sound;
    text = folder.resolve("missing.txt");
    refused(2, "no such file", "--mode", "replace", "--rank", "8");
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  private static JsonObject json(TestCli.Outcome outcome) {
    assertEquals(0, outcome.code(), outcome.err());
    return JsonParser.parseString(outcome.out()).getAsJsonObject();
  }

  private static double kl(JsonObject json, String of) {
    return json.getAsJsonObject(of).get("kl_mean").getAsDouble();
  }

  @Test
  void compensateWritesABaseAndItsAdapter() throws IOException {
    JsonObject json = json(compress(new TestCli(), "--mode", "compensate", "--base-type", "Q2_0", "--rank", "32",
        "--json"));
    Path base = folder.resolve("out-base.gguf");
    assertEquals(List.of(base, output, text, model), files());
    assertTrue(json.keySet().containsAll(Set.of("model", "settings", "source_quantised", "original", "base", "result",
        "kl_recovered", "output_error", "factor_bytes", "broken", "ranks", "output", "base_output")));
    assertFalse(json.get("source_quantised").getAsBoolean());
    assertFalse(json.get("evaluated_on_calibration").getAsBoolean());
    assertTrue(kl(json, "result") < 0.7 * kl(json, "base"), json.toString());
    assertEquals(1 - kl(json, "result") / kl(json, "base"), json.get("kl_recovered").getAsDouble(), 1e-9);
    assertEquals(Files.size(base), json.getAsJsonObject("base").get("size_bytes").getAsLong());
    assertEquals(Files.size(base) + Files.size(output), json.getAsJsonObject("result").get("size_bytes").getAsLong());
    TestCli.Outcome run = new TestCli().run("perplexity", "--model", base.toString(), "--lora", output.toString(),
        "--file", text.toString(), "--context", "256", "--chunks", "2", "--threads", "1");
    assertEquals(0, run.code(), run.err());
    TestCli.Outcome stats = new TestCli().run("run", "--model", base.toString(), "--factors", output.toString(),
        "--compression-rank", "8", "--max-tokens", "1", "--threads", "1", "--stats", "--raw", "he");
    assertEquals(0, stats.code(), stats.err());
    assertTrue(stats.err().contains("rank 8 of 32 for "), stats.err());
    TestCli.Outcome tooHigh = new TestCli().run("run", "--model", base.toString(), "--lora", output.toString(),
        "--lora-rank", "33", "--max-tokens", "1", "--threads", "1", "--raw", "he");
    assertTrue(tooHigh.code() != 0 && tooHigh.err().contains("32"), tooHigh.err());
    TestCli.Outcome other = new TestCli().run("perplexity", "--model", model.toString(), "--lora", output.toString(),
        "--file", text.toString(), "--context", "256", "--chunks", "2", "--threads", "1");
    assertEquals(1, other.code(), other.err());
    assertTrue(other.err().contains("fingerprint"), other.err());
  }

  @Test
  void replaceWritesFactorsOrTheirProduct() throws IOException {
    JsonObject json = json(compress(new TestCli(), "--mode", "replace", "--target-size", "0.9", "--densify", "--json"));
    assertEquals(List.of(output, text, model), files());
    assertEquals(Files.size(model), Files.size(output), 200);
    double dense = kl(json, "result");
    assertTrue(dense > 0);
    assertTrue(json.get("factor_bytes").getAsLong() <= 0.9 * Files.size(model));
    json = json(compress(new TestCli(), "--mode", "replace", "--target-size", "0.9", "--json"));
    assertTrue(Files.size(output) <= 0.91 * Files.size(model));
    assertEquals(dense, kl(json, "result"), 1e-3 * dense);
    assertEquals(Files.size(output), json.getAsJsonObject("result").get("size_bytes").getAsLong());
    assertEquals(List.of(output, text, model), files());
  }

  @Test
  void aBrokenModelIsCalledBroken() {
    TestCli.Outcome outcome = compress(new TestCli(), "--mode", "replace", "--rank", "8", "--json");
    JsonObject json = json(outcome);
    boolean broken = json.getAsJsonObject("result").get("perplexity").getAsDouble()
        > 2 * json.getAsJsonObject("original").get("perplexity").getAsDouble();
    assertEquals(broken, json.get("broken").getAsBoolean());
    assertEquals(broken, outcome.err().contains("the model that is written is broken"), outcome.err());
  }

  @Test
  void tableNamesTheFiles() {
    TestCli.Outcome outcome = compress(new TestCli(), "--mode", "compensate", "--base-type", "Q4_0", "--rounding",
        "nearest", "--layers", "1:2", "--bench");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.out().contains("recovered"), outcome.out());
    assertTrue(outcome.out().contains(output.toString()), outcome.out());
  }

  @Test
  void shortTextsAreMeasuredWhereTheyWereCalibrated() throws IOException {
    Files.writeString(text, "the world and the stop hello to he ".repeat(100));
    tokens = 5000;
    TestCli.Outcome outcome = compress(new TestCli(), "--mode", "compensate", "--base-type", "Q4_0");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("too short"), outcome.err());
    Files.writeString(text, "the world");
    refusedWith(compress(new TestCli(), "--mode", "compensate", "--base-type", "Q4_0"));
  }

  private static void refusedWith(TestCli.Outcome outcome) {
    assertEquals(2, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("tokens"), outcome.err());
  }

  @Test
  void interruptLeavesNothing() throws IOException {
    // The bar is not drawn before the work has gone on for a while.
    Files.writeString(text, "the world and the stop hello to he ".repeat(9000));
    tokens = 200_000;
    InterruptingStream screen = new InterruptingStream("inputs of");
    TestCli.Outcome outcome = compress(new TestCli().terminals().errors(screen).interrupts(screen), "--mode",
        "compensate", "--base-type", "Q2_0");
    assertEquals(130, outcome.code(), screen.toString(StandardCharsets.UTF_8));
    assertEquals(List.of(text, model), files());
    assertEquals(List.of(), screen.actions);
  }
}
