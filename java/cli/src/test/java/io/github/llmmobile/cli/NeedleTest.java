package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code needle} with the tiny model, which finds nothing but always in the same way. */
class NeedleTest {
  /** A token of the tiny model is a letter. */
  private static final String[] SMALL = {"--tokens", "256", "--gap", "4", "--depths", "10,90", "--threads", "1"};

  @TempDir static Path folder;
  private static Path model;

  @BeforeAll
  static void writeModel() throws IOException {
    model = TinyModelFile.in(folder);
  }

  private static TestCli.Outcome needle(TestCli cli, String... more) {
    Stream<String> start = Stream.of("needle", "--model", model.toString());
    return cli.run(Stream.concat(Stream.concat(start, Arrays.stream(SMALL)), Arrays.stream(more))
        .toArray(String[]::new));
  }

  private static JsonObject json(TestCli.Outcome outcome) {
    assertEquals(0, outcome.code(), outcome.err());
    return JsonParser.parseString(outcome.out()).getAsJsonObject();
  }

  private static List<JsonObject> rows(JsonObject json) {
    List<JsonObject> rows = new ArrayList<>();
    for (JsonElement row : json.getAsJsonArray("results")) {
      rows.add(row.getAsJsonObject());
    }
    return rows;
  }

  private static List<Double> margins(JsonObject json, String name) {
    return rows(json).stream().map(row -> row.get(name).getAsDouble()).toList();
  }

  @Test
  void jsonHasTheDocumentedKeys() {
    JsonObject json = json(needle(new TestCli(), "--json"));
    assertEquals(Set.of("model", "commit", "build", "settings", "interrupted", "results", "summary", "techniques",
        "peak_rss_bytes"), json.keySet());
    assertEquals(Set.of("tokens", "depths", "fillers", "gap", "order", "opening", "baseline", "seed",
        "context_tokens", "threads", "flash_attention"), json.getAsJsonObject("settings").keySet());
    assertEquals("question-last", json.getAsJsonObject("settings").get("order").getAsString());
    assertFalse(json.get("interrupted").getAsBoolean());
    assertEquals(2, rows(json).size());
    for (JsonObject row : rows(json)) {
      assertTrue(row.keySet().containsAll(Set.of("filler", "depth", "position", "key", "key_tokens", "dense_margin",
          "dense_found", "margin", "found", "key_logprob", "best_wrong", "best_wrong_logprob", "kv_bytes")),
          row.keySet().toString());
      assertEquals("essay", row.get("filler").getAsString());
      assertEquals(5, row.get("key_tokens").getAsInt());
      assertTrue(row.get("key_logprob").getAsDouble() < 0);
      assertEquals(row.get("margin").getAsDouble() > 0, row.get("found").getAsBoolean());
    }
    assertEquals(2, json.getAsJsonObject("summary").get("needles").getAsInt());
  }

  @Test
  void resultsRepeat() {
    String[] line = {"--json", "--filler", "noise", "--order", "question-aware"};
    assertEquals(json(needle(new TestCli(), line)).get("results"), json(needle(new TestCli(), line)).get("results"));
  }

  @Test
  void openingChangesHowAndNotWhatIsRead() {
    List<Double> decoded = margins(json(needle(new TestCli(), "--json")), "margin");
    List<Double> prompt = margins(json(needle(new TestCli(), "--json", "--opening", "prompt")), "margin");
    for (int i = 0; i < decoded.size(); i++) {
      assertEquals(decoded.get(i), prompt.get(i), 0.02);
    }
  }

  @Test
  void baselineIsWhatIsMeasuredWithoutTechniques() {
    JsonObject alone = json(needle(new TestCli(), "--json"));
    JsonObject paged = json(needle(new TestCli(), "--json", "--baseline", "--page-size", "16",
        "--quantization-enabled=false"));
    assertEquals(margins(alone, "margin"), margins(paged, "dense_margin"));
    assertTrue(rows(paged).get(0).get("kv_pages_f16").getAsInt() > 0);
    JsonObject summary = paged.getAsJsonObject("summary");
    assertEquals(alone.getAsJsonObject("summary").get("found"), summary.get("dense_found"));
    List<Double> margins = margins(paged, "margin");
    for (int i = 0; i < margins.size(); i++) {
      assertEquals(margins(paged, "dense_margin").get(i), margins.get(i), 0.02);
    }
  }

  @Test
  void branchesAreForksOrRewoundAndBothGiveTheSame() {
    // The exact mode computes the bits of llama.cpp, whose sessions are rewound; those with pages are forked.
    JsonObject json = json(needle(new TestCli(), "--json", "--baseline", "--page-size", "16", "--exact-attention",
        "--quantization-enabled=false"));
    assertEquals(margins(json, "dense_margin"), margins(json, "margin"));
  }

  @Test
  void tableHasARowPerNeedleAndASummary() {
    TestCli.Outcome outcome = needle(new TestCli(), "--filler", "repeat,noise");
    assertEquals(0, outcome.code(), outcome.err());
    assertEquals("", outcome.err());
    assertEquals(2, outcome.out().lines().filter(line -> line.matches("repeat +\\d+ % .*")).count(), outcome.out());
    assertEquals(2, outcome.out().lines().filter(line -> line.matches("noise +\\d+ % .*")).count(), outcome.out());
    assertTrue(outcome.out().contains("\nfound "), outcome.out());
    assertTrue(outcome.out().contains("\nmargin  mean "), outcome.out());
  }

  @Test
  void textTooShortForTheNeedleIsAUsageError() {
    TestCli.Outcome outcome = new TestCli().run("needle", "--model", model.toString(), "--tokens", "20");
    assertEquals(2, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("--tokens has no room for the needle: 20"), outcome.err());
  }

  @Test
  void interruptReportsWhatIsDoneAndEndsWith130() {
    String depths = "10,90,".repeat(500) + "50";
    // The bar of the measurement is not drawn before it has run for a while.
    InterruptingStream screen = new InterruptingStream("essay at ");
    TestCli.Outcome outcome = needle(new TestCli().terminals().errors(screen).interrupts(screen), "--depths", depths,
        "--json");
    assertEquals(130, outcome.code(), screen.toString(StandardCharsets.UTF_8));
    JsonObject json = JsonParser.parseString(outcome.out()).getAsJsonObject();
    assertTrue(json.get("interrupted").getAsBoolean());
    int done = rows(json).size();
    assertTrue(done < 1001, done + " needles");
    assertEquals(done, json.getAsJsonObject("summary").get("needles").getAsInt());
    assertEquals(List.of(), screen.actions);
  }
}
