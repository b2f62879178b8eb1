package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The tiny models of the core module's tests, whose classes are on the class path at run time only. */
public final class TinyModels {
  /** Layers of the deep one. */
  public static final int LAYERS = 5;
  /** Tokens that a session of it holds. */
  public static final int CONTEXT = 512;

  private static final Path DEEP = write("deepBytes");
  private static final Path OTHER = write("otherBytes");

  private static final class Deep {
    static final LlmModel MODEL = LlmModel.load(ModelOptions.of(DEEP));
  }

  private TinyModels() {}

  /** A model of {@link #LAYERS} layers. Skips the test if the core module's tests have not been compiled. */
  public static Path deep() {
    assumeTrue(DEEP != null, "the tests of java/core are not compiled");
    return DEEP;
  }

  /** The same, loaded. */
  public static LlmModel deepModel() {
    deep();
    return Deep.MODEL;
  }

  /** Another model with the same vocabulary. */
  public static Path other() {
    assumeTrue(OTHER != null, "the tests of java/core are not compiled");
    return OTHER;
  }

  private static Path write(String which) {
    try {
      byte[] bytes =
          (byte[]) Class.forName("io.github.llmmobile.testing.TinyModel").getMethod(which).invoke(null);
      Path file = Files.createTempFile("llmm-edge", ".gguf");
      file.toFile().deleteOnExit();
      return Files.write(file, bytes);
    } catch (ReflectiveOperationException e) {
      return null;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
