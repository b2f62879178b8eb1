package io.github.llmmobile;

import io.github.llmmobile.internal.NativeAdapter;
import java.util.function.Consumer;

/**
 * A LoRA adapter of one model, put in force with {@link LlmSession#setAdapters}. Closing it is safe at any time:
 * sessions keep what they use. Closing its model closes it as well. Adapters are equal only to themselves. Threads:
 * any.
 */
public final class LoraAdapter implements AutoCloseable {
  private final NativeAdapter handle;
  private final AdapterInfo info;
  private final Consumer<LoraAdapter> onClose;

  LoraAdapter(NativeAdapter handle, Consumer<LoraAdapter> onClose) {
    this.handle = handle;
    this.info = new AdapterInfo(handle.info());
    this.onClose = onClose;
  }

  NativeAdapter handle() {
    return handle;
  }

  /**
   * What the adapter has, and which rank was taken.
   *
   * @return its facts, also after close (never null)
   */
  public AdapterInfo info() {
    return info;
  }

  /** Gives the adapter up; further calls do nothing. */
  @Override
  public void close() {
    onClose.accept(this);
    handle.close();
  }
}
