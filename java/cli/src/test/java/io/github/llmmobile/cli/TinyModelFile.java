package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The tiny model of the core module's tests, whose classes are on the class path at run time only. */
public final class TinyModelFile {
  private TinyModelFile() {}

  /** Writes the model. Skips the test if the core module's tests have not been compiled. */
  public static Path in(Path folder) throws IOException {
    return write(folder.resolve("tiny.gguf"), "bytes");
  }

  /** One with more layers. */
  public static Path deepIn(Path folder) throws IOException {
    return write(folder.resolve("deep.gguf"), "deepBytes");
  }

  private static Path write(Path file, String kind) throws IOException {
    byte[] bytes = null;
    try {
      bytes = (byte[]) Class.forName("io.github.llmmobile.testing.TinyModel").getMethod(kind).invoke(null);
    } catch (ReflectiveOperationException e) {
      assumeTrue(false, "the tests of java/core are not compiled: " + e);
    }
    return Files.write(file, bytes);
  }
}
