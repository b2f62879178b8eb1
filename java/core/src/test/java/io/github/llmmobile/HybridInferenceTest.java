package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.testing.Models;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class HybridInferenceTest {
  private static final String FULL = "{\"edge_cloud_config\":{\"bandwidth_threshold\":1.0},"
      + "\"token_pruning_config\":{\"pruning_threshold\":0.01,\"max_shadow_size\":100},"
      + "\"layer_compression_config\":{\"compression_rank\":8,\"hot_path_indices\":[0,1,11]},"
      + "\"memory_manager_config\":{\"max_memory_mb\":512,\"page_size\":16,\"quantization_enabled\":true},"
      + "\"max_new_tokens\":7";

  @Test
  void theOneCallFormAnswersWithinItsLimitAndReportsTheTechniques() {
    InferenceConfig config = InferenceConfig.fromJson(FULL + "}");
    InferenceResult result = HybridInference.runInference(Models.tiny(), "hello", config);
    assertTrue(result.tokens().length <= 7);
    if (result.stopReason() == StopReason.MAX_TOKENS) {
      assertEquals(7, result.tokens().length);
    }
    assertEquals(4, result.techniques().size());
    assertEquals(List.of("NOT_AVAILABLE", "ACTIVE", "NOT_AVAILABLE", "ACTIVE"), result.techniques().stream()
        .map(report -> report.status().name()).collect(Collectors.toList()));
    assertTrue(result.stats().kvPagesF16() > 0);
    assertTrue(result.stats().generatedTokens() > 0);
    assertTrue(result.text() != null && result.toString().contains("tokens"));
  }

  @Test
  void strictRefusesBeforeAnythingRuns() {
    InferenceConfig strict = InferenceConfig.fromJson(FULL + ",\"strict\":true}");
    fails(ErrorCode.NOT_AVAILABLE, () -> HybridInference.runInference(Models.tiny(), "hello", strict));
    fails(ErrorCode.NOT_AVAILABLE, () -> Models.tiny().newSession(strict));
  }

  @Test
  void theFileFormLoadsAndFreesTheModel() {
    InferenceConfig config = InferenceConfig.fromJson("{\"max_new_tokens\":3,\"strict\":true}");
    InferenceResult result = HybridInference.runInference(Models.tinyPath(), "hello", config);
    assertTrue(result.tokens().length <= 3);
    assertEquals(List.of("OFF", "OFF", "OFF", "OFF"), result.techniques().stream()
        .map(report -> report.status().name()).collect(Collectors.toList()));
    fails(ErrorCode.MODEL_NOT_FOUND,
        () -> HybridInference.runInference(Path.of("no-such-model.gguf"), "hello", config));
    fails(ErrorCode.ENCODING, () -> HybridInference.runInference(Models.tiny(), "\ud800", config));
  }

  @Test
  void aModelWithoutATemplateContinuesTheText() {
    InferenceConfig config = InferenceConfig.fromJson("{\"max_new_tokens\":0}");
    InferenceResult plain = HybridInference.runInference(Models.plain(), "hello", config);
    assertEquals(Models.plain().tokenize("hello", true, false).length, plain.stats().tokens());
    InferenceResult chat = HybridInference.runInference(Models.tiny(), "hello", config);
    assertTrue(chat.stats().tokens() > Models.tiny().tokenize("hello", true, false).length);
    assertArrayEquals(new int[0], chat.tokens());
  }

  @Test
  void theLimitOfTheConfigurationIsTheDefaultOfItsSessions() {
    try (LlmSession session = Models.tiny().newSession(Models.tinySession(),
        InferenceConfig.fromJson("{\"max_new_tokens\":2,\"memory_manager_config\":{}}"))) {
      assertTrue(session.generate(Prompt.text("hello")).tokens().length <= 2);
      assertEquals(TechniqueReport.Status.ACTIVE, session.techniques().get(3).status());
      assertEquals(session.techniques(), session.generate(Prompt.text("hello")).techniques());
    }
  }
}
