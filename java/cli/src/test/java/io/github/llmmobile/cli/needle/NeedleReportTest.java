package io.github.llmmobile.cli.needle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.llmmobile.cli.bench.CacheUse;
import io.github.llmmobile.cli.console.Style;
import java.util.List;
import org.junit.jupiter.api.Test;

class NeedleReportTest {
  private static NeedleResult result(int depth, double margin) {
    return new NeedleResult("essay", depth, depth * 20, "12345", 5, margin - 4, "54321", -4,
        new CacheUse(1_000, "", JsonParser.parseString("{\"kv_pages_f16\":4}").getAsJsonObject()));
  }

  private static final List<NeedleResult> DENSE = List.of(result(10, 3), result(50, 1.5), result(90, -2));
  private static final List<NeedleResult> RESULTS = List.of(result(10, 2), result(50, -0.5), result(90, 1));

  private static String[] lines(NeedleReport report) {
    return report.table().render(new Style(false)).split("\n");
  }

  @Test
  void jsonRowHasTheDocumentedKeys() {
    assertEquals("[{\"filler\":\"essay\",\"depth\":10,\"position\":200,\"key\":\"12345\",\"key_tokens\":5,"
        + "\"dense_margin\":3.0,\"dense_found\":true,\"margin\":2.0,\"found\":true,\"key_logprob\":-2.0,"
        + "\"best_wrong\":\"54321\",\"best_wrong_logprob\":-4.0,\"kv_bytes\":1000,\"kv_pages_f16\":4}]",
        new NeedleReport(true, DENSE.subList(0, 1), RESULTS.subList(0, 1)).json().toString());
  }

  @Test
  void summaryCountsWhatWasKept() {
    assertEquals("{\"needles\":3,\"found\":2,\"found_share\":" + 2.0 / 3 + ",\"mean_margin\":" + 2.5 / 3
        + ",\"worst_margin\":-0.5,\"dense_found\":2,\"dense_mean_margin\":" + 2.5 / 3
        + ",\"dense_worst_margin\":-2.0,\"kept\":1,\"kept_share\":0.5}",
        new NeedleReport(true, DENSE, RESULTS).summary().toString());
  }

  @Test
  void withoutABaselineItsNumbersAreNull() {
    NeedleReport report = new NeedleReport(false, List.of(), RESULTS);
    assertTrue(report.json().toString().contains("\"dense_margin\":null,\"dense_found\":null,\"margin\":2.0"));
    assertTrue(report.summary().toString().endsWith("\"dense_found\":null,\"dense_mean_margin\":null,"
        + "\"dense_worst_margin\":null,\"kept\":null,\"kept_share\":null}"), report.summary().toString());
    String[] lines = lines(report);
    assertTrue(lines[0].matches("filler +depth +margin +result"), lines[0]);
    assertTrue(lines[2].matches("essay +50 % +-0\\.50 +lost"), lines[2]);
  }

  @Test
  void tableSaysWhatBecameOfEachNeedle() {
    String[] lines = lines(new NeedleReport(true, DENSE, RESULTS));
    assertTrue(lines[0].matches("filler +depth +dense margin +margin +result"), lines[0]);
    assertTrue(lines[1].matches("essay +10 % +3\\.00 +2\\.00 +found"), lines[1]);
    assertTrue(lines[2].matches("essay +50 % +1\\.50 +-0\\.50 +lost"), lines[2]);
    assertTrue(lines[3].matches("essay +90 % +-2\\.00 +1\\.00 +found, not by dense"), lines[3]);
    String missed = lines(new NeedleReport(true, DENSE.subList(2, 3), DENSE.subList(2, 3)))[1];
    assertTrue(missed.endsWith("lost, by dense too"), missed);
  }

  @Test
  void summaryTableHasTheSharesInPerCent() {
    String text = new NeedleReport(true, DENSE, RESULTS).summaryTable().render(new Style(false));
    assertEquals("found   2 of 3, 66.7 %\nkept    1 of 2, 50.0 %\nmargin  mean 0.83, worst -0.50\n"
        + "dense   mean 0.83, worst -2.00\n", text);
  }

  @Test
  void interruptedRunComparesWhatBothHave() {
    NeedleReport report = new NeedleReport(true, DENSE, RESULTS.subList(0, 1));
    assertTrue(report.summary().toString().endsWith("\"dense_found\":1,\"dense_mean_margin\":3.0,"
        + "\"dense_worst_margin\":3.0,\"kept\":1,\"kept_share\":1.0}"), report.summary().toString());
    assertTrue(lines(report)[2].matches("essay +50 % +1\\.50 +- +-"), lines(report)[2]);
    assertTrue(report.json().toString().endsWith("\"dense_margin\":-2.0,\"dense_found\":false,\"margin\":null,"
        + "\"found\":null}]"), report.json().toString());
    NeedleReport nothing = new NeedleReport(true, List.of(), List.of());
    assertEquals("[]", nothing.json().toString());
    assertTrue(nothing.summary().toString().contains("\"mean_margin\":null"));
    assertEquals("found   0 of 0\nkept    0 of 0\nmargin  -\ndense   -\n",
        nothing.summaryTable().render(new Style(false)));
  }

  @Test
  void numbersThatAreNoneAreNull() {
    NeedleReport report = new NeedleReport(false, List.of(), List.of(result(10, Double.NaN)));
    assertTrue(report.json().toString().contains("\"margin\":null,\"found\":false,\"key_logprob\":null"));
  }
}
