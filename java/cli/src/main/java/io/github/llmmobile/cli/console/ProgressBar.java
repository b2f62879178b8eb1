package io.github.llmmobile.cli.console;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * One line on standard error that is drawn over and over and disappears when the work is done. Draws nothing
 * unless standard error is a terminal. Threads: one at a time.
 */
public final class ProgressBar implements AutoCloseable {
  /** Work that is done sooner needs no bar; it would only flicker. */
  private static final long FIRST_DRAW_NANOS = 400_000_000L;
  private static final long REDRAW_NANOS = 100_000_000L;
  /** An estimate from less work than this jumps about. */
  private static final double ESTIMATE_FROM = 0.02;
  private static final int BAR_MIN = 8;
  private static final int BAR_MAX = 32;

  private final PrintStream err;
  private final boolean enabled;
  private final int columns;
  private final LongSupplier nanoTime;
  private final long start;
  private String label;
  private double fraction;
  private long lastDraw;
  private boolean drawn;

  /**
   * A bar on the environment's standard error.
   *
   * @param env where to draw (required)
   * @param label what is going on, shown in front (required)
   */
  public ProgressBar(CliEnvironment env, String label) {
    this(env.err(), env.showsProgress(), env.columns(), label, System::nanoTime);
  }

  ProgressBar(PrintStream err, boolean enabled, int columns, String label, LongSupplier nanoTime) {
    this.err = err;
    this.enabled = enabled;
    this.columns = columns;
    this.label = label;
    this.nanoTime = nanoTime;
    start = nanoTime.getAsLong();
    lastDraw = start + FIRST_DRAW_NANOS - REDRAW_NANOS;
  }

  /**
   * Changes what is going on; the fraction stays.
   *
   * @param text shown in front (required)
   */
  public void label(String text) {
    label = text;
    update(fraction);
  }

  /**
   * Tells how far the work has come. Cheap enough to be called often.
   *
   * @param done share of the work that is done; values outside 0..1 are clamped
   */
  public void update(double done) {
    fraction = Math.min(1, Math.max(0, done));
    if (!enabled) {
      return;
    }
    long now = nanoTime.getAsLong();
    if (now - lastDraw < REDRAW_NANOS) {
      return;
    }
    lastDraw = now;
    drawn = true;
    err.print("\r" + line(now - start) + "\u001b[K");
    err.flush();
  }

  /** Takes the bar off the screen. */
  @Override
  public void close() {
    if (drawn) {
      err.print("\r\u001b[K");
      err.flush();
      drawn = false;
    }
  }

  private String line(long elapsedNanos) {
    String tail = String.format(Locale.ROOT, " %3d %%%s", Math.round(fraction * 100), remaining(elapsedNanos));
    int room = Math.min(BAR_MAX, columns - label.length() - tail.length() - 4);
    if (room < BAR_MIN) {
      return label + tail;
    }
    int full = (int) Math.round(fraction * room);
    return label + " [" + "#".repeat(full) + ".".repeat(room - full) + "]" + tail;
  }

  private String remaining(long elapsedNanos) {
    if (fraction < ESTIMATE_FROM || fraction >= 1) {
      return "";
    }
    long seconds = Math.round(elapsedNanos / 1e9 * (1 - fraction) / fraction);
    return ", " + clock(seconds) + " left";
  }

  /** Seconds as "0:07", "12:30" or "1:02:03". */
  static String clock(long seconds) {
    long hours = seconds / 3600;
    long minutes = seconds / 60 % 60;
    return hours > 0
        ? String.format(Locale.ROOT, "%d:%02d:%02d", hours, minutes, seconds % 60)
        : String.format(Locale.ROOT, "%d:%02d", minutes, seconds % 60);
  }
}
