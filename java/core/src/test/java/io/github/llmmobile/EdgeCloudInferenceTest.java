package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.TechniqueReport.Status;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.LayerCompressionConfig;
import io.github.llmmobile.config.TokenPruningConfig;
import io.github.llmmobile.spi.EdgeCloud;
import io.github.llmmobile.spi.EdgeCloudAnswer;
import io.github.llmmobile.testing.Models;
import org.junit.jupiter.api.Test;

/** The one-call form with a worker, and with modules that have one, have none or fail. */
class EdgeCloudInferenceTest {
  private static final InferenceConfig CONFIG = InferenceConfig.fromJson("{\"edge_cloud_config\":{\"worker\":"
      + "\"w.example:1\",\"insecure\":true},\"memory_manager_config\":{},\"max_new_tokens\":4}");
  private static final InferenceConfig STRICT = CONFIG.toBuilder().strict(true).build();
  private static final InferenceConfig PRUNED =
      STRICT.toBuilder().tokenPruning(TokenPruningConfig.builder().build()).build();

  private static InferenceResult answer(EdgeCloud helper, InferenceConfig config) {
    return new EdgeCloudInference(Models.tiny(), config, helper).answer("hello");
  }

  private static void assertReports(InferenceResult result, Status edge, String detail, Status memory) {
    TechniqueReport first = result.techniques().get(0);
    assertEquals("edge_cloud", first.technique());
    assertEquals(edge, first.status());
    assertTrue(first.detail().contains(detail), first::toString);
    assertEquals(4, result.techniques().size());
    assertEquals(memory, result.techniques().get(3).status());
  }

  @Test
  void withoutTheModuleTheDeviceAnswersAndSaysSo() {
    assertNull(EdgeCloudInference.installed());
    InferenceResult result = HybridInference.runInference(Models.tiny(), "hello", CONFIG);
    assertReports(result, Status.NOT_AVAILABLE, "llmm-edge", Status.ACTIVE);
    assertEquals("edge_cloud_config: " + EdgeCloudInference.MISSING + "; leave it out, or set strict to false",
        fails(ErrorCode.NOT_AVAILABLE, () -> HybridInference.runInference(Models.tiny(), "hello", STRICT)));
  }

  @Test
  void anAnswerOfDeviceAndWorkerIsPassedOn() {
    int[] prompts = {0};
    InferenceResult result = answer((model, prompt, options, config) -> {
      assertEquals("w.example:1", config.edgeCloud().orElseThrow().worker().orElseThrow());
      assertEquals(4, options.maxTokens());
      prompts[0] = prompt.length;
      try (LlmSession session = model.newSession(config.withoutEdgeCloud())) {
        return EdgeCloudAnswer.of("7 steps split", new EdgeCloudAnswer.Made(
            "text", new int[] {5, 6}, StopReason.END, session.stats(), 1000, 2000, session.techniques()));
      }
    }, CONFIG.toBuilder().layerCompression(LayerCompressionConfig.builder().lossless(true).build()).build());
    assertReports(result, Status.ACTIVE, "7 steps split", Status.ACTIVE);
    assertTrue(result.techniques().get(3).detail().endsWith("in the device's layers alone"), result.techniques()::toString);
    assertEquals(Status.NOT_AVAILABLE, result.techniques().get(2).status());
    assertEquals("text", result.text());
    assertArrayEquals(new int[] {5, 6}, result.tokens());
    assertEquals(StopReason.END, result.stopReason());
    assertEquals(prompts[0], result.stats().promptTokens());
    assertEquals(2, result.stats().generatedTokens());
    assertEquals(1000, result.stats().promptMicros());
    assertEquals(2000, result.stats().decodeMicros());
    assertTrue(result.stats().contextTokens() > 0 && result.stats().threads() > 0);
  }

  @Test
  void whereNoWorkerHelpsTheOtherTechniquesAct() {
    InferenceResult result =
        answer((model, prompt, options, config) -> EdgeCloudAnswer.local("nothing else is faster"), CONFIG);
    assertReports(result, Status.ACTIVE, "nothing else is faster", Status.ACTIVE);
    assertEquals(result.tokens().length, result.stats().generatedTokens());
  }

  @Test
  void aWorkerThatFailsIsReportedAndStrictFails() {
    EdgeCloud lost = (model, prompt, options, config) -> {
      throw new LlmException(ErrorCode.REMOTE_UNAVAILABLE, "nobody is there");
    };
    assertReports(answer(lost, CONFIG), Status.NOT_AVAILABLE, "nobody is there", Status.ACTIVE);
    assertTrue(fails(ErrorCode.NOT_AVAILABLE, () -> answer(lost, PRUNED)).contains("token_pruning"),
        "what cannot act beside a worker is refused before it is asked");
    InferenceConfig alone = InferenceConfig.fromJson(
        "{\"edge_cloud_config\":{\"worker\":\"w.example:1\",\"insecure\":true},\"strict\":true}");
    assertTrue(fails(ErrorCode.NOT_AVAILABLE, () -> answer(lost, alone)).contains("nobody is there"));
    EdgeCloud wrong = (model, prompt, options, config) -> {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "no such codec");
    };
    assertEquals("no such codec", fails(ErrorCode.INVALID_ARGUMENT, () -> answer(wrong, CONFIG)));
  }

  @Test
  void sessionsSayThatAWorkerIsNotTheirMatter() {
    try (LlmSession session = Models.tiny().newSession(Models.tinySession(), CONFIG)) {
      assertEquals(Status.NOT_AVAILABLE, session.techniques().get(0).status());
      assertTrue(session.techniques().get(0).detail().contains("HybridInference"));
    }
  }
}
