package io.github.llmmobile.cli.needle;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import java.util.List;

/** The results of a run as JSON and as tables, beside those of a dense run where there is one. */
public final class NeedleReport {
  private static final int DECIMALS = 2;

  private final boolean baseline;
  private final List<NeedleResult> dense;
  private final List<NeedleResult> results;

  /**
   * A report.
   *
   * @param baseline whether a dense run is compared with
   * @param dense its results, in the order of the prompts; none without (required)
   * @param results those of the run itself, in the same order; fewer if it was interrupted (required)
   */
  public NeedleReport(boolean baseline, List<NeedleResult> dense, List<NeedleResult> results) {
    this.baseline = baseline;
    this.dense = List.copyOf(dense);
    this.results = List.copyOf(results);
  }

  /**
   * One object per needle.
   *
   * @return [{"filler","depth","position","key","key_tokens","dense_margin","dense_found","margin","found",
   *     "key_logprob","best_wrong","best_wrong_logprob","kv_bytes", and the counters of the pages}]; null for what was
   *     not measured, and the objects end with "found" where only the dense run got so far (never null)
   */
  public JsonArray json() {
    JsonArray array = new JsonArray();
    for (int i = 0; i < Math.max(dense.size(), results.size()); i++) {
      NeedleResult any = i < results.size() ? results.get(i) : dense.get(i);
      JsonObject row = new JsonObject();
      row.addProperty("filler", any.filler());
      row.addProperty("depth", any.depth());
      row.addProperty("position", any.position());
      row.addProperty("key", any.key());
      row.addProperty("key_tokens", any.keyTokens());
      row.add("dense_margin", i < dense.size() ? number(dense.get(i).margin()) : JsonNull.INSTANCE);
      row.add("dense_found", i < dense.size() ? new JsonPrimitive(dense.get(i).found()) : JsonNull.INSTANCE);
      if (i < results.size()) {
        NeedleResult result = results.get(i);
        row.add("margin", number(result.margin()));
        row.addProperty("found", result.found());
        row.add("key_logprob", number(result.keyLogprob()));
        row.addProperty("best_wrong", result.bestWrong());
        row.add("best_wrong_logprob", number(result.bestWrongLogprob()));
        row.addProperty("kv_bytes", result.cache().bytes());
        result.cache().counters().entrySet().forEach(counter -> row.add(counter.getKey(), counter.getValue()));
      } else {
        row.add("margin", JsonNull.INSTANCE);
        row.add("found", JsonNull.INSTANCE);
      }
      array.add(row);
    }
    return array;
  }

  /**
   * The run in a few numbers.
   *
   * @return {"needles","found","found_share","mean_margin","worst_margin","dense_found","dense_mean_margin",
   *     "dense_worst_margin","kept","kept_share"}; dense_found is counted among the needles that both runs looked for,
   *     kept among those that the dense run found; null for what was not measured (never null)
   */
  public JsonObject summary() {
    JsonObject json = new JsonObject();
    json.addProperty("needles", results.size());
    json.addProperty("found", found(results));
    json.add("found_share", share(found(results), results.size()));
    json.add("mean_margin", number(mean(results)));
    json.add("worst_margin", number(worst(results)));
    List<NeedleResult> compared = compared();
    json.add("dense_found", baseline ? new JsonPrimitive(found(compared)) : JsonNull.INSTANCE);
    json.add("dense_mean_margin", number(mean(compared)));
    json.add("dense_worst_margin", number(worst(compared)));
    json.add("kept", baseline ? new JsonPrimitive(kept()) : JsonNull.INSTANCE);
    json.add("kept_share", baseline ? share(kept(), found(compared)) : JsonNull.INSTANCE);
    return json;
  }

  /**
   * A row per needle, for people.
   *
   * @return the table (never null)
   */
  public TextTable table() {
    TextTable table = new TextTable(baseline ? "lrrrl" : "lrrl")
        .heading(cells("filler", "depth", "dense margin", "margin", "result"));
    for (int i = 0; i < Math.max(dense.size(), results.size()); i++) {
      NeedleResult any = i < results.size() ? results.get(i) : dense.get(i);
      table.row(cells(any.filler(), any.depth() + " %",
          i < dense.size() ? decimal(dense.get(i).margin()) : "-",
          i < results.size() ? decimal(results.get(i).margin()) : "-", outcome(i)));
    }
    return table;
  }

  private String outcome(int i) {
    if (i >= results.size()) {
      return "-";
    }
    boolean densely = i < dense.size() && dense.get(i).found();
    if (results.get(i).found()) {
      return baseline && !densely ? "found, not by dense" : "found";
    }
    return baseline && !densely ? "lost, by dense too" : "lost";
  }

  /**
   * The summary, for people.
   *
   * @return the table, without a heading (never null)
   */
  public TextTable summaryTable() {
    TextTable table = new TextTable("ll").row("found", of(found(results), results.size()));
    List<NeedleResult> compared = compared();
    if (baseline) {
      table.row("kept", of(kept(), found(compared)));
    }
    table.row("margin", margins(results));
    if (baseline) {
      table.row("dense", margins(compared));
    }
    return table;
  }

  private String[] cells(String filler, String depth, String densely, String margin, String outcome) {
    return baseline
        ? new String[] {filler, depth, densely, margin, outcome}
        : new String[] {filler, depth, margin, outcome};
  }

  private static String of(long some, int all) {
    return some + " of " + all + (all == 0 ? "" : ", " + Units.decimal(100.0 * some / all, 1) + " %");
  }

  private static String margins(List<NeedleResult> list) {
    return list.isEmpty() ? "-" : "mean " + decimal(mean(list)) + ", worst " + decimal(worst(list));
  }

  private static String decimal(double value) {
    return Units.decimal(value, DECIMALS);
  }

  /** The dense results that have a counterpart. */
  private List<NeedleResult> compared() {
    return dense.subList(0, Math.min(dense.size(), results.size()));
  }

  private int kept() {
    List<NeedleResult> compared = compared();
    int kept = 0;
    for (int i = 0; i < compared.size(); i++) {
      kept += compared.get(i).found() && results.get(i).found() ? 1 : 0;
    }
    return kept;
  }

  private static int found(List<NeedleResult> list) {
    return (int) list.stream().filter(NeedleResult::found).count();
  }

  private static double mean(List<NeedleResult> list) {
    return list.stream().mapToDouble(NeedleResult::margin).average().orElse(Double.NaN);
  }

  private static double worst(List<NeedleResult> list) {
    return list.stream().mapToDouble(NeedleResult::margin).min().orElse(Double.NaN);
  }

  private static JsonElement share(int some, int all) {
    return number(all == 0 ? Double.NaN : (double) some / all);
  }

  private static JsonElement number(double value) {
    return Double.isFinite(value) ? new JsonPrimitive(value) : JsonNull.INSTANCE;
  }
}
