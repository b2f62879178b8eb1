package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.config.InferenceConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConfigArgumentsTest {
  @TempDir Path folder;

  @Test
  void nothingGivenLeavesEveryTechniqueOff() {
    InferenceConfig config = new ConfigArguments().merged();
    assertTrue(config.edgeCloud().isEmpty());
    assertTrue(config.tokenPruning().isEmpty());
    assertTrue(config.layerCompression().isEmpty());
    assertTrue(config.memoryManager().isEmpty());
    assertTrue(config.maxNewTokens().isEmpty());
    assertFalse(config.strict());
  }

  @Test
  void fileAloneIsTakenAsItIs() throws IOException {
    ConfigArguments arguments = withFile("""
        {"edge_cloud_config": {"bandwidth_threshold": 1.0},
         "token_pruning_config": {"pruning_threshold": 0.01, "max_shadow_size": 100},
         "layer_compression_config": {"compression_rank": 8, "hot_path_indices": [0, 1, 11]},
         "memory_manager_config": {"max_memory_mb": 512, "page_size": 16, "quantization_enabled": true},
         "max_new_tokens": 100}""");
    InferenceConfig config = arguments.merged();
    assertEquals(16, json(config, "memory_manager_config").get("page_size").getAsInt());
    assertEquals(100, config.maxNewTokens().getAsInt());
    assertEquals(100, arguments.maxTokens(config, 256));
  }

  @Test
  void flagOverridesItsFieldAndNothingElse() throws IOException {
    ConfigArguments arguments = withFile("""
        {"memory_manager_config": {"max_memory_mb": 512, "page_size": 16, "quantization_enabled": true},
         "max_new_tokens": 100}""");
    arguments.pageSize = 64;
    arguments.quantizationEnabled = false;
    InferenceConfig config = arguments.merged();
    JsonObject memory = json(config, "memory_manager_config");
    assertEquals(512, memory.get("max_memory_mb").getAsInt());
    assertEquals(64, memory.get("page_size").getAsInt());
    assertFalse(memory.get("quantization_enabled").getAsBoolean());
    assertTrue(config.tokenPruning().isEmpty());
    assertEquals(100, config.maxNewTokens().getAsInt());
  }

  @Test
  void everyFieldHasAFlagThatCreatesItsSection() {
    ConfigArguments arguments = new ConfigArguments();
    arguments.bandwidthThreshold = "2.5";
    arguments.pruningThreshold = 0.02;
    arguments.maxShadowSize = -1;
    arguments.keepRatio = 0.5;
    arguments.maxActiveTokens = 300;
    arguments.selectionMass = 0.9;
    arguments.pruneTestInterval = 8;
    arguments.pruneMinTokens = 64;
    arguments.prunePolicy = "recency";
    arguments.prunePrefillKeep = 0.3;
    arguments.prunePrefillLayer = 12;
    arguments.boundOmitted = true;
    arguments.compressionRank = 4;
    arguments.hotPathIndices = List.of(0, -1);
    arguments.factors = "m-r8.gguf";
    arguments.maxMemoryMb = 256;
    arguments.pageSize = 32;
    arguments.quantizationEnabled = true;
    arguments.smallestTier = true;
    arguments.noProbe = true;
    arguments.spillDirectory = "/var/tmp/pages";
    arguments.evictionEnabled = true;
    arguments.recentWindow = 64;
    arguments.pinnedPrefix = 8;
    arguments.exactAttention = true;
    arguments.cacheDirectory = "cache";
    arguments.strict = true;
    InferenceConfig config = arguments.merged();
    assertEquals(2.5, json(config, "edge_cloud_config").get("bandwidth_threshold").getAsDouble());
    JsonObject pruning = json(config, "token_pruning_config");
    assertEquals(0.02, pruning.get("pruning_threshold").getAsDouble());
    assertEquals(-1, pruning.get("max_shadow_size").getAsInt());
    assertEquals(0.5, pruning.get("keep_ratio").getAsDouble());
    assertEquals(300, pruning.get("max_active_tokens").getAsInt());
    assertEquals(0.9, pruning.get("selection_mass").getAsDouble());
    assertEquals(8, pruning.get("test_interval").getAsInt());
    assertEquals(64, pruning.get("min_tokens").getAsInt());
    assertEquals("recency", pruning.get("policy").getAsString());
    assertEquals(0.3, pruning.get("prune_prefill_keep").getAsDouble());
    assertEquals(12, pruning.get("prune_prefill_layer").getAsInt());
    assertTrue(pruning.get("bound_omitted").getAsBoolean());
    JsonObject layers = json(config, "layer_compression_config");
    assertEquals(4, layers.get("compression_rank").getAsInt());
    assertEquals("[0,-1]", layers.get("hot_path_indices").toString());
    assertEquals("m-r8.gguf", layers.get("factors").getAsString());
    JsonObject memory = json(config, "memory_manager_config");
    assertEquals(256, memory.get("max_memory_mb").getAsInt());
    assertEquals(32, memory.get("page_size").getAsInt());
    assertTrue(memory.get("quantization_enabled").getAsBoolean());
    assertTrue(memory.get("smallest_tier").getAsBoolean());
    assertFalse(memory.get("probe_enabled").getAsBoolean());
    assertEquals("/var/tmp/pages", memory.get("spill_directory").getAsString());
    assertTrue(memory.get("eviction_enabled").getAsBoolean());
    assertEquals(64, memory.get("recent_window").getAsInt());
    assertEquals(8, memory.get("pinned_prefix").getAsInt());
    assertTrue(memory.get("exact_attention").getAsBoolean());
    assertEquals("cache", memory.get("cache_directory").getAsString());
    assertEquals(11, memory.size());
    assertTrue(config.strict());
  }

  @Test
  void contradictionNamesTheFlag() {
    ConfigArguments arguments = new ConfigArguments();
    arguments.quantizationEnabled = false;
    arguments.smallestTier = true;
    CliException e = assertThrows(CliException.class, arguments::merged);
    assertEquals(ExitCode.USAGE, e.exitCode());
    assertTrue(e.getMessage().startsWith("--smallest-tier: "), e.getMessage());
  }

  @Test
  void bandwidthMayCarryItsUnit() {
    ConfigArguments arguments = new ConfigArguments();
    arguments.bandwidthThreshold = "500 Kbps";
    assertEquals(0.5, json(arguments.merged(), "edge_cloud_config").get("bandwidth_threshold").getAsDouble(), 1e-12);
  }

  @Test
  void wrongFlagNamesTheFlagAndIsAUsageError() {
    ConfigArguments arguments = new ConfigArguments();
    arguments.pageSize = 20;
    CliException e = assertThrows(CliException.class, arguments::merged);
    assertEquals(ExitCode.USAGE, e.exitCode());
    assertTrue(e.getMessage().startsWith("--page-size: "), e.getMessage());
    assertTrue(e.getMessage().contains("20"), e.getMessage());
  }

  @Test
  void wrongPolicyNamesTheFlag() {
    ConfigArguments arguments = new ConfigArguments();
    arguments.prunePolicy = "age";
    CliException e = assertThrows(CliException.class, arguments::merged);
    assertEquals(ExitCode.USAGE, e.exitCode());
    assertEquals("--prune-policy: must be attention, recency or random, but is \"age\"", e.getMessage());
  }

  @Test
  void wrongFieldInTheFileIsAConfigurationError() throws IOException {
    ConfigArguments arguments = withFile("{\"memory_manager_config\": {\"page_size\": 20}}");
    CliException e = assertThrows(CliException.class, arguments::merged);
    assertEquals(ExitCode.CONFIG, e.exitCode());
    assertTrue(e.getMessage().startsWith(arguments.config + ": memory_manager_config.page_size: "), e.getMessage());
  }

  @Test
  void wrongFileIsAnErrorEvenWhereAFlagWouldRepairIt() throws IOException {
    ConfigArguments arguments = withFile("{\"memory_manager_config\": {\"page_size\": 20}}");
    arguments.pageSize = 16;
    CliException e = assertThrows(CliException.class, arguments::merged);
    assertEquals(ExitCode.CONFIG, e.exitCode());
  }

  @Test
  void missingFileIsAConfigurationError() {
    ConfigArguments arguments = new ConfigArguments();
    arguments.config = folder.resolve("missing.json");
    CliException e = assertThrows(CliException.class, arguments::merged);
    assertEquals(ExitCode.CONFIG, e.exitCode());
  }

  @Test
  void fileThatIsNotUtf8IsAConfigurationError() throws IOException {
    ConfigArguments arguments = new ConfigArguments();
    arguments.config = Files.write(folder.resolve("latin1.json"), new byte[] {'{', (byte) 0xe9, '}'});
    CliException e = assertThrows(CliException.class, arguments::merged);
    assertEquals(ExitCode.CONFIG, e.exitCode());
  }

  @Test
  void lengthComesFromTheFlagThenTheFileThenTheDefault() throws IOException {
    ConfigArguments arguments = withFile("{\"max_new_tokens\": 100}");
    assertEquals(100, arguments.maxTokens(arguments.merged(), 256));
    arguments.maxTokens = 7;
    assertEquals(7, arguments.maxTokens(arguments.merged(), 256));
    ConfigArguments none = new ConfigArguments();
    assertEquals(256, none.maxTokens(none.merged(), 256));
  }

  @Test
  void configurationErrorsReachTheExitCode() throws IOException {
    Path file = Files.writeString(folder.resolve("c.json"), "{\"max_new_tokes\": 1}");
    TestCli.Outcome outcome = new TestCli().run("run", "--config", file.toString(), "x");
    assertEquals(4, outcome.code(), outcome.err());
    assertTrue(outcome.err().contains("max_new_tokens"), outcome.err());
  }

  private ConfigArguments withFile(String text) throws IOException {
    ConfigArguments arguments = new ConfigArguments();
    arguments.config = Files.writeString(folder.resolve("config.json"), text);
    return arguments;
  }

  private static JsonObject json(InferenceConfig config, String section) {
    return JsonParser.parseString(config.toJson()).getAsJsonObject().getAsJsonObject(section);
  }
}
