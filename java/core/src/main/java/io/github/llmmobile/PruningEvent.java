package io.github.llmmobile;

import java.util.Objects;

/** A page of tokens that changed between being active for most heads of all layers and not. */
public final class PruningEvent {
  /** What happened to a page. In the order of the native numbers. */
  public enum Kind {
    /** It became shadow for most heads. */
    PRUNED,
    /** It became active for most heads. */
    RECALLED,
    /** It was dropped by most heads. */
    DROPPED
  }

  private final int position;
  private final int firstPosition;
  private final int lastPosition;
  private final Kind kind;
  private final double activeShare;

  PruningEvent(int position, int firstPosition, int lastPosition, Kind kind, double activeShare) {
    this.position = position;
    this.firstPosition = firstPosition;
    this.lastPosition = lastPosition;
    this.kind = kind;
    this.activeShare = activeShare;
  }

  /**
   * Where the session was.
   *
   * @return position of the token that was evaluated
   */
  public int position() {
    return position;
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
   * What happened.
   *
   * @return the kind (never null)
   */
  public Kind kind() {
    return kind;
  }

  /**
   * For how many heads the page is active afterwards.
   *
   * @return their share, from 0 to 1
   */
  public double activeShare() {
    return activeShare;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof PruningEvent)) {
      return false;
    }
    PruningEvent that = (PruningEvent) other;
    return position == that.position
        && firstPosition == that.firstPosition
        && lastPosition == that.lastPosition
        && kind == that.kind
        && Double.compare(activeShare, that.activeShare) == 0;
  }

  @Override
  public int hashCode() {
    return Objects.hash(position, firstPosition, lastPosition, kind, activeShare);
  }

  @Override
  public String toString() {
    return "PruningEvent[" + kind + " " + firstPosition + ".." + lastPosition + " at " + position + ", activeShare="
        + activeShare + "]";
  }
}
