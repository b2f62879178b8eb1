package io.github.llmmobile;

import java.util.Objects;

/** What token pruning knows of a page of tokens. */
public final class PruningPage {
  private final int firstPosition;
  private final int lastPosition;
  private final double importance;
  private final double activeShare;
  private final double droppedShare;

  PruningPage(int firstPosition, int lastPosition, double importance, double activeShare, double droppedShare) {
    this.firstPosition = firstPosition;
    this.lastPosition = lastPosition;
    this.importance = importance;
    this.activeShare = activeShare;
    this.droppedShare = droppedShare;
  }

  /**
   * Where the page begins.
   *
   * @return position of its first token
   */
  public int firstPosition() {
    return firstPosition;
  }

  /**
   * Where it ends.
   *
   * @return position of its last token
   */
  public int lastPosition() {
    return lastPosition;
  }

  /**
   * The share of attention that falls on it: a moving average, and the mean over layers and heads.
   *
   * @return from 0 to 1; 0 if no test has seen it
   */
  public double importance() {
    return importance;
  }

  /**
   * For how many heads it is active.
   *
   * @return their share, from 0 to 1
   */
  public double activeShare() {
    return activeShare;
  }

  /**
   * How many heads have dropped it. For all others but the active ones it is in the shadow set.
   *
   * @return their share, from 0 to 1
   */
  public double droppedShare() {
    return droppedShare;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof PruningPage)) {
      return false;
    }
    PruningPage that = (PruningPage) other;
    return firstPosition == that.firstPosition
        && lastPosition == that.lastPosition
        && Double.compare(importance, that.importance) == 0
        && Double.compare(activeShare, that.activeShare) == 0
        && Double.compare(droppedShare, that.droppedShare) == 0;
  }

  @Override
  public int hashCode() {
    return Objects.hash(firstPosition, lastPosition, importance, activeShare, droppedShare);
  }

  @Override
  public String toString() {
    return "PruningPage[" + firstPosition + ".." + lastPosition + ", importance=" + importance + ", activeShare="
        + activeShare + ", droppedShare=" + droppedShare + "]";
  }
}
