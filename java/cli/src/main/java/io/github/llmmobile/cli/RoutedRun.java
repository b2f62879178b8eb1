package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import io.github.llmmobile.cli.routing.LearnedFile;
import io.github.llmmobile.config.EdgeCloudConfig;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.edge.policy.RoutingEvent;
import io.github.llmmobile.edge.remote.RemoteDescription;
import io.github.llmmobile.edge.remote.RemoteException;
import io.github.llmmobile.edge.remote.RemoteModelClient;
import io.github.llmmobile.edge.remote.RoutedGenerator;
import io.github.llmmobile.edge.remote.RoutedPrompt;
import io.github.llmmobile.edge.remote.RoutedResult;
import io.github.llmmobile.edge.remote.RoutingStats;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** {@code run} with a larger model behind an endpoint. */
final class RoutedRun {
  private static final int PROBE_MILLIS = 10_000;

  private final CliEnvironment env;
  private final RoutingArguments arguments;
  private final InferenceConfig config;
  private final List<RoutingEvent> events = new ArrayList<>();

  RoutedRun(CliEnvironment env, RoutingArguments arguments, InferenceConfig config) {
    this.env = env;
    this.arguments = arguments;
    this.config = config;
  }

  /** The configuration of the session: the section about the cloud is this class's matter. */
  static InferenceConfig ofSession(InferenceConfig config) {
    return config.withoutEdgeCloud();
  }

  RoutedResult generate(OpenSession open, RoutedPrompt prompt, boolean chat, GenerationOptions options,
      AnswerPrinter printer, CancellationToken cancellation) {
    double threshold = config.edgeCloud().orElseGet(() -> EdgeCloudConfig.builder().build()).bandwidthThresholdMbps();
    RemoteModelClient client = arguments.remote.client(env, threshold);
    LearnedFile learned = new LearnedFile(DefaultModel.cacheFolder(env), open.model().info().fingerprint());
    RoutedGenerator generator = RoutedGenerator.builder(open.model(), open.session(), client)
        .level(level(client, chat, cancellation)).share(arguments.share).burstTokens(arguments.burst)
        .learned(learned.read()).events(events::add).build();
    RoutedResult result =
        generator.generate(prompt, options, (text, place) -> printer.print(text), cancellation);
    if (generator.router().observed() > 0) {
      learned.write(generator.router().learned());
    }
    return result;
  }

  /** What the endpoint can do at that; where it cannot be asked, the answer comes from the device. */
  private RoutedGenerator.Level level(RemoteModelClient client, boolean chat, CancellationToken cancellation) {
    RoutedGenerator.Level wanted = arguments.level.value();
    if (arguments.share == 0) {
      return wanted;
    }
    RemoteDescription what;
    try {
      what = client.describe(PROBE_MILLIS, cancellation);
    } catch (RemoteException e) {
      if (config.strict() || e.kind() == RemoteException.Kind.CANCELLED) {
        throw e;
      }
      client.breaker().disable(String.valueOf(e.getMessage()));
      Reports.warn(env, e.getMessage() + "; the model here answers alone");
      return wanted;
    }
    if (chat && !what.chat() || !chat && !what.completions()) {
      throw new CliException(ExitCode.NOT_AVAILABLE, "the endpoint has no " + (chat ? "chat completions" : "completions"),
          chat ? "--raw uses its completions" : "leave out --raw to use its chat completions");
    }
    if (chat && !what.continuesChat() && wanted == RoutedGenerator.Level.TOKEN && arguments.share < 1) {
      Reports.warn(env, "the endpoint cannot continue an answer that another model has begun; whole requests are routed");
      return RoutedGenerator.Level.REQUEST;
    }
    return wanted;
  }

  JsonObject json(RoutedResult result) {
    JsonObject json = new JsonObject();
    json.addProperty("text", result.text());
    json.addProperty("prompt_tokens", result.promptTokens());
    json.addProperty("stop_reason", result.stopReason().jsonName());
    json.add("stats", Reports.stats(result.stats()));
    json.add("techniques", Reports.techniques(result.techniques()));
    json.addProperty("peak_rss_bytes", Reports.peakRssBytes());
    json.add("routing", routing(result.routing()));
    return json;
  }

  private JsonObject routing(RoutingStats stats) {
    JsonObject json = new JsonObject();
    json.addProperty("local_tokens", stats.localTokens());
    json.addProperty("remote_tokens", stats.remoteTokens());
    json.addProperty("remote_share", stats.remoteShare());
    json.addProperty("bursts", stats.bursts());
    json.addProperty("failures", stats.failures());
    json.addProperty("bytes_up", stats.bytesUp());
    json.addProperty("bytes_down", stats.bytesDown());
    json.addProperty("local_us", stats.localNanos() / 1000);
    json.addProperty("remote_us", stats.remoteNanos() / 1000);
    json.add("decisions", RoutingReports.decisions(events));
    return json;
  }

  TextTable statsTable(RoutedResult result) {
    RoutingStats stats = result.routing();
    TextTable table = Reports.statsTable(result.stats(), result.techniques());
    table.row("routing", String.format(Locale.ROOT, "%d local and %d remote tokens (%.1f %% remote), in %d bursts; %d"
        + " failures", stats.localTokens(), stats.remoteTokens(), 100 * stats.remoteShare(), stats.bursts(),
        stats.failures()));
    table.row("remote", String.format(Locale.ROOT, "%s up, %s down; local %s, remote %s", Units.bytes(stats.bytesUp()),
        Units.bytes(stats.bytesDown()), perToken(stats.localNanos(), stats.localTokens()),
        perToken(stats.remoteNanos(), stats.remoteTokens())));
    return table;
  }

  private static String perToken(long nanos, int tokens) {
    return tokens == 0 ? "no tokens" : String.format(Locale.ROOT, "%.1f ms per token", nanos / 1e6 / tokens);
  }

  /** The decisions as a table. */
  TextTable explanation() {
    return RoutingReports.table(events);
  }
}
