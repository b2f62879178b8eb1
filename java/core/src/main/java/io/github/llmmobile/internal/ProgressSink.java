package io.github.llmmobile.internal;

/** Receives the progress of a native call. May throw; see {@link Callbacks}. */
@FunctionalInterface
public interface ProgressSink {
  /**
   * Called from time to time.
   *
   * @param fraction what is done, from 0 to 1
   * @return false to cancel the call
   */
  boolean onProgress(double fraction);
}
