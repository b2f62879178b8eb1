package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.LayerCompressionConfig;
import io.github.llmmobile.config.LayerMode;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import io.github.llmmobile.gguf.GgufWriter;
import io.github.llmmobile.gguf.TensorCodec;
import io.github.llmmobile.gguf.TensorType;
import io.github.llmmobile.testing.Models;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Profiles, and what sessions make of them. */
class LayerProfileTest {
  private static final int WIDTH = 64;
  private static final int RANK = 4;
  private static final String DATA = "{\"layers\":5,\"embedding\":64,\"hot_path\":[0,4],\"order\":[4,3,6],"
      + "\"levels\":[{\"rank\":2,\"kl\":[0.02,0.06,0.2],\"perplexity\":[1.01,1.03,1.2],\"work_saved\":[0.04,0.1,0.14]},"
      + "{\"rank\":4,\"kl\":[0.01,0.03,0.1],\"perplexity\":[1.01,1.02,1.1],\"work_saved\":[0.03,0.09,0.12]}],"
      + "\"gates\":{\"entropy_edges\":[1,2],\"shares\":[0.5,0.25,0.25],\"relative_kl\":[0.5,1,2]},\"report\":{}}";

  @TempDir Path folder;
  private String data = DATA;
  private String fingerprint = Models.deep().info().fingerprint();
  private long version = LayerProfile.VERSION;
  private String type = LayerProfile.TYPE;
  private int rankInFile = RANK;
  private final Map<String, float[]> written = new LinkedHashMap<>();

  private Path write() {
    Path file = folder.resolve("test.profile");
    Map<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put(LayerProfile.TYPE_KEY, GgufValue.text(type));
    metadata.put(LayerProfile.VERSION_KEY, GgufValue.uint32(version));
    metadata.put(LayerProfile.FINGERPRINT_KEY, GgufValue.text(fingerprint));
    metadata.put(LayerProfile.DATA_KEY, GgufValue.text(data));
    List<GgufTensor> tensors = new ArrayList<>();
    Random random = new Random(1);
    for (int part : new int[] {4, 3, 6}) {
      add(tensors, random, LayerProfile.name(part, "down"), WIDTH, rankInFile);
      add(tensors, random, LayerProfile.name(part, "up"), WIDTH, rankInFile);
      add(tensors, random, LayerProfile.name(part, "shift"), rankInFile);
      add(tensors, random, LayerProfile.name(part, "mean"), WIDTH);
    }
    try (GgufWriter writer = GgufWriter.create(file, metadata, tensors)) {
      for (GgufTensor tensor : tensors) {
        float[] values = written.get(tensor.name());
        writer.write(ByteBuffer.wrap(TensorCodec.quantize(TensorType.F32, 1, values.length, values)));
      }
      writer.commit();
    }
    return file;
  }

  private void add(List<GgufTensor> tensors, Random random, String name, long... shape) {
    tensors.add(GgufTensor.of(name, TensorType.F32, shape));
    float[] values = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextFloat() - 0.5f;
    }
    written.put(name, values);
  }

  private LayerCompressionConfig.Builder config() {
    return LayerCompressionConfig.builder().profile(write());
  }

  private static LlmSession session(LayerCompressionConfig config) {
    return Models.deep().newSession(Models.tinySession(),
        InferenceConfig.builder().layerCompression(config).build());
  }

  private static TechniqueReport report(LlmSession session) {
    return session.techniques().get(2);
  }

  @Test
  void aProfileIsReadAsItWasWritten() {
    LayerProfile profile = LayerProfile.read(write());
    assertEquals(fingerprint, profile.fingerprint());
    assertEquals(5, profile.layers());
    assertEquals(Arrays.asList(4, 3, 6), profile.order());
    assertEquals(Arrays.asList(0, 4), profile.hotPath());
    assertEquals(Arrays.asList(2, 4), profile.ranks());
    assertEquals(0.06, profile.levels(2).get(1).divergence());
    assertEquals(1.1, profile.levels(4).get(2).perplexity());
    assertEquals(0.12, profile.levels(4).get(2).workSaved());
    assertEquals(Arrays.asList(1.0, 2.0), profile.entropyEdges());
    fails(ErrorCode.RANGE, () -> profile.levels(3));
    LayerProfile.StandIn standIn = profile.standIn(3, 2);
    float[] down = written.get("part.3.down");
    float[] up = written.get("part.3.up");
    float[] shift = written.get("part.3.shift");
    assertEquals(down[WIDTH + 7], standIn.down[7 * 2 + 1]);
    assertArrayEquals(Arrays.copyOf(up, 2 * WIDTH), standIn.up);
    assertEquals(written.get("part.3.mean")[9] - up[9] * shift[0] - up[WIDTH + 9] * shift[1], standIn.bias[9], 1e-6);
  }

  private void broken(String says) {
    Path file = write();
    String message = fails(ErrorCode.PROFILE_INVALID, () -> LayerProfile.read(file));
    assertTrue(message.contains(says) && message.contains("test.profile"), message);
  }

  @Test
  void whatIsBrokenIsRefusedWithAReason() throws IOException {
    data = DATA.replace("\"order\":[4,3,6]", "\"order\":[4,3]");
    broken("not as many levels");
    data = DATA.replace("\"order\":[4,3,6]", "\"order\":[4,3,8]");
    broken("order must be a whole number from 2 to 7");
    data = DATA.replace("\"order\":[4,3,6]", "\"order\":[4,3,4]");
    broken("order has 4 twice");
    data = DATA.replace("\"order\":[4,3,6]", "\"order\":[4,3,5]");
    broken("there is no tensor part.5.down");
    data = DATA.replace("\"rank\":4", "\"rank\":2");
    broken("rank 2 stands twice");
    data = DATA.replace("\"shares\":[0.5,0.25,0.25]", "\"shares\":[1]");
    broken("not as many");
    data = DATA.replace("[1,2]", "[2,1]");
    broken("do not ascend");
    data = DATA.replace("0.06", "\"x\"");
    broken("malformed");
    data = DATA.replace("\"gates\"", "\"doors\"");
    broken("gates is missing");
    data = DATA.substring(1);
    broken("malformed");
    data = DATA;
    rankInFile = 3;
    broken("does not have the 256 numbers");
    rankInFile = RANK;
    version = 2;
    broken("version 2");
    version = 1;
    type = "model";
    broken("no layer profile");
    type = LayerProfile.TYPE;
    Path file = write();
    byte[] bytes = Files.readAllBytes(file);
    for (int length = 0; length < bytes.length; length += 97) {
      Files.write(file, Arrays.copyOf(bytes, length));
      fails(ErrorCode.PROFILE_INVALID, () -> LayerProfile.read(file));
    }
    fails(ErrorCode.MODEL_NOT_FOUND, () -> LayerProfile.read(folder.resolve("absent")));
  }

  private LayerPlan plan(LayerCompressionConfig.Builder builder) {
    LayerCompressionConfig built = builder.build();
    return new LayerPlan(built, LayerProfile.read(built.profile().orElseThrow()), new int[] {2, 3, 4, 5, 6, 7});
  }

  @Test
  void aBudgetIsSpentWhereSkippingCostsLeast() {
    // A third of the budget. What 1, 2 and 3 parts cost: 0.005, 0.015, 0.05 below the first edge, then 0.01, 0.03, 0.1; 0.02, 0.06, 0.2.
    assertArrayEquals(new int[] {4, 3, 6}, plan(config().klBudget(0.64)).gates().order());
    assertEquals(1, plan(config().klBudget(0.64)).gates().levels().length);
    LayerGates some = plan(config().klBudget(0.05)).gates();
    assertArrayEquals(new float[] {1, 2}, some.entropyEdges());
    assertArrayEquals(new int[] {2, 1, 0}, some.levels());
    assertFalse(plan(config().klBudget(0.001)).skips());
    assertTrue(plan(config().klBudget(0.001)).detail().contains("costs a divergence of 0.01, a third of kl_budget is 0.0003"));
    assertFalse(plan(config().klBudget(0)).skips());
  }

  @Test
  void aLargerBudgetSavesNoLessAndIsKept() {
    double before = 0;
    for (double budget = 0; budget < 0.64; budget += 0.0064) {
      int[] levels = plan(config().klBudget(budget)).gates().levels();
      double[] shares = {0.5, 0.25, 0.25};
      double[] relative = {0.5, 1, 2};
      double[] kl = {0, 0.01, 0.03, 0.1};
      double[] work = {0, 0.03, 0.09, 0.12};
      double saved = 0;
      for (int i = 0; i < 3; i++) {
        int level = levels.length == 1 ? levels[0] : levels[i];
        assertTrue(relative[i] * kl[level] <= budget / 3 + 1e-12, "range " + i + " of " + budget);
        saved += shares[i] * work[level];
      }
      assertTrue(saved >= before - 1e-12, "saved " + saved + " after " + before);
      before = saved;
    }
    assertEquals(0.12, before, 1e-9);
  }

  @Test
  void staticModeTakesAShareOfTheWork() {
    LayerCompressionConfig.Builder all = config().mode(LayerMode.STATIC);
    assertArrayEquals(new int[] {4, 3}, plan(all.skipBudget(0.1)).gates().order());
    assertFalse(plan(all.skipBudget(0.02)).skips());
    assertArrayEquals(new int[] {4, 3}, plan(all.skipBudget(0.1).compressionRank(3)).gates().order());
  }

  @Test
  void theHotPathIsNeverSkipped() {
    LayerCompressionConfig.Builder all = config().mode(LayerMode.STATIC).skipBudget(1);
    assertArrayEquals(new int[] {3, 6}, plan(all.hotPathIndices(Arrays.asList(2))).gates().order());
    assertArrayEquals(new int[] {4, 6}, plan(all.hotPathIndices(Arrays.asList(-4))).gates().order());
    LayerPlan none = plan(all.hotPathIndices(Arrays.asList(1, 2, 3)));
    assertFalse(none.skips());
    assertTrue(none.detail().contains("hot path"), none.detail());
    for (int wrong : new int[] {5, -6}) {
      String message = fails(ErrorCode.CONFIG, () -> session(all.hotPathIndices(Arrays.asList(wrong)).build()).close());
      assertTrue(message.startsWith("layer_compression_config.hot_path_indices: " + wrong), message);
    }
  }

  @Test
  void sessionsLeaveOutWhatTheProfileSays() {
    LayerCompressionConfig all = config().mode(LayerMode.STATIC).skipBudget(1).build();
    try (LlmSession session = session(all);
        LlmSession dense = Models.deep().newSession(Models.tinySession());
        LlmSession byHand = Models.deep().newSession(Models.tinySession())) {
      assertEquals(TechniqueReport.Status.ACTIVE, report(session).status());
      assertTrue(report(session).detail().contains("attention 2, feed-forward 1, attention 3, with stand-ins of rank 4"),
          report(session).detail());
      LayerProfile profile = LayerProfile.read(all.profile().orElseThrow());
      for (int part : new int[] {4, 3, 6}) {
        LayerProfile.StandIn standIn = profile.standIn(part, RANK);
        byHand.setBypass(part, RANK, standIn.down, standIn.up, standIn.bias);
      }
      byHand.setLayerGates(LayerGates.always(4, 3, 6));
      for (int token : new int[] {70, 80, 90}) {
        session.eval(token);
        dense.eval(token);
        byHand.eval(token);
      }
      assertArrayEquals(byHand.logits(), session.logits());
      assertFalse(Arrays.equals(dense.logits(), session.logits()));
      assertEquals(3, session.stats().gateSteps());
      assertEquals(9, session.stats().gateSkippedParts());
    }
  }

  @Test
  void whereNothingIsCheapTheBitsAreThoseOfDense() {
    try (LlmSession session = session(config().klBudget(0.001).build());
        LlmSession dense = Models.deep().newSession(Models.tinySession())) {
      assertEquals(TechniqueReport.Status.OFF, report(session).status());
      session.eval(70, 80);
      dense.eval(70, 80);
      assertArrayEquals(dense.logits(), session.logits());
    }
  }

  @Test
  void losslessKeepsTheAnswer() {
    LayerCompressionConfig lossless = LayerCompressionConfig.builder().lossless(true).build();
    GenerationOptions greedy = GenerationOptions.builder().temperature(0).maxTokens(300).ignoreEos(true).build();
    Prompt prompt = Prompt.text("hello hello hello hello hello hello");
    try (LlmSession session = session(lossless); LlmSession dense = Models.deep().newSession(Models.tinySession())) {
      assertEquals(TechniqueReport.Status.ACTIVE, report(session).status());
      GenerationResult result = session.generate(prompt, greedy);
      assertArrayEquals(dense.generate(prompt, greedy).tokens(), result.tokens());
      assertTrue(result.stats().draftProposed() > 0, result.stats()::toString);
      assertEquals(0, result.stats().gateSkippedParts());
    }
  }

  @Test
  void whatDoesNotFitIsRefused() {
    LayerCompressionConfig none = config().compressionRank(1).build();
    try (LlmSession session = session(none)) {
      assertEquals(TechniqueReport.Status.NOT_AVAILABLE, report(session).status());
      assertTrue(report(session).detail().contains("none as small as 1"), report(session).detail());
    }
    fails(ErrorCode.NOT_AVAILABLE, () -> Models.deep().newSession(
        InferenceConfig.builder().layerCompression(none).strict(true).build()));
    fingerprint = Models.tiny().info().fingerprint();
    LayerCompressionConfig other = config().build();
    assertTrue(fails(ErrorCode.PROFILE_INVALID, () -> session(other)).contains("another model"));
  }
}
