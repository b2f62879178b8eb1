package io.github.llmmobile;

import io.github.llmmobile.config.InferenceConfig;
import java.nio.file.Path;
import java.util.Objects;

/** Inference in one call: a text and a configuration in, an answer out. Threads: any, also several at once. */
public final class HybridInference {
  private HybridInference() {}

  /**
   * Loads a model, answers and frees it.
   *
   * @param model the GGUF file (required)
   * @param inputText what the user says (required)
   * @param config the techniques and limits (required)
   * @return the answer (never null)
   * @throws LlmException as {@link LlmModel#load}, {@link LlmModel#newSession(InferenceConfig)} and {@link
   *     LlmSession#generate(Prompt, GenerationOptions)}
   */
  public static InferenceResult runInference(Path model, String inputText, InferenceConfig config) {
    ModelOptions options = ModelOptions.of(model);
    Objects.requireNonNull(inputText, "inputText");
    Objects.requireNonNull(config, "config");
    try (LlmModel loaded = LlmModel.load(options)) {
      return runInference(loaded, inputText, config);
    }
  }

  /**
   * Answers in a session of its own. The text goes through the model's chat template; a model without one continues the
   * text as it is.
   *
   * @param model the model (required)
   * @param inputText what the user says (required)
   * @param config the techniques and limits (required)
   * @return the answer (never null)
   * @throws LlmException as {@link LlmModel#newSession(InferenceConfig)} and {@link LlmSession#generate(Prompt,
   *     GenerationOptions)}
   */
  public static InferenceResult runInference(LlmModel model, String inputText, InferenceConfig config) {
    Objects.requireNonNull(inputText, "inputText");
    Objects.requireNonNull(config, "config");
    boolean chat = model.info().chatTemplate().isPresent();
    Prompt prompt = chat ? Prompt.user(inputText) : Prompt.text(inputText);
    try (LlmSession session = model.newSession(config)) {
      return new InferenceResult(session.generate(prompt));
    }
  }
}
