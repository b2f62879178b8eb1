package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.cli.bench.CacheUse;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.console.Units;
import java.nio.file.Path;
import java.util.ArrayList;
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
    json.addProperty("gate_steps", stats.gateSteps());
    json.addProperty("gate_skipped_parts", stats.gateSkippedParts());
    json.addProperty("draft_proposed", stats.draftProposed());
    json.addProperty("draft_accepted", stats.draftAccepted());
    json.addProperty("draft_steps", stats.draftSteps());
    pageCounters(stats).entrySet().forEach(counter -> json.add(counter.getKey(), counter.getValue()));
    return json;
  }

  /** Counters of a session, and the techniques that it was asked for, as a table for people. */
  static TextTable statsTable(SessionStats stats, List<TechniqueReport> techniques) {
    TextTable table = new TextTable("ll")
        .row("prompt", String.format(Locale.ROOT, "%d tokens (%d more from the cache), %.1f tokens/s",
            stats.promptTokens(), stats.reusedTokens(), stats.promptTokensPerSecond()))
        .row("answer", String.format(Locale.ROOT, "%d tokens, %.1f tokens/s",
            stats.generatedTokens(), stats.decodeTokensPerSecond()))
        .row("context", stats.tokens() + " tokens, room for " + stats.contextTokens())
        .row("threads", stats.threads() + ", prompt " + stats.batchThreads())
        .row("memory", "weights " + Units.bytes(stats.modelBytes()) + ", cache " + Units.bytes(stats.kvBytes())
            + ", work " + Units.bytes(stats.computeBytes()) + ", process at its peak "
            + Units.bytes(peakRssBytes()));
    if (paged(stats)) {
      table.row("pages", pages(stats) + "; shared " + stats.kvPagesShared() + ", evicted " + stats.kvPagesEvicted())
          .row("budget", (stats.kvBudgetBytes() == 0 ? "none" : Units.bytes(stats.kvBudgetBytes())) + ", pages at their"
              + " peak " + Units.bytes(stats.kvPeakBytes()))
          .row("moves", moves(stats));
    }
    if (stats.pruneSteps() > 0) {
      table.row("pruning", pruning(stats));
    }
    if (stats.prunePrefillTokens() > 0) {
      table.row("prompts", String.format(Locale.ROOT, "%d of %d tokens left out of later layers, chosen in %.0f ms; %d brought"
          + " back, %d can be", stats.prunePrefillLeftOut(), stats.prunePrefillTokens(), stats.prunePrefillMicros() / 1e3,
          stats.prunePrefillRecalled(), stats.prunePrefillShadow()));
    }
    if (stats.draftSteps() > 0) {
      table.row("drafts", stats.draftAccepted() + " of " + stats.draftProposed() + " tokens right, in "
          + stats.draftSteps() + " steps");
    }
    if (stats.gateSkippedParts() > 0) {
      table.row("skipped", String.format(Locale.ROOT, "%.2f parts of layers per step, in %d steps",
          stats.gateSkippedParts() / (double) stats.gateSteps(), stats.gateSteps()));
    }
    for (TechniqueReport report : techniques) {
      if (report.asked()) {
        table.row(report.technique(),
            (report.status() == TechniqueReport.Status.NOT_AVAILABLE ? "not available: " : "") + report.detail());
      }
    }
    return table;
  }

  private static String pruning(SessionStats stats) {
    return String.format(Locale.ROOT, "active %.0f, shadow %.0f, dropped %.0f, recalled %.0f tokens; per step"
            + " %.0f read, %.2f %% of attention left out%s, %.1f us spent deciding",
        stats.pruneActiveTokens(), stats.pruneShadowTokens(), stats.pruneDroppedTokens(), stats.pruneRecalledTokens(),
        stats.pruneReadTokens(), 100 * stats.pruneOmittedMass(), stats.pruneOmittedBound() == 0 ? ""
            : String.format(Locale.ROOT, " (%.1f %% at most)", 100 * stats.pruneOmittedBound()),
        (double) stats.pruneMicros() / stats.pruneSteps());
  }

  private static boolean paged(SessionStats stats) {
    return stats.kvPeakBytes() > 0;
  }

  /** The counters of pages and of pruning under the names of the C header; all 0 without. */
  private static JsonObject pageCounters(SessionStats stats) {
    JsonObject json = new JsonObject();
    json.addProperty("kv_peak_bytes", stats.kvPeakBytes());
    json.addProperty("kv_budget_bytes", stats.kvBudgetBytes());
    json.addProperty("kv_pages_f16", stats.kvPagesF16());
    json.addProperty("kv_pages_q4", stats.kvPagesQ4());
    json.addProperty("kv_pages_q42", stats.kvPagesQ42());
    json.addProperty("kv_pages_spilled", stats.kvPagesSpilled());
    json.addProperty("kv_pages_shared", stats.kvPagesShared());
    json.addProperty("kv_pages_evicted", stats.kvPagesEvicted());
    json.addProperty("kv_bytes_f16", stats.kvBytesF16());
    json.addProperty("kv_bytes_q4", stats.kvBytesQ4());
    json.addProperty("kv_bytes_q42", stats.kvBytesQ42());
    json.addProperty("kv_bytes_spilled", stats.kvBytesSpilled());
    json.addProperty("kv_demotions", stats.kvDemotions());
    json.addProperty("kv_promotions", stats.kvPromotions());
    json.addProperty("kv_spills", stats.kvSpills());
    json.addProperty("kv_recalls", stats.kvRecalls());
    json.addProperty("kv_evictions", stats.kvEvictions());
    json.addProperty("kv_recomputed", stats.kvRecomputed());
    json.addProperty("kv_demotion_us", stats.kvDemotionMicros());
    json.addProperty("kv_spill_us", stats.kvSpillMicros());
    json.addProperty("kv_read_us", stats.kvReadMicros());
    json.addProperty("kv_read_bytes", stats.kvReadBytes());
    json.addProperty("prune_active_tokens", stats.pruneActiveTokens());
    json.addProperty("prune_shadow_tokens", stats.pruneShadowTokens());
    json.addProperty("prune_dropped_tokens", stats.pruneDroppedTokens());
    json.addProperty("prune_pruned_tokens", stats.prunePrunedTokens());
    json.addProperty("prune_recalled_tokens", stats.pruneRecalledTokens());
    json.addProperty("prune_read_tokens", stats.pruneReadTokens());
    json.addProperty("prune_omitted_mass", stats.pruneOmittedMass());
    json.addProperty("prune_omitted_most", stats.pruneOmittedMost());
    json.addProperty("prune_omitted_bound", stats.pruneOmittedBound());
    json.addProperty("prune_omitted_bound_most", stats.pruneOmittedBoundMost());
    json.addProperty("prune_steps", stats.pruneSteps());
    json.addProperty("prune_tests", stats.pruneTests());
    json.addProperty("prune_looks", stats.pruneLooks());
    json.addProperty("prune_us", stats.pruneMicros());
    json.addProperty("prune_prefill_tokens", stats.prunePrefillTokens());
    json.addProperty("prune_prefill_left_out", stats.prunePrefillLeftOut());
    json.addProperty("prune_prefill_recalled", stats.prunePrefillRecalled());
    json.addProperty("prune_prefill_shadow", stats.prunePrefillShadow());
    json.addProperty("prune_prefill_us", stats.prunePrefillMicros());
    return json;
  }

  /** The cache as rows of a benchmark show it. */
  static CacheUse cacheUse(SessionStats stats) {
    return new CacheUse(stats.kvBytes(), paged(stats) ? pages(stats) : "", pageCounters(stats));
  }

  /** Pages and their bytes by format; formats without pages are left out. */
  private static String pages(SessionStats stats) {
    List<String> formats = new ArrayList<>();
    addPages(formats, stats.kvPagesF16(), "f16", stats.kvBytesF16());
    addPages(formats, stats.kvPagesQ4(), "q4", stats.kvBytesQ4());
    addPages(formats, stats.kvPagesQ42(), "q4/2", stats.kvBytesQ42());
    addPages(formats, stats.kvPagesSpilled(), "spilled", stats.kvBytesSpilled());
    return formats.isEmpty() ? "none" : String.join(", ", formats);
  }

  private static void addPages(List<String> formats, int pages, String format, long bytes) {
    if (pages > 0) {
      formats.add(pages + " " + format + " " + Units.bytes(bytes));
    }
  }

  private static String moves(SessionStats stats) {
    String text = String.format(Locale.ROOT, "%d quantised in %.1f ms, %d written again, %d evicted, %d recomputed",
        stats.kvDemotions(), stats.kvDemotionMicros() / 1e3, stats.kvPromotions(), stats.kvEvictions(),
        stats.kvRecomputed());
    return stats.kvSpills() == 0 && stats.kvReadBytes() == 0 ? text : text + String.format(Locale.ROOT,
        "; %d spilled in %.1f ms, %d recalled, %s read in %.1f ms", stats.kvSpills(), stats.kvSpillMicros() / 1e3,
        stats.kvRecalls(), Units.bytes(stats.kvReadBytes()), stats.kvReadMicros() / 1e3);
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

  /** One line on standard error that is good to know. */
  static void note(CliEnvironment env, String text) {
    env.err().println(env.errStyle().cyan("note:") + " " + text);
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
