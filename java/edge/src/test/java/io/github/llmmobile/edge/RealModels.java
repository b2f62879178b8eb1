package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.SessionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** What ci/fetch-models brings, and the prompts of ci/. */
final class RealModels {
  static final String DEFAULT = "SmolLM2-135M-Instruct.Q4_1.gguf";
  static final String GEMMA = "gemma-3-270m-q4_k_m.gguf";
  static final String TEXT = "paul-graham-essays.txt";

  private RealModels() {}

  /** A file of the cache; skips the test without it. */
  static Path file(String name) {
    String own = System.getenv("LLMM_CACHE_DIR");
    Path file = own != null && !own.isEmpty() ? Path.of(own, "models", name)
        : Path.of(System.getProperty("user.home"), ".cache", "llm-mobile", "models", name);
    assumeTrue(Files.isRegularFile(file), () -> file + " is missing; ci/fetch-models brings it");
    return file;
  }

  /** One line each. */
  static List<String> prompts() throws IOException {
    return Files.readAllLines(Path.of(System.getProperty("llmm.prompts"))).stream()
        .map(String::trim).filter(line -> !line.isEmpty()).collect(Collectors.toList());
  }

  /** What the whole model says by itself, with one thread. */
  static int[] answer(LlmModel model, int[] prompt, int contextTokens, GenerationOptions options) {
    try (LlmSession session = model.newSession(
        SessionOptions.builder().contextTokens(contextTokens).batchTokens(512).threads(1).build())) {
      return session.generate(Prompt.tokens(prompt), options).tokens();
    }
  }
}
