package io.github.llmmobile.edge.text;

import java.util.List;

/** Lets text through except for what begins a stop string, until one is complete. */
public final class StopFilter {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private boolean stopped;

  /**
   * Nothing has come yet.
   *
   * @param stops the stop strings, none of them empty
   */
  public StopFilter(List<String> stops) {
    this.stops = stops;
  }

  /**
   * Takes more text.
   *
   * @param text what comes next
   * @return what of it, and of that held back before, can be shown; nothing after a stop string
   */
  public String push(String text) {
    if (stopped) {
      return "";
    }
    held.append(text);
    int first = -1;
    for (String stop : stops) {
      int at = held.indexOf(stop);
      if (at >= 0 && (first < 0 || at < first)) {
        first = at;
      }
    }
    if (first >= 0) {
      stopped = true;
      String shown = held.substring(0, first);
      held.setLength(0);
      return shown;
    }
    int from = beginOfStop();
    String shown = held.substring(0, from);
    held.delete(0, from);
    return shown;
  }

  /** Where the longest end that a stop string begins with starts; the length if there is none. */
  private int beginOfStop() {
    int from = held.length();
    for (String stop : stops) {
      for (int length = Math.min(stop.length() - 1, held.length()); length > 0; length--) {
        int start = held.length() - length;
        if (start < from && stop.startsWith(held.substring(start))) {
          from = start;
        }
      }
    }
    return from;
  }

  /**
   * Whether a stop string has come.
   *
   * @return true if so
   */
  public boolean stopped() {
    return stopped;
  }

  /**
   * Ends the text.
   *
   * @return what was held back
   */
  public String finish() {
    String rest = held.toString();
    held.setLength(0);
    return rest;
  }
}
