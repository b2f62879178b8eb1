package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands with the default model. */
@Tag("model")
class ModelTest {
  @TempDir Path folder;

  @BeforeAll
  static void modelIsThere() {
    Path model = DefaultModel.path(TestCli.real().environment());
    assumeTrue(Files.isRegularFile(model), "missing: " + model + "; fetch it with ci/fetch-models default");
  }

  private static final Set<String> PAGES = Set.of("kv_peak_bytes", "kv_budget_bytes", "kv_pages_f16", "kv_pages_q4",
      "kv_pages_q42", "kv_pages_spilled", "kv_pages_shared", "kv_pages_evicted", "kv_bytes_f16", "kv_bytes_q4",
      "kv_bytes_q42", "kv_bytes_spilled", "kv_demotions", "kv_promotions", "kv_spills", "kv_recalls", "kv_evictions",
      "kv_recomputed", "kv_demotion_us", "kv_spill_us", "kv_read_us", "kv_read_bytes", "prune_active_tokens",
      "prune_shadow_tokens", "prune_dropped_tokens", "prune_pruned_tokens", "prune_recalled_tokens",
      "prune_read_tokens", "prune_omitted_mass", "prune_omitted_most", "prune_omitted_bound",
      "prune_omitted_bound_most", "prune_steps", "prune_tests", "prune_looks",
      "prune_us", "prune_prefill_tokens", "prune_prefill_left_out",
      "prune_prefill_recalled", "prune_prefill_shadow", "prune_prefill_us");

  private static Set<String> without(Set<String> some, JsonObject json) {
    assertTrue(json.keySet().containsAll(some), json.keySet().toString());
    Set<String> rest = new HashSet<>(json.keySet());
    rest.removeAll(some);
    return rest;
  }

  private static JsonObject json(TestCli.Outcome outcome) {
    assertEquals(0, outcome.code(), outcome.err());
    return JsonParser.parseString(outcome.out()).getAsJsonObject();
  }

  @Test
  void runJsonHasTheDocumentedKeys() {
    JsonObject json = json(TestCli.real().run("run", "--json", "--raw", "--max-tokens", "5", "--temperature", "0",
        "Once upon a time"));
    assertEquals(Set.of("text", "tokens", "prompt_tokens", "reused_tokens", "stop_reason", "stats", "techniques",
        "peak_rss_bytes", "model"), json.keySet());
    assertEquals(5, json.getAsJsonArray("tokens").size());
    assertEquals("max_tokens", json.get("stop_reason").getAsString());
    assertTrue(json.get("prompt_tokens").getAsInt() >= 4);
    assertTrue(json.get("peak_rss_bytes").getAsLong() > 0);
    assertEquals(Set.of("context_tokens", "tokens", "threads", "batch_threads", "prompt_tokens", "reused_tokens",
        "generated_tokens", "prompt_us", "decode_us", "sample_us", "prompt_tokens_per_second",
        "decode_tokens_per_second", "model_bytes", "kv_bytes", "compute_bytes", "draft_proposed", "draft_accepted",
        "draft_steps", "gate_steps", "gate_skipped_parts"), without(PAGES, json.getAsJsonObject("stats")));
    assertEquals("llama", json.getAsJsonObject("model").get("architecture").getAsString());
  }

  @Test
  void textAndJsonCarryTheSameAnswer() {
    String[] line = {"run", "--temperature", "0", "--max-tokens", "12", "Why is the sky blue?"};
    TestCli.Outcome plain = TestCli.real().run(line);
    assertEquals(0, plain.code(), plain.err());
    assertEquals("", plain.err());
    String[] asJson = Arrays.copyOf(line, line.length + 1);
    asJson[line.length] = "--json";
    assertEquals(json(TestCli.real().run(asJson)).get("text").getAsString() + "\n", plain.out());
  }

  @Test
  void seedRepeatsAnAnswer() {
    String[] line = {"run", "--seed", "7", "--max-tokens", "12", "Tell me a story."};
    assertEquals(TestCli.real().run(line).out(), TestCli.real().run(line).out());
  }

  @Test
  void systemMessageIsPartOfThePrompt() {
    int without = json(TestCli.real().run("run", "--json", "--max-tokens", "1", "Hi")).get("prompt_tokens").getAsInt();
    int with = json(TestCli.real().run("run", "--json", "--max-tokens", "1", "--system",
        "You answer every question with a long list of very different things, one per line, and then you apologise.",
        "Hi")).get("prompt_tokens").getAsInt();
    assertTrue(with != without, with + " and " + without);
  }

  @Test
  void stopStringEndsTheAnswerAndIsNotPartOfIt() {
    JsonObject json = json(TestCli.real().run("run", "--json", "--raw", "--temperature", "0", "--stop", " 5",
        "1 2 3 4 5 6 7 8 9 1 2 3"));
    assertEquals("stop_string", json.get("stop_reason").getAsString());
    assertFalse(json.get("text").getAsString().contains("5"));
  }

  @Test
  void grammarDecidesWhatCanBeSaid() throws IOException {
    Path grammar = Files.writeString(folder.resolve("g.gbnf"), "root ::= \"yes\" | \"no\"");
    String answer = TestCli.real().run("run", "--grammar", grammar.toString(), "Is water wet?").out();
    assertTrue(Set.of("yes\n", "no\n").contains(answer), answer);
    Files.writeString(grammar, "root ::= (");
    assertEquals(2, TestCli.real().run("run", "--grammar", grammar.toString(), "x").code());
  }

  @Test
  void jsonSchemaDecidesWhatCanBeSaid() throws IOException {
    Path schema = Files.writeString(folder.resolve("s.json"),
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"boolean\"}},\"required\":[\"a\"],"
            + "\"additionalProperties\":false}");
    TestCli.Outcome outcome = TestCli.real().run("run", "--json-schema", schema.toString(), "Answer.");
    assertEquals(0, outcome.code(), outcome.err());
    assertEquals(Set.of("a"), JsonParser.parseString(outcome.out()).getAsJsonObject().keySet());
  }

  @Test
  void promptThatDoesNotFitIsContextFull() {
    TestCli.Outcome outcome = TestCli.real().input("word ".repeat(2000)).run("run", "--context", "256", "-");
    assertEquals(5, outcome.code(), outcome.err());
    assertTrue(outcome.err().startsWith("error: "), outcome.err());
    assertTrue(outcome.err().contains("--context"), outcome.err());
  }

  @Test
  void answerCutOffByTheContextIsToldUnlessAskedFor() {
    String nearlyFull = "word ".repeat(230);
    String[] line = {"run", "--raw", "--context", "256", "--ignore-eos", "--max-tokens", "1000", nearlyFull};
    TestCli.Outcome cut = TestCli.real().run(line);
    assertEquals(5, cut.code(), cut.err());
    assertTrue(cut.err().startsWith("warning: the context is full"), cut.err());
    line[6] = "-1";
    TestCli.Outcome filled = TestCli.real().run(line);
    assertEquals(0, filled.code(), filled.err());
  }

  @Test
  void techniqueThatIsMissingIsWarnedOfAndReported() {
    TestCli.Outcome outcome = TestCli.real().run("run", "--json", "--max-tokens", "1", "--page-size", "16",
        "--pruning-threshold", "0.1", "--compression-rank", "8", "Hi");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.err().startsWith("warning: layer_compression is not available: "), outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    JsonArray techniques = json(outcome).getAsJsonArray("techniques");
    List<String> statuses = new ArrayList<>();
    for (JsonElement element : techniques) {
      JsonObject report = element.getAsJsonObject();
      assertEquals(Set.of("technique", "status", "detail"), report.keySet());
      statuses.add(report.get("technique").getAsString() + " " + report.get("status").getAsString());
    }
    assertTrue(statuses.contains("layer_compression not_available"), statuses.toString());
    assertTrue(statuses.contains("token_pruning active"), statuses.toString());
    assertTrue(statuses.contains("memory_manager active"), statuses.toString());
    assertTrue(json(outcome).getAsJsonObject("stats").get("kv_pages_f16").getAsInt() > 0);
  }

  @Test
  void strictTurnsTheWarningIntoAnError() {
    TestCli.Outcome outcome = TestCli.real().run("run", "--strict", "--compression-rank", "8", "Hi");
    assertEquals(6, outcome.code(), outcome.err());
    assertEquals("", outcome.out());
  }

  @Test
  void statsGoToStandardError() {
    TestCli.Outcome outcome = TestCli.real().run("run", "--stats", "--max-tokens", "3", "Hi");
    assertTrue(outcome.err().contains("tokens/s"), outcome.err());
    assertFalse(outcome.out().contains("tokens/s"), outcome.out());
  }

  @Test
  void statsShowWhatWasPrunedAndTheTechniques() {
    TestCli.Outcome outcome = TestCli.real().run("run", "--stats", "--max-tokens", "30", "--ignore-eos", "--keep-ratio",
        "0.5", "--prune-min-tokens", "64", "--compression-rank", "8", "word ".repeat(400));
    assertEquals(0, outcome.code(), outcome.err());
    List<String> rows = outcome.err().lines().toList();
    assertTrue(rows.stream().anyMatch(row -> row.matches("pruning +active \\d+, shadow \\d+, dropped 0, .* read, .*")),
        outcome.err());
    assertTrue(rows.stream().anyMatch(row -> row.matches("token_pruning +keeps 50 % of the tokens active, .*")),
        outcome.err());
    assertTrue(rows.stream().anyMatch(row -> row.matches("layer_compression +not available: .*")), outcome.err());
    assertTrue(rows.stream().noneMatch(row -> row.startsWith("edge_cloud")), outcome.err());
  }

  @Test
  void whatWasPrunedIsExplainedAsAPage() throws IOException {
    Path page = folder.resolve("page.html");
    String prompt = "<b>caf\u00e9</b> \ud83d\ude00 & ".repeat(60);
    JsonObject json = json(TestCli.real().run("run", "--json", "--raw", "--max-tokens", "40", "--ignore-eos",
        "--temperature", "0", "--keep-ratio", "0.5", "--prune-min-tokens", "64", "--explain-pruning", page.toString(),
        prompt));
    assertTrue(json.getAsJsonObject("stats").get("prune_steps").getAsInt() > 30, json.toString());
    String html = Files.readString(page);
    assertTrue(html.contains("<span class=\"shadow\""), html);
    assertTrue(html.contains("<span class=\"begin\">answer</span>"), html);
    String text = html.replaceAll("(?s)^.*<div class=\"text\"[^>]*>", "").replaceAll("(?s)</div>.*$", "")
        .replaceAll("<[^>]*>", "").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"")
        .replace("&#39;", "'").replace("&amp;", "&");
    assertTrue(text.startsWith(prompt + "answer"), text);
  }

  @Test
  void pruningThatIsNotActiveCannotBeExplained() {
    String page = folder.resolve("page.html").toString();
    TestCli.Outcome off = TestCli.real().run("run", "--pruning-threshold", "0", "--explain-pruning", page, "Hi");
    assertEquals(2, off.code(), off.err());
    assertTrue(
        off.err().startsWith("error: --explain-pruning: token pruning is not active: prunes nothing"), off.err());
    TestCli.Outcome exact = TestCli.real().run("run", "--pruning-threshold", "0.1", "--exact-attention",
        "--explain-pruning", page, "Hi");
    assertEquals(6, exact.code(), exact.err());
    assertTrue(exact.err().contains("exact_attention reads every token"), exact.err());
    assertFalse(Files.exists(Path.of(page)));
  }

  @Test
  void interruptKeepsWhatWasProducedAndEndsWith130() {
    InterruptingStream output = new InterruptingStream("");
    TestCli.Outcome outcome = TestCli.real().output(output).interrupts(output)
        .run("run", "--raw", "--ignore-eos", "--max-tokens", "2000", "Once upon a time");
    assertEquals(130, outcome.code(), outcome.err());
    assertEquals("", outcome.err());
    String text = output.toString(StandardCharsets.UTF_8);
    assertTrue(text.length() > 1 && text.endsWith("\n"), text);
    assertEquals(List.of(), output.actions);
  }

  @Test
  void readerThatLeavesStopsTheGeneration() {
    AtomicInteger written = new AtomicInteger();
    OutputStream head = new OutputStream() {
      @Override
      public void write(int b) throws IOException {
        if (written.incrementAndGet() > 20) {
          throw new IOException("Broken pipe");
        }
      }
    };
    TestCli.Outcome outcome = TestCli.real().output(head)
        .run("run", "--raw", "--ignore-eos", "--max-tokens", "2000", "Once upon a time");
    assertEquals(141, outcome.code(), outcome.err());
    assertEquals("", outcome.err());
    assertTrue(written.get() < 100, written.toString());
  }

  @Test
  void benchJsonHasTheDocumentedKeys() {
    JsonObject json = json(TestCli.real().property("llmm.commit", "abc123")
        .run("bench", "--json", "--depth", "0,64", "--prompt", "16", "--gen", "4", "--repeat", "2"));
    assertEquals(Set.of("machine", "model", "commit", "build", "settings", "results", "techniques",
        "peak_rss_bytes"), json.keySet());
    assertEquals("abc123", json.get("commit").getAsString());
    assertTrue(json.get("peak_rss_bytes").getAsLong() > 0);
    List<String> rows = new ArrayList<>();
    for (JsonElement element : json.getAsJsonArray("results")) {
      JsonObject row = element.getAsJsonObject();
      assertEquals(Set.of("test", "depth", "tokens_per_second", "median", "kv_bytes"), without(PAGES, row));
      assertEquals(2, row.getAsJsonArray("tokens_per_second").size());
      row.getAsJsonArray("tokens_per_second").forEach(speed -> assertTrue(speed.getAsDouble() > 0));
      assertTrue(row.get("kv_bytes").getAsLong() > 0);
      rows.add(row.get("test").getAsString() + "@" + row.get("depth").getAsInt());
    }
    assertEquals(List.of("pp16@0", "tg4@0", "pp16@64", "tg4@64"), rows);
  }

  @Test
  void benchTableHasARowPerTest() {
    TestCli.Outcome outcome = TestCli.real().run("bench", "--prompt", "8", "--gen", "2", "--repeat", "1");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.out().contains("\npp8 ") && outcome.out().contains("\ntg2 "), outcome.out());
    assertEquals("", outcome.err());
  }

  @Test
  void benchComparesATextWithABaseline() throws IOException {
    Path text = Files.writeString(folder.resolve("bench.txt"), "The sky is blue because the air scatters blue light.");
    JsonObject json = json(TestCli.real().run("bench", "--json", "--baseline", "--file", text.toString(), "--depth", "40",
        "--prompt", "0", "--gen", "4", "--repeat", "2", "--max-memory-mb", "16"));
    JsonObject row = json.getAsJsonArray("results").get(0).getAsJsonObject();
    assertEquals(2, row.getAsJsonArray("baseline_tokens_per_second").size());
    assertTrue(row.get("ratio").getAsDouble() > 0);
    assertEquals("plain", json.getAsJsonObject("settings").get("baseline").getAsString());

    Files.writeString(text, "");
    TestCli.Outcome empty = TestCli.real().run("bench", "--file", text.toString());
    assertEquals(2, empty.code());
    assertTrue(empty.err().contains("has no text"), empty.err());
  }

  @Test
  void perplexityAgainstItselfIsWithoutDivergence() throws IOException {
    Path text = Files.writeString(folder.resolve("text.txt"),
        "The quick brown fox jumps over the lazy dog, and the dog does not mind at all. ".repeat(20));
    Path dense = folder.resolve("dense.bin");
    JsonObject saved = json(TestCli.real().run("perplexity", "--file", text.toString(), "--context", "128", "--chunks",
        "2", "--save-dense", dense.toString(), "--json"));
    assertEquals(Set.of("perplexity", "stderr", "tokens", "kl_mean", "kl_p99", "top1_agreement", "techniques",
        "peak_rss_bytes", "model"), saved.keySet());
    assertTrue(saved.get("perplexity").getAsDouble() > 1);
    assertEquals(2 * 63, saved.get("tokens").getAsInt());
    assertTrue(saved.get("kl_mean").isJsonNull());
    JsonObject compared = json(TestCli.real().run("perplexity", "--file", text.toString(), "--context", "128",
        "--chunks", "2", "--against", dense.toString(), "--json"));
    assertEquals(saved.get("perplexity").getAsDouble(), compared.get("perplexity").getAsDouble(), 1e-3);
    assertEquals(0, compared.get("kl_mean").getAsDouble(), 1e-3);
    assertEquals(1, compared.get("top1_agreement").getAsDouble(), 1e-9);
  }

  @Test
  void perplexityNeedsTwoWindows() throws IOException {
    Path text = Files.writeString(folder.resolve("short.txt"), "too short");
    TestCli.Outcome outcome = TestCli.real().run("perplexity", "--file", text.toString());
    assertEquals(2, outcome.code(), outcome.err());
  }

  @Test
  void chatRemembersAndSaves() {
    Path file = folder.resolve("talk.json");
    TestCli.Outcome first = TestCli.real().input("Hello\n/save " + file + "\nAnd you?\n")
        .run("chat", "--json", "--max-tokens", "8", "--temperature", "0");
    assertEquals(0, first.code(), first.err());
    List<JsonObject> answers =
        first.out().lines().map(line -> JsonParser.parseString(line).getAsJsonObject()).toList();
    assertEquals(2, answers.size(), first.out());
    assertTrue(answers.get(1).get("reused_tokens").getAsInt() > 0, first.out());

    TestCli.Outcome second = TestCli.real().input("/load " + file + "\nAnd you?\n")
        .run("chat", "--json", "--max-tokens", "8", "--temperature", "0");
    assertEquals(0, second.code(), second.err());
    JsonObject again = JsonParser.parseString(second.out()).getAsJsonObject();
    assertEquals(answers.get(1).get("text").getAsString(), again.get("text").getAsString());
    assertTrue(again.get("reused_tokens").getAsInt() > 0, second.out());
  }

  @Test
  void inspectShowsTheHeader() {
    TestCli.Outcome table = TestCli.real().run("inspect");
    assertEquals(0, table.code(), table.err());
    assertTrue(table.out().contains("general.architecture"), table.out());
    assertFalse(table.out().contains("token_embd.weight"), table.out());
    assertTrue(TestCli.real().run("inspect", "--tensors").out().contains("token_embd.weight"));
    JsonObject json = json(TestCli.real().run("inspect", "--json"));
    assertTrue(json.keySet().containsAll(Set.of("file", "version", "size_bytes", "parameters", "metadata")),
        json.keySet().toString());
    assertFalse(json.has("tensors"));
    assertTrue(json(TestCli.real().run("inspect", "--json", "--tensors")).getAsJsonArray("tensors").size() > 0);
  }

  @Test
  void fileThatIsNoModelIsModelUnavailable() throws IOException {
    Path file = Files.writeString(folder.resolve("no.gguf"), "this is no model");
    assertEquals(3, TestCli.real().run("run", "--model", file.toString(), "x").code());
    assertEquals(3, TestCli.real().run("inspect", "--model", file.toString()).code());
  }

  @Test
  void modelVerifies() {
    assertEquals(0, TestCli.real().run("models", "verify").code());
  }
}
