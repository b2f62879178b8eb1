package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.testing.Jvm;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LlmMobileTest {
  @Test
  void theLibraryTellsAboutItselfAndTheMachine() {
    JsonObject build = JsonParser.parseString(LlmMobile.buildInfo()).getAsJsonObject();
    assertEquals(build.get("version").getAsString(), LlmMobile.version());
    assertTrue(build.has("llama_cpp"));
    JsonObject system = JsonParser.parseString(LlmMobile.systemInfo()).getAsJsonObject();
    assertEquals(system.get("physical_cores").getAsInt(), LlmMobile.physicalCores());
    assertTrue(LlmMobile.physicalCores() >= 1);
    ProcessMemory memory = LlmMobile.processMemory();
    assertTrue(memory.peakRssBytes() >= memory.rssBytes() && memory.rssBytes() > 0, memory::toString);
  }

  /** Uses the library twice and prints what happens. */
  static final class Probe {
    private Probe() {}

    public static void main(String[] args) {
      for (int i = 0; i < 2; i++) {
        try {
          System.out.println("version " + LlmMobile.version());
        } catch (LlmException e) {
          System.out.println("failure " + e.code() + " " + e.getMessage().contains("llmm.native.path"));
        }
      }
    }
  }

  @Test
  void aMissingLibraryIsTheSameErrorEveryTime(@TempDir Path empty) throws IOException, InterruptedException {
    String out = Jvm.run(List.of("-Dllmm.native.path=" + empty), Probe.class);
    assertEquals(List.of("failure NATIVE_LIBRARY true", "failure NATIVE_LIBRARY true"), ours(out), out);
  }

  @Test
  void aProgramThatLogsAtInfoHearsOfTheLoadingAndOfNothingElse() throws IOException, InterruptedException {
    String out = Jvm.run(List.of(
        "-Dllmm.native.path=" + System.getProperty("llmm.native.path", ""),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
        "-Dorg.slf4j.simpleLogger.log.io.github.llmmobile.native=info"), Probe.class);
    assertEquals(2, ours(out).size(), out);
    List<String> log = out.lines().filter(line -> line.contains("INFO")).collect(Collectors.toList());
    assertEquals(1, log.size(), out);
    assertTrue(log.get(0).contains("LLM Mobile " + LlmMobile.version()), out);
  }

  private static List<String> ours(String out) {
    return out.lines().filter(line -> line.startsWith("version") || line.startsWith("failure"))
        .collect(Collectors.toList());
  }
}
