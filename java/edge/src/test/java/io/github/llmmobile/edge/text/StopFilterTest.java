package io.github.llmmobile.edge.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class StopFilterTest {
  @Test
  void textWithoutStopsPassesAtOnce() {
    StopFilter filter = new StopFilter(List.of());
    assertEquals("abc", filter.push("abc"));
    assertEquals("", filter.finish());
  }

  @Test
  void theBeginningOfAStopIsHeldBack() {
    StopFilter filter = new StopFilter(List.of("END", "\n\n"));
    assertEquals("a", filter.push("aE"));
    assertEquals("", filter.push("N"));
    assertEquals("ENx", filter.push("x"));
    assertEquals("y", filter.push("y\n"));
    assertEquals("\n", filter.finish());
    assertFalse(filter.stopped());
  }

  @Test
  void nothingFromTheFirstStopOn() {
    StopFilter filter = new StopFilter(List.of("END", "STOP"));
    assertEquals("a ", filter.push("a STOP b END c"));
    assertTrue(filter.stopped());
    assertEquals("", filter.push("more"));
    assertEquals("", filter.finish());
  }

  @Test
  void stopsThatBeginLikeEachOther() {
    StopFilter filter = new StopFilter(List.of("aab", "ab"));
    assertEquals("x", filter.push("xaa"));
    assertEquals("", filter.push("b"));
    assertTrue(filter.stopped());
  }
}
