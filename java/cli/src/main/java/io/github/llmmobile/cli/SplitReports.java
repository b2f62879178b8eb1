package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.cli.bench.CacheUse;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.edge.SplitResult;
import io.github.llmmobile.edge.SplitStats;
import io.github.llmmobile.edge.policy.LinkEstimator;
import io.github.llmmobile.edge.policy.SplitPlanner;
import java.util.Locale;
import java.util.stream.Collectors;

/** What is reported of a session that is split with a worker. */
final class SplitReports {
  private static final double MEDIAN = 0.5;
  private static final double TAIL = 0.99;

  private SplitReports() {}

  /** One answer as JSON. Times are microseconds, sizes bytes. */
  static JsonObject answer(SplitResult result, SplitRun run) {
    JsonObject json = new JsonObject();
    json.addProperty("text", result.text());
    json.add("tokens", Json.array(result.tokens()));
    json.addProperty("prompt_tokens", result.promptTokens());
    json.addProperty("reused_tokens", result.reusedTokens());
    json.addProperty("stop_reason", result.stopReason().jsonName());
    SplitStats stats = result.stats();
    JsonObject edge = new JsonObject();
    edge.addProperty("split", run.session().split());
    edge.addProperty("codec", run.options().codec().toString());
    run.session().plan().ifPresent(plan -> edge.add("plan", plan(plan)));
    edge.add("goodput_mbps", Json.number(run.link().goodputMbps().orElse(Double.NaN)));
    edge.add("rtt_us", Json.number(run.link().rttNanos().isPresent()
        ? run.link().rttNanos().getAsLong() / 1e3 : Double.NaN));
    edge.addProperty("gate", run.link().gate().name().toLowerCase(Locale.ROOT));
    edge.addProperty("probes", stats.probes());
    edge.addProperty("keep_dims", run.session().format().keepDims());
    edge.addProperty("record_bytes", run.session().format().recordBytes());
    edge.addProperty("split_steps", stats.splitSteps());
    edge.addProperty("local_steps", stats.localSteps());
    JsonObject reasons = new JsonObject();
    run.localReasons().forEach(reasons::addProperty);
    edge.add("local_reasons", reasons);
    edge.addProperty("missed_deadlines", stats.missedDeadlines());
    edge.addProperty("connections", stats.connections());
    edge.addProperty("losses", stats.losses());
    edge.addProperty("replayed_rows", stats.replayedRows());
    edge.addProperty("sent_bytes", stats.sentBytes());
    edge.addProperty("received_bytes", stats.receivedBytes());
    edge.addProperty("sent_bytes_per_token", stats.sentBytesPerToken());
    edge.addProperty("overhead_p50_us", stats.overheadMicros(MEDIAN));
    edge.addProperty("overhead_p99_us", stats.overheadMicros(TAIL));
    edge.add("decisions", RoutingReports.decisions(run.decisions()));
    json.add("edge", edge);
    json.add("techniques", Reports.techniques(run.session().techniques()));
    json.add("cache", Reports.cacheUse(run.session().deviceStats()).counters());
    json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
    return json;
  }

  private static JsonObject plan(SplitPlanner.Plan plan) {
    JsonObject json = new JsonObject();
    json.addProperty("place", plan.place().jsonName());
    json.addProperty("reason", plan.reason().jsonName());
    json.add("ms", Json.number(plan.cost()));
    json.add("local_ms", Json.number(plan.localCost()));
    json.add("split_ms", Json.number(plan.splitCost()));
    return json;
  }

  private static String planned(SplitRun run) {
    return run.session().plan().map(plan -> String.format(Locale.ROOT, "%s, %s: %s here alone, %s split", plan.place()
        .jsonName(), plan.reason().text(), millis(plan.localCost()), millis(plan.splitCost())))
        .orElse("none: the split is given, or nothing could be measured");
  }

  /** What the device keeps of its layers, and how the worker's are kept. */
  private static String cache(SplitRun run) {
    CacheUse here = Reports.cacheUse(run.session().deviceStats());
    return Units.bytes(here.bytes()) + (here.pages().isEmpty() ? "" : " (" + here.pages() + ")") + " for the layers here; the"
        + " worker's are " + run.session().pages().map(pages -> "in " + pages).orElse("unpaged");
  }

  private static String millis(double ms) {
    return Double.isInfinite(ms) ? "not possible" : String.format(Locale.ROOT, "%.0f ms", ms);
  }

  private static String way(LinkEstimator link) {
    String goodput = link.goodputMbps().isPresent()
        ? String.format(Locale.ROOT, "%.1f Mbps", link.goodputMbps().getAsDouble()) : "not measured";
    String rtt = link.rttNanos().isPresent()
        ? String.format(Locale.ROOT, ", round trip %.1f ms", link.rttNanos().getAsLong() / 1e6) : "";
    return goodput + rtt + ", gate " + link.gate().name().toLowerCase(Locale.ROOT);
  }

  /** The same as a table for people. */
  static TextTable table(SplitResult result, SplitRun run) {
    SplitStats stats = result.stats();
    String reasons = run.localReasons().entrySet().stream()
        .map(reason -> reason.getValue() + " " + reason.getKey()).collect(Collectors.joining(", "));
    return new TextTable("ll")
        .row("prompt", result.promptTokens() + " tokens")
        .row("answer", result.tokens().length + " tokens")
        .row("layers", stats.splitSteps() == 0 ? "all here"
            : "0 to " + (run.session().split() - 1) + " here, the others at the worker; rows as " + run.session().format())
        .row("plan", planned(run))
        .row("way", way(run.link()))
        .row("steps", stats.splitSteps() + " split, " + stats.localSteps() + " local"
            + (reasons.isEmpty() ? "" : " (" + reasons + ")"))
        .row("bytes", String.format(Locale.ROOT, "%s sent, %s received, %.0f B sent per token",
            Units.bytes(stats.sentBytes()), Units.bytes(stats.receivedBytes()), stats.sentBytesPerToken()))
        .row("overhead", String.format(Locale.ROOT, "%.2f ms per split token, %.2f ms at the 99th percentile",
            stats.overheadMicros(MEDIAN) / 1e3, stats.overheadMicros(TAIL) / 1e3))
        .row("network", stats.connections() + " connections, " + stats.losses() + " lost, "
            + stats.missedDeadlines() + " deadlines missed, " + stats.replayedRows() + " rows replayed, " + stats.probes() + " probes")
        .row("cache", cache(run))
        .row("memory", "process at its peak " + Units.bytes(Reports.peakRssBytes()));
  }
}
