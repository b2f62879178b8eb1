package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.edge.policy.RoutingEvent;
import java.util.List;
import java.util.Locale;

/** Decisions about where tokens come from, as they are reported. */
final class RoutingReports {
  private RoutingReports() {}

  /** As JSON. Times are microseconds, sizes bytes. */
  static JsonArray decisions(List<RoutingEvent> events) {
    JsonArray decisions = new JsonArray();
    for (RoutingEvent event : events) {
      JsonObject decision = new JsonObject();
      decision.addProperty("place", event.place().jsonName());
      decision.addProperty("reason", event.reason().jsonName());
      decision.addProperty("position", event.position());
      decision.addProperty("tokens", event.tokens());
      decision.addProperty("bytes_up", event.bytesUp());
      decision.addProperty("bytes_down", event.bytesDown());
      decision.addProperty("us", event.nanos() / 1000);
      decision.add("uncertainty", Json.number(event.uncertainty()));
      decision.addProperty("detail", event.detail());
      decisions.add(decision);
    }
    return decisions;
  }

  /** As a table for people. */
  static TextTable table(List<RoutingEvent> events) {
    TextTable table = new TextTable("rrllrrl").heading("from", "tokens", "place", "why", "bytes", "ms", "");
    for (RoutingEvent event : events) {
      String unsure = Double.isNaN(event.uncertainty()) ? ""
          : String.format(Locale.ROOT, " (%.2f)", event.uncertainty());
      table.row(String.valueOf(event.position()), String.valueOf(event.tokens()), event.place().jsonName(),
          event.reason().text() + unsure,
          event.bytesUp() + event.bytesDown() == 0 ? "" : event.bytesUp() + "+" + event.bytesDown(),
          String.format(Locale.ROOT, "%.1f", event.nanos() / 1e6), event.detail());
    }
    return table;
  }
}
