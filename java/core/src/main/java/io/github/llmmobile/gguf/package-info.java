/**
 * GGUF files, the format of models and adapters: {@link io.github.llmmobile.gguf.GgufFile} reads them without trusting
 * them, {@link io.github.llmmobile.gguf.GgufWriter} writes them, and {@link io.github.llmmobile.gguf.TensorCodec}
 * converts the numbers of their tensors. For the facts of a model that is to be run, see
 * {@link io.github.llmmobile.LlmModel#inspect}.
 */
@NullMarked
package io.github.llmmobile.gguf;

import org.jspecify.annotations.NullMarked;
