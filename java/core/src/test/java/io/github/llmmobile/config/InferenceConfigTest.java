package io.github.llmmobile.config;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import java.io.IOException;
import java.io.Reader;
import java.io.StringReader;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class InferenceConfigTest {
  private static final String FULL = String.join("\n",
      "{ \"edge_cloud_config\":        { \"bandwidth_threshold\": 1.0 },",
      "  \"token_pruning_config\":     { \"pruning_threshold\": 0.01, \"max_shadow_size\": 100 },",
      "  \"layer_compression_config\": { \"compression_rank\": 8, \"hot_path_indices\": [0, 1, -1] },",
      "  \"memory_manager_config\":    { \"max_memory_mb\": 512, \"page_size\": 16, \"quantization_enabled\": true },",
      "  \"max_new_tokens\": 100, \"strict\": true }");

  @Test
  void aWorkerIsNamedWithAllThatItNeeds() {
    EdgeCloudConfig edge = InferenceConfig.fromJson("{\"edge_cloud_config\":{\"worker\":\"w.example:7443\","
        + "\"tls\":\"keys\",\"pin\":\"sha256/x\",\"split\":15,\"codec\":\"int8\",\"basis\":\"a.basis\",\"keep_dims\":40}}")
        .edgeCloud().orElseThrow();
    assertEquals("w.example:7443", edge.worker().orElseThrow());
    assertEquals("keys", edge.tls().orElseThrow().toString());
    assertEquals("sha256/x", edge.pin().orElseThrow());
    assertEquals(15, edge.split());
    assertEquals("int8", edge.codec().orElseThrow());
    assertEquals("a.basis", edge.basis().orElseThrow().toString());
    assertEquals(40, edge.keepDims());
    assertEquals(1, edge.bandwidthThresholdMbps());
    assertEquals(0, InferenceConfig.fromJson("{\"edge_cloud_config\":{\"split\":\"auto\"}}").edgeCloud()
        .orElseThrow().split());
    InferenceConfig config = InferenceConfig.fromJson("{\"edge_cloud_config\":{},\"max_new_tokens\":3}");
    assertEquals("{\"max_new_tokens\":3}", config.withoutEdgeCloud().toJson().replace(",\"strict\":false", ""));
  }

  @Test
  void everyKeyIsRead() {
    InferenceConfig config = InferenceConfig.fromJson(FULL);
    assertEquals(1.0, config.edgeCloud().orElseThrow().bandwidthThresholdMbps());
    assertEquals(0.01, config.tokenPruning().orElseThrow().pruningThreshold());
    assertEquals(100, config.tokenPruning().orElseThrow().maxShadowSize());
    assertEquals(8, config.layerCompression().orElseThrow().compressionRank());
    assertEquals(List.of(0, 1, -1), config.layerCompression().orElseThrow().hotPathIndices());
    assertEquals(512, config.memoryManager().orElseThrow().maxMemoryMb());
    assertEquals(16, config.memoryManager().orElseThrow().pageSize());
    assertTrue(config.memoryManager().orElseThrow().quantizationEnabled());
    assertEquals(OptionalInt.of(100), config.maxNewTokens());
    assertTrue(config.strict());
  }

  @Test
  void everyKeyOfTheMemoryManagerIsRead() {
    MemoryManagerConfig memory = InferenceConfig.fromJson("{\"memory_manager_config\":{\"max_memory_mb\":64,"
        + "\"page_size\":16,\"quantization_enabled\":true,\"smallest_tier\":true,\"probe_enabled\":false,"
        + "\"spill_directory\":\"/tmp/a b\",\"eviction_enabled\":true,\"recent_window\":32,\"pinned_prefix\":8,"
        + "\"exact_attention\":true,\"cache_directory\":\"cache\"}}").memoryManager().orElseThrow();
    assertEquals(MemoryManagerConfig.builder().maxMemoryMb(64).pageSize(16).smallestTier(true).probeEnabled(false)
        .spillDirectory(Path.of("/tmp/a b")).evictionEnabled(true).recentWindow(32).pinnedPrefix(8)
        .exactAttention(true).cacheDirectory(Path.of("cache")).build(), memory);
    MemoryManagerConfig defaults = MemoryManagerConfig.builder().build();
    assertTrue(defaults.quantizationEnabled() && defaults.probeEnabled());
    assertFalse(defaults.smallestTier() || defaults.evictionEnabled() || defaults.exactAttention());
    assertTrue(defaults.spillDirectory().isEmpty() && defaults.cacheDirectory().isEmpty());
  }

  @Test
  void everyKeyOfTokenPruningIsRead() {
    TokenPruningConfig pruning = InferenceConfig.fromJson("{\"token_pruning_config\":{\"pruning_threshold\":0.02,"
        + "\"max_shadow_size\":50,\"keep_ratio\":0.5,\"max_active_tokens\":300,\"selection_mass\":0.9,"
        + "\"test_interval\":8,\"min_tokens\":64,\"policy\":\"recency\",\"record_events\":true,"
        + "\"prune_prefill_keep\":0.25,\"prune_prefill_layer\":7,\"bound_omitted\":true}}")
        .tokenPruning().orElseThrow();
    assertEquals(TokenPruningConfig.builder().pruningThreshold(0.02).maxShadowSize(50).keepRatio(0.5)
        .maxActiveTokens(300).selectionMass(0.9).testInterval(8).minTokens(64).policy(PruningPolicy.RECENCY)
        .recordEvents(true).prunePrefillKeep(0.25).prunePrefillLayer(7).boundOmitted(true).build(), pruning);
    TokenPruningConfig defaults = TokenPruningConfig.builder().build();
    assertEquals(0.01, defaults.pruningThreshold());
    assertEquals(-1, defaults.maxShadowSize());
    assertEquals(1, defaults.keepRatio());
    assertEquals(0, defaults.maxActiveTokens());
    assertEquals(1.0, defaults.selectionMass());
    assertEquals(8, defaults.testInterval());
    assertEquals(1024, defaults.minTokens());
    assertEquals(PruningPolicy.ATTENTION, defaults.policy());
    assertFalse(defaults.recordEvents());
    assertEquals(1.0, defaults.prunePrefillKeep());
    assertEquals(0, defaults.prunePrefillLayer());
  }

  @Test
  void anEmptyObjectAsksForNothing() {
    InferenceConfig config = InferenceConfig.fromJson("{}");
    assertEquals(InferenceConfig.empty(), config);
    assertTrue(config.edgeCloud().isEmpty());
    assertTrue(config.tokenPruning().isEmpty());
    assertTrue(config.layerCompression().isEmpty());
    assertTrue(config.memoryManager().isEmpty());
    assertEquals(OptionalInt.empty(), config.maxNewTokens());
    assertFalse(config.strict());
    assertEquals("{}", config.toJson());
  }

  @Test
  void anEmptySectionHasTheDefaultsOfItsBuilder() {
    InferenceConfig config = InferenceConfig.fromJson(
        "{\"edge_cloud_config\":{},\"token_pruning_config\":{},\"layer_compression_config\":{},"
            + "\"memory_manager_config\":{}}");
    assertEquals(EdgeCloudConfig.builder().build(), config.edgeCloud().orElseThrow());
    assertEquals(TokenPruningConfig.builder().build(), config.tokenPruning().orElseThrow());
    assertEquals(LayerCompressionConfig.builder().build(), config.layerCompression().orElseThrow());
    assertEquals(MemoryManagerConfig.builder().build(), config.memoryManager().orElseThrow());
  }

  @ParameterizedTest
  @CsvSource({
    "'1.5',1.5", "'0',0", "'\"1.0 Mbps\"',1", "'\"500 Kbps\"',0.5", "'\"1 Gbps\"',1000", "'\"250000 bps\"',0.25",
    "'\"2mbps\"',2", "'\" 3  KBPS \"',0.003"
  })
  void bandwidthIsANumberInMbpsOrATextWithAUnit(String json, double mbps) {
    InferenceConfig config =
        InferenceConfig.fromJson("{\"edge_cloud_config\":{\"bandwidth_threshold\":" + json + "}}");
    assertEquals(mbps, config.edgeCloud().orElseThrow().bandwidthThresholdMbps());
  }

  static Stream<Arguments> wrong() {
    return Stream.of(
        // Unknown keys name the nearest known one.
        bad("{\"memory_manager_config\":{\"page_sise\":16}}",
            "memory_manager_config.page_sise: unknown key, did you mean page_size?"),
        bad("{\"memory_manager\":{}}", "memory_manager: unknown key, did you mean memory_manager_config?"),
        bad("{\"max_tokens\":1}", "max_tokens: unknown key, did you mean max_new_tokens?"),
        bad("{\"Strict\":true}", "Strict: unknown key, did you mean strict?"),
        bad("{\"token_pruning_config\":{\"temperature\":1}}",
            "token_pruning_config.temperature: unknown key, known keys are pruning_threshold, max_shadow_size,"
                + " keep_ratio, max_active_tokens, selection_mass, test_interval, min_tokens, policy, record_events,"
                + " prune_prefill_keep, prune_prefill_layer, bound_omitted"),
        bad("{\"\":1}", ": unknown key, known keys are edge_cloud_config, token_pruning_config,"
            + " layer_compression_config, memory_manager_config, max_new_tokens, strict"),
        // Wrong types.
        bad("{\"max_new_tokens\":\"x\"}", "max_new_tokens: must be an integer, but is \"x\""),
        bad("{\"max_new_tokens\":\"5\"}", "max_new_tokens: must be an integer, but is \"5\""),
        bad("{\"max_new_tokens\":5.0}", "max_new_tokens: must be an integer, but is 5.0"),
        bad("{\"max_new_tokens\":1e2}", "max_new_tokens: must be an integer, but is 1e2"),
        bad("{\"max_new_tokens\":null}", "max_new_tokens: must be an integer, but is null"),
        bad("{\"max_new_tokens\":[1]}", "max_new_tokens: must be an integer, but is an array"),
        bad("{\"max_new_tokens\":{}}", "max_new_tokens: must be an integer, but is an object"),
        bad("{\"strict\":1}", "strict: must be true or false, but is 1"),
        bad("{\"strict\":\"true\"}", "strict: must be true or false, but is \"true\""),
        bad("{\"edge_cloud_config\":null}", "edge_cloud_config: must be an object, but is null"),
        bad("{\"edge_cloud_config\":false}", "edge_cloud_config: must be an object, but is false"),
        bad("{\"edge_cloud_config\":{\"bandwidth_threshold\":true}}",
            "edge_cloud_config.bandwidth_threshold: must be a number, but is true"),
        bad("{\"token_pruning_config\":{\"pruning_threshold\":\"0.5\"}}",
            "token_pruning_config.pruning_threshold: must be a number, but is \"0.5\""),
        bad("{\"layer_compression_config\":{\"hot_path_indices\":3}}",
            "layer_compression_config.hot_path_indices: must be an array of integers, but is 3"),
        bad("{\"layer_compression_config\":{\"hot_path_indices\":[0,1,true]}}",
            "layer_compression_config.hot_path_indices[2]: must be an integer, but is true"),
        bad("{\"memory_manager_config\":{\"quantization_enabled\":\"yes\"}}",
            "memory_manager_config.quantization_enabled: must be true or false, but is \"yes\""),
        bad("{\"strict\":\"" + "y".repeat(60) + "\"}",
            "strict: must be true or false, but is \"" + "y".repeat(40) + "...\""),
        bad("[]", "the configuration: must be an object, but is an array"),
        bad("7", "the configuration: must be an object, but is 7"),
        bad("null", "the configuration: must be an object, but is null"),
        // Ranges.
        bad("{\"memory_manager_config\":{\"page_size\":20}}",
            "memory_manager_config.page_size: must be 16, 32 or 64, but is 20"),
        bad("{\"memory_manager_config\":{\"recent_window\":-1}}",
            "memory_manager_config.recent_window: must be from 0 to 134217728, but is -1"),
        bad("{\"memory_manager_config\":{\"pinned_prefix\":-1}}",
            "memory_manager_config.pinned_prefix: must be from 0 to 134217728, but is -1"),
        bad("{\"memory_manager_config\":{\"max_memory_mb\":0}}",
            "memory_manager_config.max_memory_mb: must be above 0, but is 0"),
        bad("{\"memory_manager_config\":{\"smallest_tier\":true,\"quantization_enabled\":false}}",
            "memory_manager_config.smallest_tier: needs quantization_enabled"),
        bad("{\"memory_manager_config\":{\"spill_directory\":\"\"}}",
            "memory_manager_config.spill_directory: must not be empty"),
        bad("{\"memory_manager_config\":{\"spill_directory\":7}}",
            "memory_manager_config.spill_directory: must be a text, but is 7"),
        bad("{\"memory_manager_config\":{\"cache_directory\":\"a\\u0000b\"}}",
            "memory_manager_config.cache_directory: must be a path, but is \"a\0b\""),
        bad("{\"memory_manager_config\":{\"spill_dir\":\"x\"}}",
            "memory_manager_config.spill_dir: unknown key, did you mean spill_directory?"),
        bad("{\"token_pruning_config\":{\"pruning_threshold\":1.01}}",
            "token_pruning_config.pruning_threshold: must be from 0 to 1, but is 1.01"),
        bad("{\"token_pruning_config\":{\"pruning_threshold\":-0.1}}",
            "token_pruning_config.pruning_threshold: must be from 0 to 1, but is -0.1"),
        bad("{\"token_pruning_config\":{\"max_shadow_size\":-2}}",
            "token_pruning_config.max_shadow_size: must be from -1 to 134217728, but is -2"),
        bad("{\"token_pruning_config\":{\"keep_ratio\":1.5}}",
            "token_pruning_config.keep_ratio: must be from 0 to 1, but is 1.5"),
        bad("{\"token_pruning_config\":{\"selection_mass\":-1}}",
            "token_pruning_config.selection_mass: must be from 0 to 1, but is -1.0"),
        bad("{\"token_pruning_config\":{\"max_active_tokens\":-1}}",
            "token_pruning_config.max_active_tokens: must be from 0 to 134217728, but is -1"),
        bad("{\"token_pruning_config\":{\"prune_prefill_keep\":2}}",
            "token_pruning_config.prune_prefill_keep: must be from 0 to 1, but is 2.0"),
        bad("{\"token_pruning_config\":{\"prune_prefill_layer\":-1}}",
            "token_pruning_config.prune_prefill_layer: must be from 0 to 65536, but is -1"),
        bad("{\"token_pruning_config\":{\"test_interval\":0}}",
            "token_pruning_config.test_interval: must be from 1 to 134217728, but is 0"),
        bad("{\"token_pruning_config\":{\"min_tokens\":134217729}}",
            "token_pruning_config.min_tokens: must be from 0 to 134217728, but is 134217729"),
        bad("{\"token_pruning_config\":{\"policy\":\"Attention\"}}",
            "token_pruning_config.policy: must be attention, recency or random, but is \"Attention\""),
        bad("{\"token_pruning_config\":{\"policy\":1}}",
            "token_pruning_config.policy: must be a text, but is 1"),
        bad("{\"token_pruning_config\":{\"record_events\":1}}",
            "token_pruning_config.record_events: must be true or false, but is 1"),
        bad("{\"layer_compression_config\":{\"mode\":\"some\"}}",
            "layer_compression_config.mode: must be auto or static, but is \"some\""),
        bad("{\"layer_compression_config\":{\"kl_budget\":-0.1}}",
            "layer_compression_config.kl_budget: must be from 0 to 100.0, but is -0.1"),
        bad("{\"layer_compression_config\":{\"skip_budget\":1.5}}",
            "layer_compression_config.skip_budget: must be from 0 to 1, but is 1.5"),
        bad("{\"layer_compression_config\":{\"profile\":\"\"}}",
            "layer_compression_config.profile: must not be empty"),
        bad("{\"layer_compression_config\":{\"factors\":\"\"}}",
            "layer_compression_config.factors: must not be empty"),
        bad("{\"layer_compression_config\":{\"factors\":8}}",
            "layer_compression_config.factors: must be a text, but is 8"),
        bad("{\"layer_compression_config\":{\"compression_rank\":-1}}",
            "layer_compression_config.compression_rank: must be at least 0, but is -1"),
        bad("{\"edge_cloud_config\":{\"bandwidth_threshold\":-1}}",
            "edge_cloud_config.bandwidth_threshold: must be finite and at least 0, but is -1.0"),
        bad("{\"edge_cloud_config\":{\"split\":-1}}", "edge_cloud_config.split: must be at least 0, but is -1"),
        bad("{\"edge_cloud_config\":{\"split\":\"half\"}}",
            "edge_cloud_config.split: must be a number of layers or \"auto\", but is \"half\""),
        bad("{\"edge_cloud_config\":{\"insecure\":true}}", "edge_cloud_config: tls and insecure need a worker"),
        bad("{\"edge_cloud_config\":{\"worker\":\"a:1\"}}",
            "edge_cloud_config: a worker needs either tls or insecure"),
        bad("{\"edge_cloud_config\":{\"worker\":\"a:1\",\"insecure\":true,\"keep_dims\":5}}",
            "edge_cloud_config.keep_dims: needs a basis"),
        bad("{\"edge_cloud_config\":{\"keep_dims\":-1}}", "edge_cloud_config.keep_dims: must be at least 0, but is -1"),
        bad("{\"edge_cloud_config\":{\"worker\":\"a:1\",\"insecure\":true,\"pin\":\"x\"}}",
            "edge_cloud_config.pin: needs tls"),
        bad("{\"edge_cloud_config\":{\"worker\":\"a:1\",\"tls\":\"keys\",\"insecure\":true}}",
            "edge_cloud_config: a worker needs either tls or insecure"),
        bad("{\"edge_cloud_config\":{\"bandwidth_threshold\":1e999}}",
            "edge_cloud_config.bandwidth_threshold: must be finite and at least 0, but is Infinity"),
        bad("{\"edge_cloud_config\":{\"bandwidth_threshold\":\"fast\"}}",
            "edge_cloud_config.bandwidth_threshold: must be a number in Mbps or a text such as \"500 Kbps\", but is"
                + " \"fast\""),
        bad("{\"edge_cloud_config\":{\"bandwidth_threshold\":\"-1 Mbps\"}}",
            "edge_cloud_config.bandwidth_threshold: must be a number in Mbps or a text such as \"500 Kbps\", but is"
                + " \"-1 Mbps\""),
        bad("{\"max_new_tokens\":-2}", "max_new_tokens: must be at least -1, but is -2"),
        bad("{\"max_new_tokens\":2147483648}",
            "max_new_tokens: must be from -2147483648 to 2147483647, but is 2147483648"),
        bad("{\"max_new_tokens\":99999999999999999999}",
            "max_new_tokens: must be from -2147483648 to 2147483647, but is 99999999999999999999"),
        // Duplicates.
        bad("{\"strict\":true,\"strict\":true}", "strict: given twice"),
        bad("{\"edge_cloud_config\":{},\"edge_cloud_config\":{}}", "edge_cloud_config: given twice"),
        bad("{\"memory_manager_config\":{\"page_size\":16,\"page_size\":32}}",
            "memory_manager_config.page_size: given twice"));
  }

  private static Arguments bad(String json, String message) {
    return Arguments.of(json, message);
  }

  @ParameterizedTest
  @MethodSource("wrong")
  void errorsNameThePath(String json, String message) {
    assertEquals(message, fails(ErrorCode.CONFIG, () -> InferenceConfig.fromJson(json)));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
    "{\"strict\":true}x|malformed JSON at line 1, column 17",
    "{\"strict\":true} {}|malformed JSON at line 1, column 18",
    "{\"strict\" true}|malformed JSON at line 1, column 12",
    "{'strict':true}|malformed JSON at line 1, column 3",
    "{strict:true}|malformed JSON at line 1, column 3",
    "{\"strict\":true,}|malformed JSON at line 1, column 17",
    "{\"strict\":TRUE}|malformed JSON at line 1, column 11",
    "{\"max_new_tokens\":NaN}|malformed JSON at line 1, column 19",
    "{\"max_new_tokens\":01}|malformed JSON at line 1, column 19",
    "{\"max_new_tokens\":+1}|malformed JSON at line 1, column 19",
    "/* no */{}|malformed JSON at line 1, column 2",
    "{\"strict\":true|unexpected end of JSON at line 1, column 15",
    "{|unexpected end of JSON at line 1, column 2",
  })
  void malformedJsonSaysWhere(String json, String message) {
    assertEquals(message, fails(ErrorCode.CONFIG, () -> InferenceConfig.fromJson(json)));
  }

  @Test
  void malformedJsonCountsLines() {
    assertEquals("malformed JSON at line 2, column 12",
        fails(ErrorCode.CONFIG, () -> InferenceConfig.fromJson("{\n \"strict\" true}")));
  }

  @Test
  void anEmptyTextIsNoConfiguration() {
    assertEquals("unexpected end of JSON at line 1, column 1",
        fails(ErrorCode.CONFIG, () -> InferenceConfig.fromJson("")));
  }

  @Test
  void whiteSpaceAroundIsFine() {
    assertTrue(InferenceConfig.fromJson(" \r\n\t{ \"strict\" : true }\n\n").strict());
  }

  @Test
  void theReaderStaysOpen() throws IOException {
    boolean[] closed = new boolean[1];
    Reader reader = new StringReader("{}") {
      @Override
      public void close() {
        closed[0] = true;
      }
    };
    InferenceConfig.fromJson(reader);
    assertFalse(closed[0]);
  }

  @Test
  void aReaderThatFailsIsAnIoError() {
    Reader broken = new Reader() {
      @Override
      public int read(char[] buffer, int offset, int length) throws IOException {
        throw new IOException("the disk is gone");
      }

      @Override
      public void close() {}
    };
    assertTrue(fails(ErrorCode.IO, () -> InferenceConfig.fromJson(broken)).contains("the disk is gone"));
  }

  @Test
  void deepNestingIsAnErrorAndNoStackOverflow() {
    String deep = "{\"edge_cloud_config\":" + "[".repeat(100_000);
    assertEquals("edge_cloud_config: must be an object, but is an array",
        fails(ErrorCode.CONFIG, () -> InferenceConfig.fromJson(deep)));
  }

  @Test
  void buildersCheckAsTheReaderDoes() {
    assertEquals("memory_manager_config.page_size: must be 16, 32 or 64, but is 20",
        fails(ErrorCode.CONFIG, () -> MemoryManagerConfig.builder().pageSize(20).build()));
    assertEquals("token_pruning_config.pruning_threshold: must be from 0 to 1, but is NaN",
        fails(ErrorCode.CONFIG, () -> TokenPruningConfig.builder().pruningThreshold(Double.NaN).build()));
    assertEquals("edge_cloud_config.bandwidth_threshold: must be finite and at least 0, but is NaN",
        fails(ErrorCode.CONFIG, () -> EdgeCloudConfig.builder().bandwidthThresholdMbps(Double.NaN).build()));
    assertEquals("max_new_tokens: must be at least -1, but is -7",
        fails(ErrorCode.CONFIG, () -> InferenceConfig.builder().maxNewTokens(-7).build()));
  }
}
