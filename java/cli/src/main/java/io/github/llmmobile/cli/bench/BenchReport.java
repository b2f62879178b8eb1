package io.github.llmmobile.cli.bench;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import java.util.Arrays;
import java.util.List;

/** The rows of a benchmark as JSON and as a table. */
public final class BenchReport {
  private BenchReport() {}

  /**
   * Rows as JSON.
   *
   * @param results rows (required)
   * @return [{"test","depth","tokens_per_second":[...],"median","kv_bytes", and the counters of the
   *     pages}] (never null)
   */
  public static JsonArray json(List<BenchResult> results) {
    JsonArray array = new JsonArray();
    for (BenchResult result : results) {
      JsonArray speeds = new JsonArray();
      for (double speed : result.tokensPerSecond()) {
        speeds.add(speed);
      }
      JsonObject row = new JsonObject();
      row.addProperty("test", result.test());
      row.addProperty("depth", result.depth());
      row.add("tokens_per_second", speeds);
      row.addProperty("median", result.median());
      row.addProperty("kv_bytes", result.cache().bytes());
      JsonObject counters = result.cache().counters();
      counters.entrySet().forEach(counter -> row.add(counter.getKey(), counter.getValue()));
      array.add(row);
    }
    return array;
  }

  /**
   * Rows for people.
   *
   * @param results rows (required)
   * @return the table (never null)
   */
  public static TextTable table(List<BenchResult> results) {
    boolean paged = results.stream().anyMatch(result -> !result.cache().pages().isEmpty());
    TextTable table = new TextTable(paged ? "lrrrrrl" : "lrrrrr")
        .heading(cells(paged, "test", "depth", "tokens/s", "slowest", "fastest", "cache", "pages"));
    for (BenchResult result : results) {
      table.row(cells(paged, result.test(), Integer.toString(result.depth()), Units.decimal(result.median(), 2),
          Units.decimal(result.slowest(), 2), Units.decimal(result.fastest(), 2),
          Units.bytes(result.cache().bytes()), result.cache().pages()));
    }
    return table;
  }

  private static String[] cells(boolean all, String... cells) {
    return all ? cells : Arrays.copyOf(cells, cells.length - 1);
  }
}
