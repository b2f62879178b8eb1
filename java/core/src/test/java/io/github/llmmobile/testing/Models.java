package io.github.llmmobile.testing;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import java.nio.file.Files;
import java.nio.file.Path;

/** Models that tests share. They live as long as the JVM. */
public final class Models {
  private static final class Tiny {
    static final Path PATH = TinyModel.file("tiny.gguf", TinyModel.bytes());
    static final LlmModel MODEL = LlmModel.load(ModelOptions.of(PATH));
  }

  private static final class Plain {
    static final LlmModel MODEL =
        LlmModel.load(ModelOptions.of(TinyModel.file("plain.gguf", TinyModel.plainBytes())));
  }

  private static final class Other {
    static final LlmModel MODEL =
        LlmModel.load(ModelOptions.of(TinyModel.file("other.gguf", TinyModel.otherBytes())));
  }

  private static final class Deep {
    static final LlmModel MODEL =
        LlmModel.load(ModelOptions.of(TinyModel.file("deep.gguf", TinyModel.deepBytes())));
  }

  private static final class Smol {
    static final LlmModel MODEL = LlmModel.load(ModelOptions.of(smolPath()));
  }

  private Models() {}

  public static LlmModel tiny() {
    return Tiny.MODEL;
  }

  public static Path tinyPath() {
    return Tiny.PATH;
  }

  /** Without chat template and start token. */
  public static LlmModel plain() {
    return Plain.MODEL;
  }

  /** The tiny model's vocabulary, other weights. */
  public static LlmModel other() {
    return Other.MODEL;
  }

  /** Five layers. */
  public static LlmModel deep() {
    return Deep.MODEL;
  }

  /** One thread, because a tiny model is done before others have woken up. */
  public static SessionOptions tinySession() {
    return SessionOptions.builder().contextTokens(TinyModel.CONTEXT).batchTokens(64).threads(1).build();
  }

  /** The project's default model. Skips the test if it is not there. */
  public static LlmModel smol() {
    assumeFile(smolPath());
    return Smol.MODEL;
  }

  public static Path smolPath() {
    return folder().resolve("SmolLM2-135M-Instruct.Q4_1.gguf");
  }

  /** Another family of models. Skips the test if it is not there. */
  public static Path gemmaPath() {
    Path path = folder().resolve("gemma-3-270m-q4_k_m.gguf");
    assumeFile(path);
    return path;
  }

  private static void assumeFile(Path path) {
    assumeTrue(Files.isRegularFile(path), () -> path + " is missing; ci/fetch-models brings it");
  }

  private static Path folder() {
    String own = System.getenv("LLMM_CACHE_DIR");
    if (own != null && !own.isEmpty()) {
      return Path.of(own, "models");
    }
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path caches = xdg != null && !xdg.isEmpty() ? Path.of(xdg) : Path.of(System.getProperty("user.home"), ".cache");
    return caches.resolve("llm-mobile").resolve("models");
  }
}
