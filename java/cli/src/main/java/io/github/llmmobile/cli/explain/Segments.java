package io.github.llmmobile.cli.explain;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/** A history in pieces. */
final class Segments {
  private Segments() {}

  /**
   * The history cut at the bounds of pages and where the answer begins. The pieces are all of it, in order.
   *
   * @param pages the pages without their texts, in the order of their tokens
   * @param tokens length of the history
   * @param promptTokens where the answer begins
   * @param texts gives the texts
   * @param gap what became of tokens that no page holds, but for the newest, which are not evaluated yet
   */
  static List<Segment> of(
      List<Segment> pages, int tokens, int promptTokens, TokenTexts texts, Segment.State gap) {
    TreeSet<Integer> cuts = new TreeSet<>(List.of(Math.min(promptTokens, tokens), tokens));
    for (Segment page : pages) {
      cuts.add(Math.min(page.first(), tokens));
      cuts.add(Math.min(page.last() + 1, tokens));
    }
    List<Segment> segments = new ArrayList<>();
    int page = 0;
    int from = 0;
    for (int to : cuts.tailSet(0, false)) {
      while (page < pages.size() && pages.get(page).last() < from) {
        page++;
      }
      String text = texts.between(from, to);
      if (page == pages.size()) {
        segments.add(new Segment(from, to - 1, text, Segment.State.ABSENT, 0, 0, 0));
      } else if (pages.get(page).first() > from) {
        segments.add(new Segment(from, to - 1, text, gap, 0, 0, gap == Segment.State.DROPPED ? 1 : 0));
      } else {
        segments.add(pages.get(page).part(from, to - 1, text));
      }
      from = to;
    }
    return segments;
  }
}
