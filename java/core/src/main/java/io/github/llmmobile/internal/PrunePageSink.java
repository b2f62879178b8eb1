package io.github.llmmobile.internal;

/** Receives what pruning knows of pages. */
public interface PrunePageSink {
  /**
   * One page.
   *
   * @param firstPosition of the page
   * @param lastPosition of the page
   * @param importance mean share of attention
   * @param activeShare share of heads for which it is active
   * @param droppedShare share of heads that have dropped it
   */
  void page(int firstPosition, int lastPosition, float importance, float activeShare, float droppedShare);
}
