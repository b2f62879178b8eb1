package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.LayerProfile;
import io.github.llmmobile.edge.RowBasis;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code calibrate} with a tiny model of five layers. */
class CalibrateTest {
  @TempDir Path folder;
  private Path model;
  private Path text;
  private Path output;

  @BeforeEach
  void write() throws IOException {
    model = TinyModelFile.deepIn(folder);
    text = Files.writeString(folder.resolve("text.txt"), "the world and the stop hello to he ".repeat(400));
    output = folder.resolve("tiny.profile");
  }

  private TestCli.Outcome calibrate(TestCli cli, String... more) {
    Map<String, String> options = new LinkedHashMap<>(Map.of("--tokens", "600", "--trial-tokens", "1024",
        "--eval-tokens", "1024", "--parts", "3", "--max-kl", "100", "--ranks", "2,4"));
    List<String> line = new ArrayList<>(List.of("calibrate", model.toString(), "--text", text.toString(), "--output",
        output.toString(), "--threads", "1"));
    for (int i = 0; i < more.length; i++) {
      if (more[i].equals("--json")) {
        line.add(more[i]);
      } else {
        options.put(more[i], more[++i]);
      }
    }
    options.forEach((name, value) -> line.addAll(List.of(name, value)));
    return cli.run(line.toArray(String[]::new));
  }

  private void refused(int code, String says, String... more) {
    TestCli.Outcome outcome = calibrate(new TestCli(), more);
    assertEquals(code, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains(says), outcome.err());
    assertFalse(Files.exists(output));
  }

  @Test
  void wrongOptionsAreRefused() throws IOException {
    refused(2, "--ranks", "--ranks", "-1");
    refused(2, "only 64 wide", "--ranks", "65");
    refused(2, "--parts", "--parts", "0");
    refused(2, "are needed", "--tokens", "1000000");
    refused(2, "--trial-tokens", "--trial-tokens", "100");
    refused(2, "no such folder", "--html", folder.resolve("no/such/page.html").toString());
    model = folder.resolve("absent.gguf");
    refused(3, "no such model file");
    model = TinyModelFile.in(folder);
    refused(6, "no parts that can be left out");
  }

  @Test
  void compressMakesTheSameProfile() throws IOException {
    Files.writeString(text, "the world and the stop hello to he ".repeat(1000));
    TestCli.Outcome here = calibrate(new TestCli(), "--ranks", "4", "--trial-tokens", "2048", "--parts", "12",
        "--max-kl", "0.5");
    assertEquals(0, here.code(), here.err());
    byte[] profile = Files.readAllBytes(output);
    Files.delete(output);
    TestCli.Outcome there = new TestCli().run("compress", "--mode", "bypass", "--rank", "4", model.toString(), "--text",
        text.toString(), "--tokens", "600", "--eval-tokens", "1024", "--threads", "1", "--output", output.toString());
    assertEquals(0, there.code(), there.err());
    assertEquals(here.out(), there.out());
    assertArrayEquals(profile, Files.readAllBytes(output));
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  @Test
  void aProfileIsMeasuredAndActs() throws IOException {
    Path page = folder.resolve("page.html");
    TestCli.Outcome outcome = calibrate(TestCli.real(), "--json", "--html", page.toString());
    assertEquals(0, outcome.code(), outcome.err());
    JsonObject data = JsonParser.parseString(outcome.out()).getAsJsonObject().getAsJsonObject("profile");
    LayerProfile profile = LayerProfile.read(output);
    assertEquals(5, profile.layers());
    assertEquals(List.of(2, 4), profile.ranks());
    assertEquals(3, profile.order().size());
    assertEquals(data.getAsJsonArray("order").size(), profile.order().size());
    JsonArray parts = data.getAsJsonObject("report").getAsJsonArray("parts");
    assertEquals(6, parts.size());
    for (int i = 0; i < parts.size(); i++) {
      JsonObject part = parts.get(i).getAsJsonObject();
      assertTrue(part.get("kl").getAsDouble() > 0, part.toString());
      assertTrue(part.get("kl").getAsDouble() != part.get("kl_stand_in").getAsDouble(), part.toString());
      assertTrue(part.get("block_influence").getAsDouble() > 0, part.toString());
    }
    JsonArray gates = data.getAsJsonObject("report").getAsJsonArray("gates");
    assertEquals(4 * 9, gates.size());
    double always = gates.get(3).getAsJsonObject().get("kl").getAsDouble();
    for (int i = 3; i < gates.size(); i += 4) {
      assertEquals(always, gates.get(i).getAsJsonObject().get("kl").getAsDouble(), 1e-12, "every step");
    }
    JsonObject oracle = gates.get(gates.size() - 4).getAsJsonObject();
    assertEquals("oracle", oracle.get("gate").getAsString());
    assertEquals(0.25, oracle.get("share").getAsDouble(), 0.01);
    assertTrue(oracle.get("relative_kl_per_work").getAsDouble() < 1, oracle.toString());
    assertTrue(profile.hotPath().containsAll(List.of(0, 4)));
    assertEquals(1, profile.entropyShares().stream().mapToDouble(Double::doubleValue).sum(), 0.01);
    String html = Files.readString(page);
    assertTrue(html.contains("<svg") && !html.contains("<script") && !html.contains("http:") && !html.contains("https:"), "no page of our own");
    assertEquals(List.of(model, page, text, output), files(), "temporary files are left");

    TestCli.Outcome run = TestCli.real().run("run", "--model", model.toString(), "--raw", "--json", "--stats",
        "--max-tokens", "5", "--ignore-eos", "--layer-profile", output.toString(), "--layer-mode", "static",
        "--skip-budget", "1", "hello");
    assertEquals(0, run.code(), run.err());
    JsonObject stats = JsonParser.parseString(run.out()).getAsJsonObject().getAsJsonObject("stats");
    assertEquals(3 * stats.get("gate_steps").getAsInt(), stats.get("gate_skipped_parts").getAsInt(), stats.toString());
    assertTrue(run.err().contains("leaves out"), run.err());

    TestCli.Outcome careful = TestCli.real().run("run", "--model", model.toString(), "--raw", "--stats", "--max-tokens", "5",
        "--layer-profile", output.toString(), "--kl-budget", "0.000001", "hello");
    assertEquals(0, careful.code(), careful.err());
    assertTrue(careful.err().contains("leaves nothing out: the cheapest part costs a divergence of "), careful.err());
  }

  @Test
  void aBasisIsMadeForSplits() throws IOException {
    TestCli.Outcome outcome = calibrate(TestCli.real(), "--json", "--basis-layers", "3,2");
    assertEquals(0, outcome.code(), outcome.err());
    assertEquals(List.of(model, text, output), files(), "temporary files are left");
    RowBasis basis = RowBasis.read(output);
    assertEquals(List.of(2, 3), basis.splits());
    JsonArray reductions = JsonParser.parseString(outcome.out()).getAsJsonObject().getAsJsonArray("reductions");
    assertEquals(6, reductions.size());
    double last = 1;
    for (int i = 0; i < 3; i++) {
      JsonObject reduction = reductions.get(i).getAsJsonObject();
      assertEquals(2, reduction.get("split").getAsInt());
      assertEquals(16 * (i + 1), reduction.get("keep_dims").getAsInt());
      double error = reduction.get("error").getAsDouble();
      assertTrue(error >= 0 && error < last, outcome.out());
      last = error;
    }
    // A text of a few words lies in few dimensions: half of them lose next to nothing.
    assertTrue(reductions.get(1).getAsJsonObject().get("error").getAsDouble() < 0.01, outcome.out());
    refusedBasis("--basis-layers", "5");
    refusedBasis("--basis-layers", "0");
  }

  private void refusedBasis(String... more) {
    TestCli.Outcome outcome = calibrate(TestCli.real(), more);
    assertEquals(2, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("must be from 1 to 4"), outcome.err());
  }

  @Test
  void aStoppedCalibrationGoesOnWhereItWas() throws IOException {
    Path partial = folder.resolve("tiny.profile.partial");
    // The output's folder is there, its name is taken by a folder: all is measured, and nothing can be written.
    Files.createDirectory(output);
    Files.writeString(output.resolve("in-the-way"), "");
    assertTrue(calibrate(TestCli.real()).code() != 0);
    assertTrue(Files.exists(partial));
    List<String> lines = Files.readAllLines(partial);
    assertTrue(lines.size() > 20, lines::toString);
    Files.delete(output.resolve("in-the-way"));
    Files.delete(output);
    // Half of it, the last line cut off; a trial that says something else shows that it is believed.
    List<String> kept = new ArrayList<>(lines.subList(0, lines.size() / 2));
    kept.set(1, kept.get(1).replaceAll("\"kl\":[^,]*", "\"kl\":77.5"));
    Files.writeString(partial, String.join("\n", kept) + "\n" + lines.get(lines.size() / 2).substring(0, 20));
    TestCli.Outcome outcome = calibrate(TestCli.real(), "--json");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("going on with " + (kept.size() - 1) + " trials"), outcome.err());
    assertTrue(outcome.out().contains("77.5"), outcome.out());
    assertFalse(Files.exists(partial));
  }
}
