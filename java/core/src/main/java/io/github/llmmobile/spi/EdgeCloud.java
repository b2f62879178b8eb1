package io.github.llmmobile.spi;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.config.InferenceConfig;

/**
 * Answers that are made together with a worker: what {@code edge_cloud_config} asks for. The module {@code llmm-edge} has it;
 * it is found by {@link java.util.ServiceLoader}. Threads: any.
 */
public interface EdgeCloud {
  /**
   * Answers a prompt, if that pays.
   *
   * @param model the model, with all its layers (required)
   * @param prompt tokens of the prompt, at least one (required)
   * @param options how to generate (required)
   * @param config which worker, and when it may be used; and the techniques, of which memory manager and token pruning act in
   *     the device's layers (required)
   * @return the answer, or why there is none (never null)
   * @throws io.github.llmmobile.LlmException REMOTE_UNAVAILABLE or REMOTE_REFUSED if the worker cannot be used; IO if keys
   *     cannot be read; INVALID_ARGUMENT if address or codec are none; OUT_OF_MEMORY if the memory manager has too little
   */
  EdgeCloudAnswer answer(LlmModel model, int[] prompt, GenerationOptions options, InferenceConfig config);
}
