package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.config.InferenceConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * The inference configuration: a JSON file, and a flag for each of its fields that overrides the file. A flag of an
 * absent section brings the section into being, and so switches its technique on.
 */
final class ConfigArguments {
  private static final String EDGE = "edge_cloud_config";
  private static final String PRUNING = "token_pruning_config";
  private static final String LAYERS = "layer_compression_config";
  private static final String MEMORY = "memory_manager_config";

  @Option(names = "--config", paramLabel = "FILE",
      description = "Inference configuration (JSON). The flags below override its fields.")
  @Nullable Path config;

  @Option(names = "--bandwidth-threshold", paramLabel = "MBPS",
      description = "Edge-cloud: least bandwidth for remote work; a number in Mbps, or such as \"500 Kbps\".")
  @Nullable String bandwidthThreshold;

  @Option(names = "--pruning-threshold", paramLabel = "X",
      description = "Token pruning: share of a head's attention, 0 to 1, that the tokens pruned from it hold together"
          + " at most; 0 prunes nothing.")
  @Nullable Double pruningThreshold;

  @Option(names = "--max-shadow-size", paramLabel = "N",
      description = "Token pruning: pruned tokens kept for a return; 0 for none, -1 for no limit.")
  @Nullable Integer maxShadowSize;

  @Option(names = "--keep-ratio", paramLabel = "X",
      description = "Token pruning: share of the tokens that stays active, 0 to 1; below 1 it takes the place of the"
          + " threshold.")
  @Nullable Double keepRatio;

  @Option(names = "--max-active-tokens", paramLabel = "N",
      description = "Token pruning: the same as a number of tokens; 0 for any number.")
  @Nullable Integer maxActiveTokens;

  @Option(names = "--selection-mass", paramLabel = "X",
      description = "Token pruning: share of a head's attention, 0 to 1, that a step reads at least.")
  @Nullable Double selectionMass;

  @Option(names = "--prune-test-interval", paramLabel = "N",
      description = "Token pruning: steps from one test of the pruned tokens to the next.")
  @Nullable Integer pruneTestInterval;

  @Option(names = "--prune-min-tokens", paramLabel = "N",
      description = "Token pruning: context length below which nothing is pruned.")
  @Nullable Integer pruneMinTokens;

  @Option(names = "--prune-prefill-keep", paramLabel = "X",
      description = "Token pruning: share of a long prompt's tokens, 0 to 1, that later layers see; 1 prunes no prompt.")
  @Nullable Double prunePrefillKeep;

  @Option(names = "--prune-prefill-layer", paramLabel = "N",
      description = "Token pruning: first layer that sees only a part of a long prompt; 0 for the one after the first third.")
  @Nullable Integer prunePrefillLayer;

  @Option(names = "--bound-omitted", arity = "0..1", fallbackValue = "true", paramLabel = "true|false",
      description = "Token pruning: bound what each step leaves out; run --stats shows it.")
  @Nullable Boolean boundOmitted;

  @Option(names = "--prune-policy", paramLabel = "WHAT",
      description = "Token pruning: what decides which tokens stay: attention; or, for comparisons, recency or random.")
  @Nullable String prunePolicy;

  @Option(names = "--compression-rank", paramLabel = "N",
      description = "Layer compression: greatest rank of factors, and of what stands in for skipped parts.")
  @Nullable Integer compressionRank;

  @Option(names = "--factors", paramLabel = "FILE",
      description = "Layer compression: low-rank factors of what this model has lost by quantising, from llm-mobile"
          + " compress.")
  @Nullable String factors;

  @Option(names = "--hot-path-indices", paramLabel = "I", split = ",",
      description = "Layer compression: layers that are never skipped, such as 0,1,11; negative ones count from the"
          + " end.")
  @Nullable List<Integer> hotPathIndices;

  @Option(names = "--layer-profile", paramLabel = "FILE",
      description = "Layer compression: profile of the model, made by llm-mobile calibrate.")
  @Nullable String layerProfile;

  @Option(names = "--layer-mode", paramLabel = "auto|static",
      description = "Layer compression: skip as much as --kl-budget allows, more where the model is sure (auto), or the"
          + " same --skip-budget in every step (static).")
  @Nullable String layerMode;

  @Option(names = "--kl-budget", paramLabel = "X",
      description = "Layer compression: divergence per token that skipping may cause, in nats, such as 0.02.")
  @Nullable Double klBudget;

  @Option(names = "--skip-budget", paramLabel = "X",
      description = "Layer compression: share of a step's reads that skipping may save, such as 0.05.")
  @Nullable Double skipBudget;

  @Option(names = "--lossless", arity = "0..1", fallbackValue = "true", paramLabel = "true|false",
      description = "Layer compression: leave nothing out; draft tokens from the history instead, which keeps the answer.")
  @Nullable Boolean lossless;

  @Option(names = "--max-memory-mb", paramLabel = "N", description = "Memory manager: budget of the cache in MB.")
  @Nullable Integer maxMemoryMb;

  @Option(names = "--page-size", paramLabel = "N", description = "Memory manager: tokens per page: 16, 32 or 64.")
  @Nullable Integer pageSize;

  @Option(names = "--quantization-enabled", arity = "0..1", fallbackValue = "true", paramLabel = "true|false",
      description = "Memory manager: keep older pages in 4 bits per element.")
  @Nullable Boolean quantizationEnabled;

  @Option(names = "--smallest-tier", arity = "0..1", fallbackValue = "true", paramLabel = "true|false",
      description = "Memory manager: keep older pages in the smallest format at once: keys in 4 bits, values in 2.")
  @Nullable Boolean smallestTier;

  @Option(names = "--no-probe",
      description = "Memory manager: do not try first what quantised pages do to the model.")
  boolean noProbe;

  @Option(names = "--spill-directory", paramLabel = "DIR",
      description = "Memory manager: folder of a file for the pages that do not fit the budget, such as"
          + " /var/tmp/pages.")
  @Nullable String spillDirectory;

  @Option(names = "--eviction-enabled", arity = "0..1", fallbackValue = "true", paramLabel = "true|false",
      description = "Memory manager: forget the least used pages when budget or context is full, so that a"
          + " conversation can go on without end.")
  @Nullable Boolean evictionEnabled;

  @Option(names = "--recent-window", paramLabel = "N",
      description = "Memory manager: newest tokens that stay as stored and are never evicted.")
  @Nullable Integer recentWindow;

  @Option(names = "--pinned-prefix", paramLabel = "N",
      description = "Memory manager: first tokens of which the same holds.")
  @Nullable Integer pinnedPrefix;

  @Option(names = "--exact-attention", arity = "0..1", fallbackValue = "true", paramLabel = "true|false",
      description = "Memory manager: let llama.cpp's own attention run, for comparisons; slow.")
  @Nullable Boolean exactAttention;

  @Option(names = "--cache-directory", paramLabel = "DIR",
      description = "Memory manager: folder that keeps what was found out about models. Default: that of llm-mobile"
          + " models.")
  @Nullable String cacheDirectory;

  @Option(names = {"-n", "--max-tokens", "--max-new-tokens"}, paramLabel = "N",
      description = "Longest answer in tokens; -1: until the context is full. Default: max_new_tokens of the"
          + " configuration, else 256.")
  @Nullable Integer maxTokens;

  @Option(names = "--strict", arity = "0..1", fallbackValue = "true", paramLabel = "true|false",
      description = "Fail instead of warning when a technique is not available.")
  @Nullable Boolean strict;

  /**
   * The configuration in force.
   *
   * @throws CliException if the file is wrong or cannot be read ({@link ExitCode#CONFIG}), or if a flag's value is out
   *     of range ({@link ExitCode#USAGE})
   */
  InferenceConfig merged() {
    InferenceConfig base = config == null ? InferenceConfig.fromJson("{}") : parse(config);
    JsonObject json = JsonParser.parseString(base.toJson()).getAsJsonObject();
    Map<String, String> flags = apply(json);
    if (flags.isEmpty()) {
      return base;
    }
    try {
      return InferenceConfig.fromJson(json.toString());
    } catch (LlmException e) {
      throw new CliException(ExitCode.USAGE, nameFlags(String.valueOf(e.getMessage()), flags), "", e);
    }
  }

  /** The length limit in force: the flag, else the configuration, else the given default. */
  int maxTokens(InferenceConfig merged, int otherwise) {
    return maxTokens != null ? maxTokens : merged.maxNewTokens().orElse(otherwise);
  }

  /** Puts the flags' values in. The result maps each path that was set to the flag that set it. */
  private Map<String, String> apply(JsonObject json) {
    Map<String, String> flags = new LinkedHashMap<>();
    set(json, flags, EDGE, "bandwidth_threshold", "--bandwidth-threshold", bandwidth());
    set(json, flags, PRUNING, "pruning_threshold", "--pruning-threshold", pruningThreshold);
    set(json, flags, PRUNING, "max_shadow_size", "--max-shadow-size", maxShadowSize);
    set(json, flags, PRUNING, "keep_ratio", "--keep-ratio", keepRatio);
    set(json, flags, PRUNING, "max_active_tokens", "--max-active-tokens", maxActiveTokens);
    set(json, flags, PRUNING, "selection_mass", "--selection-mass", selectionMass);
    set(json, flags, PRUNING, "test_interval", "--prune-test-interval", pruneTestInterval);
    set(json, flags, PRUNING, "min_tokens", "--prune-min-tokens", pruneMinTokens);
    set(json, flags, PRUNING, "prune_prefill_keep", "--prune-prefill-keep", prunePrefillKeep);
    set(json, flags, PRUNING, "prune_prefill_layer", "--prune-prefill-layer", prunePrefillLayer);
    set(json, flags, PRUNING, "bound_omitted", "--bound-omitted", boundOmitted);
    set(json, flags, PRUNING, "policy", "--prune-policy", prunePolicy);
    set(json, flags, LAYERS, "compression_rank", "--compression-rank", compressionRank);
    set(json, flags, LAYERS, "factors", "--factors", factors);
    set(json, flags, LAYERS, "hot_path_indices", "--hot-path-indices", hotPathIndices);
    set(json, flags, LAYERS, "profile", "--layer-profile", layerProfile);
    set(json, flags, LAYERS, "mode", "--layer-mode", layerMode);
    set(json, flags, LAYERS, "kl_budget", "--kl-budget", klBudget);
    set(json, flags, LAYERS, "skip_budget", "--skip-budget", skipBudget);
    set(json, flags, LAYERS, "lossless", "--lossless", lossless);
    set(json, flags, MEMORY, "max_memory_mb", "--max-memory-mb", maxMemoryMb);
    set(json, flags, MEMORY, "page_size", "--page-size", pageSize);
    set(json, flags, MEMORY, "quantization_enabled", "--quantization-enabled", quantizationEnabled);
    set(json, flags, MEMORY, "smallest_tier", "--smallest-tier", smallestTier);
    set(json, flags, MEMORY, "probe_enabled", "--no-probe", noProbe ? Boolean.FALSE : null);
    set(json, flags, MEMORY, "spill_directory", "--spill-directory", spillDirectory);
    set(json, flags, MEMORY, "eviction_enabled", "--eviction-enabled", evictionEnabled);
    set(json, flags, MEMORY, "recent_window", "--recent-window", recentWindow);
    set(json, flags, MEMORY, "pinned_prefix", "--pinned-prefix", pinnedPrefix);
    set(json, flags, MEMORY, "exact_attention", "--exact-attention", exactAttention);
    set(json, flags, MEMORY, "cache_directory", "--cache-directory", cacheDirectory);
    set(json, flags, "", "strict", "--strict", strict);
    return flags;
  }

  /** A plain number is Mbps and travels as a number; anything else is text with a unit, which the library reads. */
  private @Nullable Object bandwidth() {
    if (bandwidthThreshold == null) {
      return null;
    }
    try {
      double mbps = Double.parseDouble(bandwidthThreshold);
      return Double.isFinite(mbps) ? (Object) mbps : bandwidthThreshold;
    } catch (NumberFormatException e) {
      return bandwidthThreshold;
    }
  }

  private static void set(JsonObject json, Map<String, String> flags, String section, String key, String flag,
      @Nullable Object value) {
    if (value == null) {
      return;
    }
    JsonObject target = json;
    if (!section.isEmpty()) {
      if (!json.has(section)) {
        json.add(section, new JsonObject());
      }
      target = json.getAsJsonObject(section);
    }
    if (value instanceof List<?> list) {
      JsonArray array = new JsonArray();
      list.forEach(element -> array.add((Number) element));
      target.add(key, array);
    } else if (value instanceof Number number) {
      target.addProperty(key, number);
    } else if (value instanceof Boolean flagValue) {
      target.add(key, new JsonPrimitive(flagValue));
    } else {
      target.addProperty(key, value.toString());
    }
    flags.put(section.isEmpty() ? key : section + "." + key, flag);
  }

  /** Errors name the path in the JSON; a user who typed a flag knows only the flag. */
  private static String nameFlags(String message, Map<String, String> flags) {
    String named = message;
    for (Map.Entry<String, String> flag : flags.entrySet()) {
      named = named.replace(flag.getKey(), flag.getValue());
    }
    return named;
  }

  private static InferenceConfig parse(Path path) {
    try {
      return InferenceConfig.fromJson(read(path));
    } catch (LlmException e) {
      throw new CliException(ExitCode.CONFIG, path + ": " + e.getMessage(),
          "llm-mobile run --help lists the fields as flags", e);
    }
  }

  private static String read(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new CliException(ExitCode.CONFIG, "no such configuration file: " + path, "--config names a JSON file");
    }
    try {
      return TextInput.file(path);
    } catch (CliException e) {
      throw new CliException(ExitCode.CONFIG, String.valueOf(e.getMessage()), e.hint(), e);
    }
  }
}
