package io.github.llmmobile.cli.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.llmmobile.cli.console.Style;
import java.util.List;
import org.junit.jupiter.api.Test;

class BenchReportTest {
  private static final BenchResult ROW = row("", "{}");
  private static final BenchResult PAGED = row("4 f16 1.0 MB, 60 q4 0.5 MB", "{\"kv_pages_f16\":4,\"kv_pages_q4\":60}");

  private static BenchResult row(String pages, String counters) {
    return new BenchResult("tg32", 2048, new double[] {30.5, 10, 20}, new double[0],
        new CacheUse(1_500_000, pages, JsonParser.parseString(counters).getAsJsonObject()));
  }

  @Test
  void jsonRowHasTheDocumentedKeys() {
    assertEquals("[{\"test\":\"tg32\",\"depth\":2048,\"tokens_per_second\":[30.5,10.0,20.0],\"median\":20.0,"
        + "\"kv_bytes\":1500000}]", BenchReport.json(List.of(ROW)).toString());
  }

  @Test
  void tableShowsMedianAndSpread() {
    String[] lines = BenchReport.table(List.of(ROW)).render(new Style(false)).split("\n");
    assertTrue(lines[1].matches("tg32 +2048 +20\\.00 +10\\.00 +30\\.50 +1\\.5 MB"), lines[1]);
  }

  @Test
  void pagesHaveAColumnAndCounters() {
    String[] lines = BenchReport.table(List.of(ROW, PAGED)).render(new Style(false)).split("\n");
    assertTrue(lines[0].endsWith("cache  pages"), lines[0]);
    assertTrue(lines[1].endsWith("1.5 MB"), lines[1]);
    assertTrue(lines[2].endsWith("1.5 MB  4 f16 1.0 MB, 60 q4 0.5 MB"), lines[2]);
    assertTrue(BenchReport.json(List.of(PAGED)).toString()
        .endsWith("\"kv_bytes\":1500000,\"kv_pages_f16\":4,\"kv_pages_q4\":60}]"));
  }

  @Test
  void medianOfAnEvenNumberIsTheMeanOfTheMiddleTwo() {
    assertEquals(2.5, new BenchResult("pp1", 0, new double[] {4, 1, 3, 2}, new double[0], ROW.cache()).median());
    assertEquals(7, new BenchResult("pp1", 0, new double[] {7}, new double[0], ROW.cache()).median());
  }

  @Test
  void aBaselineHasColumnsAndKeys() {
    BenchResult row = new BenchResult("tg32", 0, new double[] {30, 10, 22}, new double[] {20, 20, 20}, ROW.cache());
    String[] lines = BenchReport.table(List.of(row)).render(new Style(false)).split("\n");
    assertTrue(lines[1].matches("tg32 +0 +22\\.00 +10\\.00 +30\\.00 +20\\.00 +1\\.100 +0\\.500\\.\\.1\\.500 +1\\.5 MB"), lines[1]);
    assertTrue(BenchReport.json(List.of(row)).toString()
        .contains("\"median\":22.0,\"baseline_tokens_per_second\":[20.0,20.0,20.0],\"ratio\":1.1,"));
    assertThrows(IllegalArgumentException.class, () -> new BenchResult("pp1", 0, new double[2], new double[1], ROW.cache()));
  }

  @Test
  void rowWithoutRepetitionIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> new BenchResult("pp1", 0, new double[0], new double[0], ROW.cache()));
  }
}
