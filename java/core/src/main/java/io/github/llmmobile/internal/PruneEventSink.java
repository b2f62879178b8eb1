package io.github.llmmobile.internal;

/** Receives pages that were pruned, recalled or dropped. */
public interface PruneEventSink {
  /**
   * One event.
   *
   * @param position of the token that was evaluated
   * @param firstPosition of the page
   * @param lastPosition of the page
   * @param kind the native number of what happened
   * @param activeShare share of heads, after it
   */
  void event(int position, int firstPosition, int lastPosition, int kind, float activeShare);
}
