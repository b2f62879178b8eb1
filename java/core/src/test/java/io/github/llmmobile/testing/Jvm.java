package io.github.llmmobile.testing;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A fresh JVM with this one's class path. */
public final class Jvm {
  private static final long TIMEOUT_SECONDS = 120;

  private Jvm() {}

  /** Runs it to its end and returns what it printed, standard error included. */
  public static String run(List<String> properties, Class<?> main) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(properties);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    try (InputStream out = process.getInputStream()) {
      String text = new String(out.readAllBytes(), StandardCharsets.UTF_8);
      assertTrue(process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS), () -> "hangs after: " + text);
      return text;
    } finally {
      process.destroyForcibly();
    }
  }
}
