package io.github.llmmobile;

/** Hears how far loading or measuring has come, and may stop it. Called on the thread that runs the call. */
@FunctionalInterface
public interface ProgressListener {
  /**
   * Called from time to time.
   *
   * @param fraction what is done, from 0 to 1; never falls within one call
   * @return true to go on, false to cancel the call. An exception cancels it as well and comes out of the call
   */
  boolean onProgress(double fraction);
}
