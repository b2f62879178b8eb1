package io.github.llmmobile.cli.console;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class ProgressBarTest {
  private static final long SECOND = 1_000_000_000L;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final PrintStream err = new PrintStream(bytes, true, StandardCharsets.UTF_8);
  private long now = 5 * SECOND;

  private ProgressBar bar(boolean enabled, int columns) {
    return new ProgressBar(err, enabled, columns, "loading", () -> now);
  }

  private String text() {
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Test
  void quickWorkShowsNothing() {
    try (ProgressBar bar = bar(true, 80)) {
      now += SECOND / 10;
      bar.update(0.9);
    }
    assertEquals("", text());
  }

  @Test
  void slowWorkShowsShareAndTimeLeftAndDisappears() {
    try (ProgressBar bar = bar(true, 80)) {
      now += 10 * SECOND;
      bar.update(0.25);
    }
    assertEquals("\rloading [########........................]  25 %, 0:30 left\u001b[K\r\u001b[K", text());
  }

  @Test
  void drawsAtMostTenTimesASecond() {
    ProgressBar bar = bar(true, 80);
    now += SECOND;
    bar.update(0.1);
    int length = text().length();
    now += SECOND / 20;
    bar.update(0.2);
    assertEquals(length, text().length());
    now += SECOND / 10;
    bar.update(0.3);
    assertTrue(text().length() > length);
  }

  @Test
  void nothingIsDrawnOffATerminal() {
    try (ProgressBar bar = bar(false, 80)) {
      now += 10 * SECOND;
      bar.update(0.5);
      bar.label("other");
    }
    assertEquals("", text());
  }

  @Test
  void narrowTerminalGetsNoBar() {
    ProgressBar bar = bar(true, 20);
    now += SECOND;
    bar.update(1.5);
    assertEquals("\rloading 100 %\u001b[K", text());
  }

  @Test
  void clockShowsHoursOnlyWhereThereAreSome() {
    assertEquals("0:07", ProgressBar.clock(7));
    assertEquals("12:30", ProgressBar.clock(750));
    assertEquals("1:02:03", ProgressBar.clock(3723));
  }
}
