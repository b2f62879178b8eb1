package io.github.llmmobile.internal;

import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmAdapter;

/** A LoRA adapter. Sessions that use it keep what they need. */
public final class NativeAdapter extends NativeHandle {
  final LlmmAdapter pointer;

  NativeAdapter(LlmmAdapter pointer) {
    super("LoraAdapter");
    this.pointer = pointer;
  }

  /**
   * Its facts. The caller is a user.
   *
   * @return what llmm_adapter_info says
   */
  public String info() {
    return Buffers.text(out -> Llmm.llmm_adapter_info(pointer, out));
  }

  @Override
  protected void free() {
    Llmm.llmm_adapter_close(pointer);
  }
}
