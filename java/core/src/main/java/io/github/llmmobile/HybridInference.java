package io.github.llmmobile;

import io.github.llmmobile.config.EdgeCloudConfig;
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
   * <p>If {@code edge_cloud_config} names a worker and the module {@code llmm-edge} is there, it is asked whether the worker
   * makes the answer faster. If so, device and worker make it together, and memory manager and token pruning act in the
   * device's layers; if not, the device makes it alone with all techniques. {@link
   * InferenceResult#techniques()} says which, and why.
   *
   * @param model the model (required)
   * @param inputText what the user says (required)
   * @param config the techniques and limits (required)
   * @return the answer (never null)
   * @throws LlmException as {@link LlmModel#newSession(InferenceConfig)} and {@link LlmSession#generate(Prompt,
   *     GenerationOptions)}; INVALID_ARGUMENT or IO if worker, codec or keys are wrong. A worker that cannot be used is no
   *     failure unless the configuration is strict
   */
  public static InferenceResult runInference(LlmModel model, String inputText, InferenceConfig config) {
    Objects.requireNonNull(inputText, "inputText");
    Objects.requireNonNull(config, "config");
    EdgeCloudConfig edge = config.edgeCloud().orElse(null);
    if (edge != null && edge.worker().isPresent()) {
      return new EdgeCloudInference(model, config, EdgeCloudInference.installed()).answer(inputText);
    }
    try (LlmSession session = model.newSession(config)) {
      return new InferenceResult(session.generate(prompt(model, inputText)));
    }
  }

  /** The text as the model expects it. */
  static Prompt prompt(LlmModel model, String inputText) {
    return model.info().chatTemplate().isPresent() ? Prompt.user(inputText) : Prompt.text(inputText);
  }
}
