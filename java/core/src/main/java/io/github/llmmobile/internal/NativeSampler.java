package io.github.llmmobile.internal;

import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmSampler;

/** The sampler of one generation. Used by one thread, freed when closed. */
public final class NativeSampler implements AutoCloseable {
  final LlmmSampler pointer;

  NativeSampler(LlmmSampler pointer) {
    this.pointer = pointer;
  }

  @Override
  public void close() {
    Llmm.llmm_sampler_free(pointer);
  }
}
