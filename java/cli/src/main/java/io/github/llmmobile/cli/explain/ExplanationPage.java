package io.github.llmmobile.cli.explain;

import io.github.llmmobile.PruningEvent;
import java.util.Locale;
import java.util.Map;

/**
 * An {@link Explanation} as one HTML file without scripts that loads nothing. Importance is a shade of one colour; what
 * became of a page is told by lines as well, for readers who do not tell colours apart.
 */
final class ExplanationPage {
  private static final double DECADES = 4;
  private static final double LEAST_OPAQUE = 0.05;

  private static final String STYLE = """
      body { max-width: 62rem; } td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
      .text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; border: 1px solid #999;
        padding: .8rem; }
      .active { border-bottom: 2px solid #0072b2; }
      .shadow { border-bottom: 2px dashed #d55e00; color: #555; }
      .dropped { outline: 1px dotted #000; text-decoration: line-through; color: #555; }
      .absent { color: #777; font-style: italic; }
      .begin { background: #111; color: #fff; font: .75rem sans-serif; padding: .1rem .4rem; }
      .legend span { margin-right: 1.2rem; }
      .scale i { display: inline-block; width: 1.6rem; height: 1rem; border: 1px solid #999; }
      svg.key { width: 1rem; height: 1rem; vertical-align: middle; }
      .frame { fill: none; stroke: #999; } .tick { font: 11px sans-serif; fill: #444; }
      .pruned { fill: #d55e00; } path.recalled { fill: #0072b2; }
      path.dropped { fill: none; stroke: #000; outline: none; }
      """;

  private final Explanation explanation;
  private final double top;
  private final double decades;

  ExplanationPage(Explanation explanation) {
    this.explanation = explanation;
    double most = 0;
    double least = Double.POSITIVE_INFINITY;
    for (Segment segment : explanation.segments()) {
      if (segment.importance() > 0) {
        most = Math.max(most, segment.importance());
        least = Math.min(least, segment.importance());
      }
    }
    top = most;
    decades = most > 0 ? Math.min(DECADES, Math.max(1, Math.log10(most / least))) : 1;
  }

  String html() {
    StringBuilder html = Html.page("Token pruning of " + explanation.title(), STYLE);
    html.append("<p>").append(Html.escape(explanation.technique())).append(".</p>\n");
    for (String note : explanation.notes()) {
      html.append("<p><strong>Note:</strong> ").append(Html.escape(note)).append("</p>\n");
    }
    counters(html);
    html.append("<h2>Text</h2>\n");
    legend(html);
    html.append("<div class=\"text\" dir=\"auto\">");
    text(html);
    html.append("</div>\n<h2>Recalls and prunings</h2>\n");
    changes(html);
    return html.append("</body>\n</html>\n").toString();
  }

  private void counters(StringBuilder html) {
    html.append("<table>\n");
    for (Map.Entry<String, String> counter : explanation.counters().entrySet()) {
      html.append("<tr><td>").append(Html.escape(counter.getKey())).append("</td><td>")
          .append(Html.escape(counter.getValue())).append("</td></tr>\n");
    }
    html.append("</table>\n");
  }

  private void legend(StringBuilder html) {
    html.append("<p class=\"legend\"><span class=\"active\">active: may be read</span>")
        .append("<span class=\"shadow\">shadow: kept and tested</span>")
        .append("<span class=\"dropped\">dropped: not read any more</span>")
        .append("<span class=\"absent\">not in the cache</span></p>\n");
    if (top > 0) {
      html.append("<p class=\"legend scale\">share of attention, on a logarithmic scale: ")
          .append(share(top * Math.pow(10, -decades)));
      for (int i = 0; i <= 4; i++) {
        html.append(" <i style=\"").append(background(top * Math.pow(10, decades * (i / 4.0 - 1)))).append("\"></i>");
      }
      html.append(' ').append(share(top)).append("</p>\n");
    }
    html.append("<p>States are those of most heads; the tip of each page has the numbers.</p>\n");
  }

  private void text(StringBuilder html) {
    boolean begun = false;
    for (Segment segment : explanation.segments()) {
      if (!begun && segment.first() >= explanation.promptTokens()) {
        html.append("<span class=\"begin\">answer</span>");
        begun = true;
      }
      String background = background(segment.importance());
      html.append("<span class=\"").append(segment.state().name().toLowerCase(Locale.ROOT)).append('"')
          .append(background.isEmpty() ? "" : " style=\"" + background + "\"").append(" title=\"")
          .append(Html.escape(tip(segment))).append("\">").append(Html.escape(segment.text())).append("</span>");
    }
  }

  private static String tip(Segment segment) {
    String where = "tokens " + segment.first() + " to " + segment.last();
    return segment.state() == Segment.State.ABSENT
        ? where + "\nnot in the cache"
        : where + "\nshare of attention " + (segment.importance() > 0 ? share(segment.importance()) : "not measured")
            + "\nactive for " + percent(segment.activeShare()) + " of heads, dropped by "
            + percent(segment.droppedShare());
  }

  private void changes(StringBuilder html) {
    html.append("<p class=\"legend\">");
    for (PruningEvent.Kind kind : PruningEvent.Kind.values()) {
      String name = kind.name().toLowerCase(Locale.ROOT);
      long count = explanation.changes().stream().filter(change -> change.kind() == kind).count();
      html.append("<span><svg class=\"key\" viewBox=\"0 0 10 10\"><path class=\"").append(name).append("\" d=\"M5 5")
          .append(Timeline.mark(kind)).append("\"/></svg> ").append(name).append(": ").append(count)
          .append(count == 1 ? " page" : " pages").append("</span>");
    }
    html.append("</p>\n").append(new Timeline(explanation).svg());
  }

  private String background(double importance) {
    if (importance <= 0 || top <= 0) {
      return "";
    }
    double shade = Math.min(1, Math.max(0, 1 + Math.log10(importance / top) / decades));
    return String.format(Locale.ROOT, "background:rgba(240,228,66,%.2f)", LEAST_OPAQUE + shade * (1 - LEAST_OPAQUE));
  }

  private static String share(double share) {
    return String.format(Locale.ROOT, "%.2g", share);
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.0f %%", 100 * share);
  }
}
