package io.github.llmmobile.cli.console;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class TextTableTest {
  @Test
  void columnsAreAsWideAsTheirWidestCell() {
    String text = new TextTable("lr").row("a", "1").row("long", "22").heading("k", "value").render(new Style(false));
    assertEquals("k     value\na         1\nlong     22\n", text);
  }

  @Test
  void charactersOutsideTheBasicPlaneCountOnce() {
    assertEquals("\uD83D\uDE00   x\nab  y\n",
        new TextTable("ll").row("\uD83D\uDE00", "x").row("ab", "y").render(new Style(false)));
  }

  @Test
  void linesHaveNoTrailingSpaces() {
    assertEquals("a    b\nccc\n", new TextTable("ll").row("a", "b").row("ccc", "").render(new Style(false)));
  }

  @Test
  void headingIsBold() {
    assertEquals("\u001b[1mk\u001b[0m\nv\n", new TextTable("l").heading("k").row("v").render(new Style(true)));
  }

  @Test
  void wrongNumberOfCellsIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> new TextTable("ll").row("only one"));
  }
}
