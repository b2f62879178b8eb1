package io.github.llmmobile.internal;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Gson's errors without its advice to programmers. */
public final class JsonErrors {
  private static final Pattern PLACE = Pattern.compile("at line (\\d+) column (\\d+)");

  private JsonErrors() {}

  /**
   * Where a text is malformed.
   *
   * @param error an error of Gson's reader
   * @return "malformed at line 1, column 5", or "malformed" if the place is not known
   */
  public static String brief(Throwable error) {
    for (Throwable e = error; e != null; e = e.getCause()) {
      Matcher place = PLACE.matcher(String.valueOf(e.getMessage()));
      if (place.find()) {
        return "malformed at line " + place.group(1) + ", column " + place.group(2);
      }
    }
    return "malformed";
  }
}
