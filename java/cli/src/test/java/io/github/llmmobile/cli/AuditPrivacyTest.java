package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code audit-privacy} with a tiny model of five layers and a text without sense. */
class AuditPrivacyTest {
  @TempDir Path folder;
  private Path model;
  private Path text;

  @BeforeEach
  void write() throws IOException {
    model = TinyModelFile.deepIn(folder);
    StringBuilder letters = new StringBuilder();
    new Random(1).ints(6000, 'a', 'z' + 1).forEach(letter -> letters.append((char) letter));
    text = Files.writeString(folder.resolve("text.txt"), letters);
  }

  private TestCli.Outcome audit(String... more) {
    List<String> line = new ArrayList<>(List.of("audit-privacy", "--model", model.toString(), "--text", text.toString(),
        "--train-tokens", "1500", "--tokens", "200", "--search-tokens", "20", "--threads", "1"));
    line.addAll(List.of(more));
    return TestCli.real().run(line.toArray(String[]::new));
  }

  private static JsonArray exposures(TestCli.Outcome outcome) {
    assertEquals(0, outcome.code(), outcome.err());
    return JsonParser.parseString(outcome.out()).getAsJsonObject().getAsJsonArray("exposures");
  }

  private static double of(JsonArray exposures, int index, String attack) {
    return exposures.get(index).getAsJsonObject().get(attack).getAsDouble();
  }

  @Test
  void wholeRowsAfterOneLayerGiveTheTextAway() {
    TestCli.Outcome outcome = audit("--splits", "1,4", "--codecs", "f32,int4", "--json");
    JsonArray exposures = exposures(outcome);
    assertEquals(4, exposures.size());
    assertTrue(of(exposures, 0, "regression") > 0.9, outcome.out());
    assertTrue(of(exposures, 0, "search") > 0.9, outcome.out());
    for (int i = 0; i < 4; i++) {
      assertTrue(of(exposures, i, "shuffled") < 0.3, outcome.out());
    }
    JsonObject json = JsonParser.parseString(outcome.out()).getAsJsonObject();
    assertTrue(json.get("most_frequent_token").getAsDouble() < 0.3, outcome.out());
  }

  @Test
  void reducedRowsAreAttackedAtTheSplitsOfTheBasis() {
    Path basis = folder.resolve("tiny.basis");
    TestCli.Outcome made = TestCli.real().run("calibrate", model.toString(), "--text", text.toString(), "--output",
        basis.toString(), "--basis-layers", "2", "--tokens", "600", "--eval-tokens", "1024", "--threads", "1");
    assertEquals(0, made.code(), made.err());
    TestCli.Outcome outcome =
        audit("--splits", "1,2", "--codecs", "f32", "--basis", basis.toString(), "--keep", "0.05", "--json");
    JsonArray exposures = exposures(outcome);
    assertEquals(3, exposures.size());
    assertEquals(0, exposures.get(1).getAsJsonObject().get("keep_dims").getAsInt());
    assertEquals(3, exposures.get(2).getAsJsonObject().get("keep_dims").getAsInt());
    assertTrue(of(exposures, 2, "regression") < of(exposures, 1, "regression"), outcome.out());
    assertEquals(2, audit("--splits", "1", "--basis", basis.toString()).code());
    assertTrue(audit("--splits", "2", "--codecs", "f32", "--basis", basis.toString()).out()
        .contains("32 of 64 dimensions"));
  }

  @Test
  void wrongOptionsAreRefused() {
    for (String[] wrong : new String[][] {{"--splits", "5"}, {"--splits", "0"}, {"--codecs", "int2"}, {"--keep", "2"},
        {"--tokens", "0"}, {"--search-tokens", "201"}, {"--train-tokens", "1000000"}}) {
      TestCli.Outcome outcome = audit(wrong);
      assertEquals(2, outcome.code(), outcome.err());
    }
  }
}
