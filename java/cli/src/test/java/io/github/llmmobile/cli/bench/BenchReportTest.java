package io.github.llmmobile.cli.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.console.Style;
import java.util.List;
import org.junit.jupiter.api.Test;

class BenchReportTest {
  private static final BenchResult ROW = new BenchResult("tg32", 2048, new double[] {30.5, 10, 20}, 1_500_000);

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
  void medianOfAnEvenNumberIsTheMeanOfTheMiddleTwo() {
    assertEquals(2.5, new BenchResult("pp1", 0, new double[] {4, 1, 3, 2}, 0).median());
    assertEquals(7, new BenchResult("pp1", 0, new double[] {7}, 0).median());
  }

  @Test
  void rowWithoutRepetitionIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> new BenchResult("pp1", 0, new double[0], 0));
  }
}
