package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.explain.Html;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The costs of a model's parts as one HTML file without scripts that loads nothing. */
final class ProfilePage {
  private static final int LEFT = 60;
  private static final int BAR = 9;
  private static final int GAP = 8;
  private static final int HEIGHT = 220;
  private static final int BOTTOM = 40;

  private static final String STYLE = """
      body { max-width: 70rem; } td, th { padding: .1rem 1rem .1rem 0; text-align: right; }
      td.name { text-align: left; } text { font: 11px sans-serif; fill: #444; }
      .bare { fill: #bbb; } .attention { fill: #0072b2; } .feed-forward { fill: #d55e00; }
      .axis { stroke: #999; } .legend span { margin-right: 1.2rem; padding: 0 .4rem; color: #fff; }
      polyline { fill: none; stroke: #0072b2; stroke-width: 2; }
      """;

  private final LayerCosts costs;
  private final String title;

  ProfilePage(LayerCosts costs, String modelName) {
    this.costs = costs;
    title = "Layer profile of " + modelName;
  }

  String html() {
    StringBuilder html = Html.page(title, STYLE);
    html.append("<p>Divergence (nats per token) of predictions from the whole model's, with one part of a layer left out of")
        .append(" every step. Hot path, never skipped: layers ").append(list(costs.hotPath())).append(".</p>\n");
    alone(html);
    html.append("<h2>In order, all up to each</h2>\n");
    together(html);
    html.append("<h2>Ranges of entropy of the last prediction</h2>\n");
    ranges(html);
    html.append("<h2>Gates: parts left out of some of the steps</h2>\n");
    gates(html);
    return html.append("</body>\n</html>\n").toString();
  }

  /** Two bars a part, one in front of the other: without anything in its place, and with its stand-in. */
  private void alone(StringBuilder html) {
    double most = costs.parts().stream().mapToDouble(part -> part.bare().divergence()).sorted()
        .skip(costs.parts().size() * 9L / 10).findFirst().orElse(1);
    int width = LEFT + costs.parts().size() * (BAR + GAP) + GAP;
    html.append("<p class=\"legend\"><span style=\"background:#777\">nothing in its place</span>")
        .append("<span style=\"background:#0072b2\">attention, with stand-in</span>")
        .append("<span style=\"background:#d55e00\">feed-forward part, with stand-in</span></p>\n")
        .append(svg(width, HEIGHT + BOTTOM));
    axis(html, width, most);
    int x = LEFT + GAP;
    for (LayerCosts.PartCost part : costs.parts()) {
      String tip = String.format(Locale.ROOT, "%s: %.4f alone, %.4f with stand-in, which explains %.0f %%; influence"
          + " %.4f", Part.name(part.part()), part.bare().divergence(), part.withStandIn().divergence(),
          100 * part.explained(), part.blockInfluence());
      html.append("<g><title>").append(tip).append("</title>");
      bar(html, "bare", x, part.bare().divergence() / most);
      bar(html, Part.kind(part.part()), x, part.withStandIn().divergence() / most);
      html.append("</g>\n");
      if (part.part() % 2 == 0) {
        html.append("<text x=\"").append(x).append("\" y=\"").append(HEIGHT + 15).append("\">")
            .append(Part.layer(part.part())).append("</text>\n");
      }
      x += BAR + GAP;
    }
    html.append("<text x=\"").append(LEFT).append("\" y=\"").append(HEIGHT + 32).append("\">layer; bars that reach the"
        + " top go on beyond it</text>\n</svg>\n");
  }

  private static void bar(StringBuilder html, String style, int x, double share) {
    double height = HEIGHT * Math.min(1, share);
    html.append(String.format(Locale.ROOT, "<rect class=\"%s\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"/>", style,
        x, HEIGHT - height, BAR, height));
  }

  private static String svg(int width, int height) {
    return "<svg viewBox=\"0 0 " + width + " " + height + "\" role=\"img\">\n";
  }

  private static void axis(StringBuilder html, int width, double most) {
    for (int i = 0; i <= 4; i++) {
      double y = HEIGHT * (1 - i / 4.0);
      html.append(String.format(Locale.ROOT, "<line class=\"axis\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
          + "<text x=\"4\" y=\"%.1f\">%.3g</text>%n", LEFT, y, width, y, Math.max(11, y + 4), most * i / 4));
    }
  }

  private void together(StringBuilder html) {
    html.append("<table>\n<tr><th></th><th>part</th>");
    costs.levels().keySet().forEach(rank -> html.append("<th>KL, rank ").append(rank).append("</th><th>perplexity</th>")
        .append("<th>reads saved</th>"));
    html.append("</tr>\n");
    for (int i = 0; i < costs.order().size(); i++) {
      html.append("<tr><td>").append(i + 1).append("</td><td class=\"name\">").append(Part.name(costs.order().get(i)))
          .append("</td>");
      for (List<LayerCosts.Level> levels : costs.levels().values()) {
        html.append(cells(levels.get(i)));
      }
      html.append("</tr>\n");
    }
    html.append("</table>\n");
    curves(html);
    html.append("<h2>Other orders, for comparison</h2>\n<table>\n<tr><th>by</th><th>parts</th><th>KL</th>")
        .append("<th>perplexity</th><th>reads saved</th></tr>\n");
    for (LayerCosts.Control control : costs.controls()) {
      for (int i = 0; i < control.counts().size(); i++) {
        LayerCosts.Level level = control.levels().get(i);
        html.append(String.format(Locale.ROOT, "<tr><td class=\"name\">%s</td><td>%d</td>", control.name(),
            control.counts().get(i))).append(cells(level)).append("</tr>\n");
      }
    }
    html.append("</table>\n");
  }

  private static String cells(LayerCosts.Level level) {
    return String.format(Locale.ROOT, "<td>%.4f</td><td>%+.2f %%</td><td>%.1f %%</td>", level.divergence(),
        100 * (level.perplexity() - 1), 100 * level.workSaved());
  }

  private void curves(StringBuilder html) {
    double most = costs.levels().values().stream().flatMap(List::stream).mapToDouble(LayerCosts.Level::divergence).max()
        .orElse(0);
    double saved = costs.levels().values().stream().flatMap(List::stream).mapToDouble(LayerCosts.Level::workSaved).max()
        .orElse(0);
    if (!(most > 0 && saved > 0)) {
      return;
    }
    int width = 700;
    html.append(svg(width, HEIGHT + BOTTOM));
    axis(html, width, most);
    int greatest = costs.greatestRank();
    for (Map.Entry<Integer, List<LayerCosts.Level>> entry : costs.levels().entrySet()) {
      html.append("<polyline").append(entry.getKey() == greatest ? "" : " stroke-dasharray=\"4 3\"").append(" points=\"")
          .append(LEFT).append(',').append(HEIGHT);
      for (LayerCosts.Level level : entry.getValue()) {
        html.append(String.format(Locale.ROOT, " %.1f,%.1f", LEFT + (width - LEFT - 10) * level.workSaved() / saved,
            HEIGHT * (1 - level.divergence() / most)));
      }
      html.append("\"><title>rank ").append(entry.getKey()).append("</title></polyline>\n");
    }
    html.append(String.format(Locale.ROOT, "<text x=\"%d\" y=\"%d\">share of a step's reads saved, to %.1f %%; greatest"
        + " rank in full, others dashed</text>%n</svg>%n", LEFT, HEIGHT + 18, 100 * saved));
  }

  private void ranges(StringBuilder html) {
    html.append("<table>\n<tr><th>nats</th><th>of the tokens</th><th>cost of skipping, mean = 1</th></tr>\n");
    List<Float> edges = costs.entropyEdges();
    for (int i = 0; i < costs.ranges().size(); i++) {
      String range = edges.isEmpty() ? "all" : i == 0 ? "below " + edges.get(0)
          : i == edges.size() ? "from " + edges.get(i - 1) : edges.get(i - 1) + " to " + edges.get(i);
      html.append(String.format(Locale.ROOT, "<tr><td class=\"name\">%s</td><td>%.1f %%</td><td>%.2f</td></tr>%n", range,
          100 * costs.ranges().get(i).share(), costs.ranges().get(i).relative()));
    }
    html.append("</table>\n");
  }

  private void gates(StringBuilder html) {
    html.append("<table>\n<tr><th>gate</th><th>of the steps</th><th>KL</th><th>perplexity</th>")
        .append("<th>KL per work saved, every step = 1</th></tr>\n");
    for (LayerCosts.Gate gate : costs.gates()) {
      html.append(String.format(Locale.ROOT, "<tr><td class=\"name\">%s</td><td>%.0f %%</td><td>%.4f</td><td>%+.2f %%</td>"
          + "<td>%.2f</td></tr>%n", gate.name(), 100 * gate.share(), gate.divergence(), 100 * (gate.perplexity() - 1),
          gate.relative()));
    }
    html.append("</table>\n");
  }

  private static String list(List<Integer> numbers) {
    return numbers.toString().replaceAll("[\\[\\]]", "");
  }
}
