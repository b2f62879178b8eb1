package io.github.llmmobile.internal;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The life of a native object. It has one owner and any number of users; whoever leaves last frees it.
 *
 * <p>Each native call stands between {@link #enter()} and {@link #exit()}. {@link #close()} gives up the owner's share,
 * tells running work to stop, and is idempotent. Invariant: {@link #free()} runs once, when no call is in flight, and
 * no call begins after it. Threads: any, callbacks included.
 */
public abstract class NativeHandle implements AutoCloseable {
  private final String name;
  // The owner counts as one; 0 is freed.
  private final AtomicInteger users = new AtomicInteger(1);
  private final AtomicBoolean closed = new AtomicBoolean();
  private final CountDownLatch freed = new CountDownLatch(1);

  /**
   * A handle that is open.
   *
   * @param name how error messages call it
   */
  protected NativeHandle(String name) {
    this.name = name;
  }

  /**
   * Becomes a user.
   *
   * @throws IllegalStateException if the handle is closed
   */
  public final void enter() {
    if (!tryEnter()) {
      throw closedException();
    }
  }

  /**
   * Becomes a user unless the handle is closed.
   *
   * @return false if it is closed
   */
  public final boolean tryEnter() {
    int n;
    do {
      n = users.get();
      if (n == 0 || closed.get()) {
        return false;
      }
    } while (!users.compareAndSet(n, n + 1));
    return true;
  }

  /** Becomes a user once more, on behalf of another. Only for users; unlike {@link #enter()} after close as well. */
  final void share() {
    users.incrementAndGet();
  }

  /** Ceases to be a user. */
  public final void exit() {
    if (users.decrementAndGet() == 0) {
      try {
        free();
      } finally {
        freed.countDown();
      }
    }
  }

  /**
   * {@link #enter()} for a try statement.
   *
   * @return calls {@link #exit()} when closed
   * @throws IllegalStateException if the handle is closed
   */
  public final Use use() {
    enter();
    return this::exit;
  }

  /** Being a user. */
  public interface Use extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Whether {@link #close()} was called.
   *
   * @return true from then on
   */
  public final boolean isClosed() {
    return closed.get();
  }

  /**
   * What a use after close is answered with.
   *
   * @return the exception
   */
  protected final IllegalStateException closedException() {
    return new IllegalStateException(name + " is closed");
  }

  @Override
  public final void close() {
    if (closed.compareAndSet(false, true)) {
      try {
        onClose();
      } finally {
        exit();
      }
    }
    afterClose();
  }

  /** Tells running work to stop. The native object is still there. */
  protected void onClose() {}

  /** Runs at the end of each {@link #close()}. The native object may still be in use or be gone. */
  protected void afterClose() {}

  /** Frees the native object. */
  protected abstract void free();

  /** Waits until the object is freed. An interrupt does not end the wait, but is passed on. */
  protected final void awaitFreed() {
    boolean interrupted = false;
    while (true) {
      try {
        freed.await();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
