package io.github.llmmobile.cli.explain;

import io.github.llmmobile.PruningEvent;
import java.util.Locale;

/** Recalls and prunings as a picture: across, the token that was evaluated; downwards, where the page lies. */
final class Timeline {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 320;
  private static final int LEFT = 60;
  private static final int TOP = 12;
  private static final int TICKS = 4;

  private final Explanation explanation;
  private final int from;
  private final int to;

  Timeline(Explanation explanation) {
    this.explanation = explanation;
    // The answer, unless pages changed before it, as in a session that goes on.
    int first = explanation.promptTokens();
    for (Change change : explanation.changes()) {
      first = Math.min(first, change.position());
    }
    from = first;
    to = Math.max(first + 1, explanation.tokens());
  }

  String svg() {
    StringBuilder svg = new StringBuilder();
    svg.append(format("<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", LEFT + WIDTH + 40,
        TOP + HEIGHT + 48, "Pages that were pruned, recalled and dropped while the answer was generated"));
    svg.append(format("<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT, TOP, WIDTH,
        HEIGHT));
    for (int i = 0; i <= TICKS; i++) {
      double part = (double) i / TICKS;
      svg.append(format("<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
          LEFT + part * WIDTH, TOP + HEIGHT + 18, Math.round(from + part * (to - from))));
      svg.append(format("<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", LEFT - 6,
          TOP + part * HEIGHT + 4, Math.round(part * explanation.tokens())));
    }
    svg.append(format("<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">token being evaluated</text>\n",
        LEFT + WIDTH / 2, TOP + HEIGHT + 38));
    svg.append(format("<text class=\"tick\" transform=\"translate(12 %d) rotate(-90)\" text-anchor=\"middle\">"
        + "position of the page</text>\n", TOP + HEIGHT / 2));
    for (PruningEvent.Kind kind : PruningEvent.Kind.values()) {
      svg.append(format("<path class=\"%s\" d=\"%s\"/>\n", kind.name().toLowerCase(Locale.ROOT), path(kind)));
    }
    return svg.append("</svg>\n").toString();
  }

  /** All marks of a kind. Their shapes differ, not only their colours. */
  private String path(PruningEvent.Kind kind) {
    StringBuilder path = new StringBuilder();
    for (Change change : explanation.changes()) {
      if (change.kind() == kind) {
        double x = LEFT + (double) WIDTH * (change.position() - from) / (to - from);
        double middle = (change.first() + change.last() + 1) / 2.0;
        double y = TOP + HEIGHT * middle / Math.max(1, explanation.tokens());
        path.append(format("M%.1f %.1f%s", x, y, mark(kind)));
      }
    }
    return path.toString();
  }

  /** A mark around the current point, for paths. */
  static String mark(PruningEvent.Kind kind) {
    return switch (kind) {
      case PRUNED -> "m-3-3h6l-3 6z";
      case RECALLED -> "m-3 3h6l-3-6z";
      case DROPPED -> "m-3-3l6 6m0-6l-6 6";
    };
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
