package io.github.llmmobile.cli.bench;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The rows of a benchmark as JSON and as a table. */
public final class BenchReport {
  private BenchReport() {}

  /**
   * Rows as JSON.
   *
   * @param results rows (required)
   * @return [{"test","depth","tokens_per_second":[...],"median","baseline_tokens_per_second":[...] and "ratio" if there was a
   *     baseline,"kv_bytes", and the counters of the pages}] (never null)
   */
  public static JsonArray json(List<BenchResult> results) {
    JsonArray array = new JsonArray();
    for (BenchResult result : results) {
      JsonObject row = new JsonObject();
      row.addProperty("test", result.test());
      row.addProperty("depth", result.depth());
      row.add("tokens_per_second", array(result.tokensPerSecond()));
      row.addProperty("median", result.median());
      if (result.baseline().length > 0) {
        row.add("baseline_tokens_per_second", array(result.baseline()));
        row.addProperty("ratio", BenchResult.median(result.ratios()));
      }
      row.addProperty("kv_bytes", result.cache().bytes());
      JsonObject counters = result.cache().counters();
      counters.entrySet().forEach(counter -> row.add(counter.getKey(), counter.getValue()));
      array.add(row);
    }
    return array;
  }

  private static JsonArray array(double[] numbers) {
    JsonArray array = new JsonArray();
    Arrays.stream(numbers).forEach(array::add);
    return array;
  }

  /**
   * Rows for people.
   *
   * @param results rows (required)
   * @return the table (never null)
   */
  public static TextTable table(List<BenchResult> results) {
    boolean compared = results.stream().anyMatch(result -> result.baseline().length > 0);
    boolean paged = results.stream().anyMatch(result -> !result.cache().pages().isEmpty());
    TextTable table = new TextTable("lrrrr" + (compared ? "rrr" : "") + "r" + (paged ? "l" : ""));
    List<String> heading = new ArrayList<>(List.of("test", "depth", "tokens/s", "slowest", "fastest"));
    if (compared) {
      heading.addAll(List.of("baseline", "ratio", "lowest..highest"));
    }
    heading.add("cache");
    if (paged) {
      heading.add("pages");
    }
    table.heading(heading.toArray(String[]::new));
    for (BenchResult result : results) {
      List<String> row = new ArrayList<>(List.of(result.test(), Integer.toString(result.depth()),
          Units.decimal(result.median(), 2), Units.decimal(result.slowest(), 2), Units.decimal(result.fastest(), 2)));
      if (compared) {
        double[] ratios = result.ratios();
        row.addAll(List.of(Units.decimal(BenchResult.median(result.baseline()), 2), Units.decimal(BenchResult.median(ratios), 3),
            Units.decimal(Arrays.stream(ratios).min().orElseThrow(), 3) + ".."
                + Units.decimal(Arrays.stream(ratios).max().orElseThrow(), 3)));
      }
      row.add(Units.bytes(result.cache().bytes()));
      if (paged) {
        row.add(result.cache().pages());
      }
      table.row(row.toArray(String[]::new));
    }
    return table;
  }
}
