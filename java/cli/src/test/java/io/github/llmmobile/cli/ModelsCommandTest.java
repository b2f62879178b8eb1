package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelsCommandTest {
  @TempDir Path cache;

  @Test
  void cacheFolderFollowsTheVariablesInTheirOrder() {
    TestCli cli = new TestCli().property("user.home", "/home/u");
    assertEquals(Path.of("/home/u/.cache/llm-mobile"), DefaultModel.cacheFolder(cli.environment()));
    cli.variable("XDG_CACHE_HOME", "/xdg");
    assertEquals(Path.of("/xdg/llm-mobile"), DefaultModel.cacheFolder(cli.environment()));
    cli.variable("LLMM_CACHE_DIR", "/own");
    assertEquals(Path.of("/own"), DefaultModel.cacheFolder(cli.environment()));
    cli.variable("LLMM_CACHE_DIR", "");
    assertEquals(Path.of("/xdg/llm-mobile"), DefaultModel.cacheFolder(cli.environment()));
  }

  @Test
  void pathPrintsThePathAlone() {
    TestCli.Outcome outcome = new TestCli().cache(cache).run("models", "path");
    assertEquals(0, outcome.code());
    assertEquals(cache.resolve("models").resolve("SmolLM2-135M-Instruct.Q4_1.gguf") + "\n", outcome.out());
  }

  @Test
  void listSaysHowToGetAMissingModel() {
    TestCli.Outcome outcome = new TestCli().cache(cache).run("models");
    assertEquals(0, outcome.code());
    assertTrue(outcome.out().contains("missing"), outcome.out());
    assertTrue(outcome.out().contains("ci/fetch-models default"), outcome.out());
  }

  @Test
  void jsonHasItsKeys() {
    JsonObject json = JsonParser.parseString(new TestCli().cache(cache).run("models", "--json").out())
        .getAsJsonObject();
    assertEquals(Set.of("name", "path", "status", "size_bytes", "license", "sha256"), json.keySet());
    assertEquals("missing", json.get("status").getAsString());
    assertEquals(98_362_432L, json.get("size_bytes").getAsLong());
  }

  @Test
  void everyCommandNamesTheMissingModelAndItsRemedy() {
    for (String[] line : new String[][] {{"run", "x"}, {"chat"}, {"inspect"}, {"bench"}}) {
      TestCli.Outcome outcome = new TestCli().cache(cache).run(line);
      assertEquals(3, outcome.code(), line[0]);
      assertTrue(outcome.err().startsWith("error: the default model is missing: " + cache), outcome.err());
      assertTrue(outcome.err().contains("\nhint: fetch the default model with: ci/fetch-models default"),
          outcome.err());
    }
  }

  @Test
  void modelOfTheWrongSizeIsIncomplete() throws IOException {
    Path file = cache.resolve("models").resolve(DefaultModel.FILE);
    Files.createDirectories(file.getParent());
    Files.write(file, new byte[1000]);
    TestCli.Outcome run = new TestCli().cache(cache).run("run", "x");
    assertEquals(3, run.code());
    assertTrue(run.err().contains("incomplete"), run.err());
    assertTrue(new TestCli().cache(cache).run("models").out().contains("incomplete"));
  }

  @Test
  void verifyRefusesAFileOfTheRightSizeWithOtherContent() throws IOException {
    Path file = cache.resolve("copy.gguf");
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(DefaultModel.SIZE_BYTES);
    }
    TestCli.Outcome outcome = new TestCli().run("models", "verify", "--model", file.toString());
    assertEquals(3, outcome.code());
    assertTrue(outcome.err().contains("is not the default model"), outcome.err());
  }

  @Test
  void verifyNamesAMissingFile() {
    TestCli.Outcome outcome = new TestCli().cache(cache).run("models", "verify");
    assertEquals(3, outcome.code());
    assertTrue(outcome.err().contains("is missing"), outcome.err());
  }

  @Test
  void digestIsThatOfTheBytes() throws IOException {
    Path file = Files.writeString(cache.resolve("abc"), "abc");
    assertEquals("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        DefaultModel.sha256(file, read -> {}));
  }

  @Test
  void namedModelThatIsMissingIsModelUnavailable() {
    TestCli.Outcome outcome = new TestCli().run("run", "--model", cache.resolve("none.gguf").toString(), "x");
    assertEquals(3, outcome.code());
    assertTrue(outcome.err().startsWith("error: no such model file"), outcome.err());
    TestCli.Outcome directory = new TestCli().run("run", "--model", cache.toString(), "x");
    assertEquals(3, directory.code());
    assertTrue(directory.err().contains("a folder"), directory.err());
  }

  @Test
  void missingAdapterIsNoticedBeforeTheModelIsLoaded() {
    TestCli.Outcome outcome = new TestCli().cache(cache).run("run", "--lora", cache.resolve("none.gguf") + ":0.5", "x");
    assertEquals(2, outcome.code());
    assertTrue(outcome.err().startsWith("error: no such LoRA adapter: " + cache), outcome.err());
  }
}
