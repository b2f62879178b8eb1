package io.github.llmmobile.internal;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import org.jspecify.annotations.Nullable;

/**
 * A native object that takes one call at a time and whose running call can be cancelled from any thread.
 *
 * <p>The native cancel signal sticks until a call consumes it. So that a cancel is neither lost nor hits the wrong
 * call, it is given only while a call is registered as running, and left-overs are cleared when the next call
 * registers, both under one lock. {@link #close()} cancels and waits for the running call, except on the thread that
 * runs it: there the call frees the object when it returns.
 */
public abstract class CallHandle extends NativeHandle {
  private final Object lock = new Object();
  // Guarded by lock.
  private @Nullable Call running;

  /**
   * A handle that is open.
   *
   * @param name how error messages call it
   */
  protected CallHandle(String name) {
    super(name);
  }

  /**
   * Begins a call.
   *
   * @return the call; it ends when closed
   * @throws IllegalStateException if the handle is closed
   * @throws LlmException BUSY if another call is running
   */
  public final Call begin() {
    return begin(() -> {});
  }

  /**
   * Begins a call that waits for other things than native code.
   *
   * @param onCancel runs after each cancel of this call, on the cancelling thread; ends such waits
   * @return the call; it ends when closed
   * @throws IllegalStateException if the handle is closed
   * @throws LlmException BUSY if another call is running
   */
  public final Call begin(Runnable onCancel) {
    enter();
    Call call = new Call(onCancel);
    boolean begun = false;
    try {
      synchronized (lock) {
        if (running != null) {
          throw new LlmException(ErrorCode.BUSY, "another call is running on this session");
        }
        // A close() that got here first has found no call to cancel.
        if (isClosed()) {
          throw closedException();
        }
        clearSignal();
        running = call;
        begun = true;
      }
    } finally {
      if (!begun) {
        exit();
      }
    }
    return call;
  }

  /** Cancels the running call; without one nothing happens. */
  public final void cancel() {
    if (!tryEnter()) {
      return;
    }
    try {
      cancelRunning();
    } finally {
      exit();
    }
  }

  private void cancelRunning() {
    Call call;
    synchronized (lock) {
      call = running;
    }
    if (call != null) {
      call.cancel();
    }
  }

  @Override
  protected final void onClose() {
    cancelRunning();
  }

  @Override
  protected final void afterClose() {
    synchronized (lock) {
      if (running != null && running.thread == Thread.currentThread()) {
        return;
      }
    }
    awaitFreed();
  }

  /** Makes the running native call, or else the next one, stop. */
  protected abstract void signal();

  /** Takes back a signal that no call has consumed. */
  protected abstract void clearSignal();

  /** A running call. Closing it ends it, on the thread that began it. */
  public final class Call implements AutoCloseable {
    private final Runnable onCancel;
    private final Thread thread = Thread.currentThread();

    private Call(Runnable onCancel) {
      this.onCancel = onCancel;
    }

    /** Cancels this call; nothing happens once it has ended. Threads: any. */
    public void cancel() {
      synchronized (lock) {
        if (running != this) {
          return;
        }
        signal();
      }
      onCancel.run();
    }

    @Override
    public void close() {
      synchronized (lock) {
        running = null;
      }
      exit();
    }
  }
}
