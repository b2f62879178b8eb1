package io.github.llmmobile.cli.console;

import java.util.Locale;

/** Numbers for people. */
public final class Units {
  private static final String[] BYTE_UNITS = {"KB", "MB", "GB", "TB"};

  private Units() {}

  /**
   * Bytes in decimal units.
   *
   * @param bytes 0 or more
   * @return such as "98.4 MB" (never null)
   */
  public static String bytes(long bytes) {
    if (bytes < 1000) {
      return bytes + " B";
    }
    double value = bytes;
    int unit = -1;
    while (value >= 999.95 && unit < BYTE_UNITS.length - 1) {
      value /= 1000;
      unit++;
    }
    return String.format(Locale.ROOT, "%.1f %s", value, BYTE_UNITS[unit]);
  }

  /**
   * A count, such as that of parameters.
   *
   * @param count 0 or more
   * @return such as "134.5 M" or "1.10 B" (never null)
   */
  public static String count(long count) {
    if (count >= 1_000_000_000L) {
      return String.format(Locale.ROOT, "%.2f B", count / 1e9);
    }
    if (count >= 1_000_000L) {
      return String.format(Locale.ROOT, "%.1f M", count / 1e6);
    }
    return Long.toString(count);
  }

  /**
   * A number with a point, whatever the locale.
   *
   * @param value the number
   * @param decimals digits after the point
   * @return such as "21.5940" (never null)
   */
  public static String decimal(double value, int decimals) {
    return String.format(Locale.ROOT, "%." + decimals + "f", value);
  }
}
