package io.github.llmmobile.internal;

/** A thread that is interrupted stops its native call at the next callback. The flag stays set for the caller. */
public final class Interrupts {
  private Interrupts() {}

  /**
   * Whether the current thread is interrupted.
   *
   * @return true if so; the flag is not cleared
   */
  public static boolean pending() {
    return Thread.currentThread().isInterrupted();
  }

  /**
   * A sink that also stops when the thread is interrupted.
   *
   * @param sink the sink
   * @return one that asks it only while nobody has interrupted
   */
  public static ProgressSink watching(ProgressSink sink) {
    return fraction -> !pending() && sink.onProgress(fraction);
  }
}
