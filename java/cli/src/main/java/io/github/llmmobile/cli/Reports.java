package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** What several commands report: an answer, its statistics, the techniques, the model. */
final class Reports {
  private Reports() {}

  /** One answer: the JSON of {@code run}, and of each answer of {@code chat}. */
  static JsonObject answer(GenerationResult result) {
    JsonObject json = new JsonObject();
    json.addProperty("text", result.text());
    json.add("tokens", Json.array(result.tokens()));
    json.addProperty("prompt_tokens", result.promptTokens());
    json.addProperty("reused_tokens", result.reusedTokens());
    json.addProperty("stop_reason", result.stopReason().jsonName());
    json.add("stats", stats(result.stats()));
    json.add("techniques", techniques(result.techniques()));
    json.addProperty("peak_rss_bytes", peakRssBytes());
    return json;
  }

  /** Counters of a session. Times are microseconds, sizes bytes, speeds tokens per second. */
  static JsonObject stats(SessionStats stats) {
    JsonObject json = new JsonObject();
    json.addProperty("context_tokens", stats.contextTokens());
    json.addProperty("tokens", stats.tokens());
    json.addProperty("threads", stats.threads());
    json.addProperty("batch_threads", stats.batchThreads());
    json.addProperty("prompt_tokens", stats.promptTokens());
    json.addProperty("reused_tokens", stats.reusedTokens());
    json.addProperty("generated_tokens", stats.generatedTokens());
    json.addProperty("prompt_us", stats.promptMicros());
    json.addProperty("decode_us", stats.decodeMicros());
    json.addProperty("sample_us", stats.sampleMicros());
    json.add("prompt_tokens_per_second", Json.number(stats.promptTokensPerSecond()));
    json.add("decode_tokens_per_second", Json.number(stats.decodeTokensPerSecond()));
    json.addProperty("model_bytes", stats.modelBytes());
    json.addProperty("kv_bytes", stats.kvBytes());
    json.addProperty("compute_bytes", stats.computeBytes());
    json.addProperty("kv_peak_bytes", stats.kvPeakBytes());
    json.addProperty("kv_pages_f16", stats.kvPagesF16());
    json.addProperty("kv_pages_q4", stats.kvPagesQ4());
    json.addProperty("kv_pages_evicted", stats.kvPagesEvicted());
    json.addProperty("kv_demotions", stats.kvDemotions());
    json.addProperty("kv_promotions", stats.kvPromotions());
    json.addProperty("kv_evictions", stats.kvEvictions());
    json.addProperty("kv_demotion_us", stats.kvDemotionMicros());
    return json;
  }

  /** Counters of a session as a table for people. */
  static TextTable statsTable(SessionStats stats) {
    TextTable table = new TextTable("ll")
        .row("prompt", String.format(Locale.ROOT, "%d tokens (%d more from the cache), %.1f tokens/s",
            stats.promptTokens(), stats.reusedTokens(), stats.promptTokensPerSecond()))
        .row("answer", String.format(Locale.ROOT, "%d tokens, %.1f tokens/s",
            stats.generatedTokens(), stats.decodeTokensPerSecond()))
        .row("context", stats.tokens() + " of " + stats.contextTokens() + " tokens")
        .row("threads", stats.threads() + ", prompt " + stats.batchThreads())
        .row("memory", "weights " + Units.bytes(stats.modelBytes()) + ", cache " + Units.bytes(stats.kvBytes())
            + ", work " + Units.bytes(stats.computeBytes()) + ", process at its peak "
            + Units.bytes(peakRssBytes()));
    return stats.kvPeakBytes() == 0 ? table : table.row("pages", String.format(Locale.ROOT,
        "%d as stored, %d of 4 bits, %d evicted, at their peak %s; %.1f ms spent quantising", stats.kvPagesF16(),
        stats.kvPagesQ4(), stats.kvPagesEvicted(), Units.bytes(stats.kvPeakBytes()), stats.kvDemotionMicros() / 1e3));
  }

  /** Which of the configured techniques took part. */
  static JsonArray techniques(List<TechniqueReport> techniques) {
    JsonArray array = new JsonArray();
    for (TechniqueReport report : techniques) {
      JsonObject json = new JsonObject();
      json.addProperty("technique", report.technique());
      json.addProperty("status", report.status().name().toLowerCase(Locale.ROOT));
      json.addProperty("detail", report.detail());
      array.add(json);
    }
    return array;
  }

  /** Warns of each technique that was asked for and does not take part. */
  static void warnOfTechniques(CliEnvironment env, List<TechniqueReport> techniques) {
    for (TechniqueReport report : techniques) {
      if (report.status() == TechniqueReport.Status.NOT_AVAILABLE) {
        warn(env, report.technique() + " is not available: " + report.detail());
      }
    }
  }

  /** One warning line on standard error. */
  static void warn(CliEnvironment env, String text) {
    env.err().println(env.errStyle().yellow("warning:") + " " + text);
  }

  /** The model that was used. */
  static JsonObject model(Path path, ModelInfo info) {
    JsonObject json = new JsonObject();
    json.addProperty("file", path.getFileName().toString());
    json.addProperty("architecture", info.architecture());
    json.addProperty("name", info.name().orElse(null));
    json.addProperty("quantization", info.quantization().orElse(null));
    json.addProperty("parameters", info.parameters());
    json.addProperty("size_bytes", info.sizeBytes());
    json.addProperty("fingerprint", info.fingerprint());
    return json;
  }

  /** The most memory that this process has had resident, in bytes. */
  static long peakRssBytes() {
    return LlmMobile.processMemory().peakRssBytes();
  }
}
