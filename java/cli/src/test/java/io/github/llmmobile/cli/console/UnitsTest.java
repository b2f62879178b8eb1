package io.github.llmmobile.cli.console;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UnitsTest {
  @ParameterizedTest
  @CsvSource({
    "0, 0 B", "999, 999 B", "1000, 1.0 KB", "98362432, 98.4 MB", "999960, 1.0 MB", "1500000000, 1.5 GB",
    "2000000000000000, 2000.0 TB",
  })
  void bytesAreDecimal(long bytes, String text) {
    assertEquals(text, Units.bytes(bytes));
  }

  @ParameterizedTest
  @CsvSource({"12345, 12345", "134515008, 134.5 M", "1100000000, 1.10 B"})
  void countsAreShort(long count, String text) {
    assertEquals(text, Units.count(count));
  }
}
