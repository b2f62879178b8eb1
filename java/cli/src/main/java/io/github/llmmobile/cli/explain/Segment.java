package io.github.llmmobile.cli.explain;

/**
 * A run of tokens with one fate: those of a page, or tokens that no page holds.
 *
 * @param first position of the first token
 * @param last position of the last token
 * @param text the tokens' text
 * @param state what became of most heads' view of it
 * @param importance mean share of attention; 0 if it was never measured
 * @param activeShare share of heads that may read it
 * @param droppedShare share of heads that have dropped it
 */
record Segment(int first, int last, String text, State state, double importance, double activeShare,
    double droppedShare) {

  /** Some of the tokens, with their text. */
  Segment part(int from, int to, String partText) {
    return new Segment(from, to, partText, state, importance, activeShare, droppedShare);
  }

  /** What a page is for most heads. The names are those of the style classes in lower case. */
  enum State {
    /** It may be read. */
    ACTIVE,
    /** It is kept and tested. */
    SHADOW,
    /** It is not read any more. */
    DROPPED,
    /** Its keys and values are not in the cache: evicted, or not evaluated yet. */
    ABSENT;

    static State of(double activeShare, double droppedShare) {
      if (activeShare > 0.5) {
        return ACTIVE;
      }
      return droppedShare > 0.5 ? DROPPED : SHADOW;
    }
  }
}
