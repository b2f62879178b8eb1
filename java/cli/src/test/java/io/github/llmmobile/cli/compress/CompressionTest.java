package io.github.llmmobile.cli.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.LoraAdapter;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.cli.TinyModelFile;
import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.TensorType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Both ways on the tiny model, whose inputs are made up. */
class CompressionTest {
  private static final Work SILENT = (what, fraction) -> {};

  @TempDir Path folder;
  private Path model;
  private GgufFile file;
  private List<GgufTensor> weights;

  @BeforeEach
  void open() throws IOException {
    LinearAlgebra.prepare(1);
    model = TinyModelFile.in(folder);
    file = GgufFile.open(model);
    weights = Weights.of(file, LayerRange.ALL);
  }

  @AfterEach
  void close() {
    file.close();
  }

  private static double[] moment(String weight) {
    int n = weight.contains("ffn_down") ? 128 : 64;
    return LowRankTest.moment(n, weight.length()).data();
  }

  private static float[] logits(Path model, Path... adapter) {
    try (LlmModel loaded = LlmModel.load(ModelOptions.of(model));
        LlmSession session = loaded.newSession(SessionOptions.builder().contextTokens(256).threads(1).build())) {
      if (adapter.length > 0) {
        try (LoraAdapter opened = loaded.openAdapter(adapter[0])) {
          session.setAdapters(Map.of(opened, 1f));
        }
      }
      session.eval(70, 80, 90, 100, 110);
      return session.logits();
    }
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.pow(a[i] - b[i], 2);
    }
    return Math.sqrt(sum / a.length);
  }

  private static String fingerprint(Path model) {
    try (LlmModel loaded = LlmModel.load(ModelOptions.of(model))) {
      return loaded.info().fingerprint();
    }
  }

  private static LlmException fails(ErrorCode code, Runnable action) {
    LlmException e = assertThrows(LlmException.class, action::run);
    assertEquals(code, e.code(), e.getMessage());
    return e;
  }

  @Test
  void matricesOfTheLayersAreFound() {
    assertEquals(14, weights.size());
    assertEquals(7, Weights.of(file, LayerRange.parse("1:")).size());
    assertFalse(Weights.quantised(weights));
    fails(ErrorCode.NOT_AVAILABLE, () -> Weights.of(file, LayerRange.parse("2:9")));
    for (String wrong : List.of("", "1", "a:b", "3:2", "-1:2", "1:2:3")) {
      assertThrows(IllegalArgumentException.class, () -> LayerRange.parse(wrong), wrong);
    }
  }

  private Compensation compensate(int rank, TensorType type, boolean calibrated, Path base, Path adapter) {
    Compensation work = new Compensation(file, weights, CompressionTest::moment, rank, 14);
    work.writeBase(base, type, calibrated, null, SILENT);
    work.writeAdapter(adapter, fingerprint(base));
    return work;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void factorsGiveTheOriginalBackAsFarAsTheyReach(boolean calibrated) {
    float[] original = logits(model);
    Path base = folder.resolve("base.gguf");
    Path adapter = folder.resolve("adapter.gguf");
    double before = 1;
    for (int rank : new int[] {4, 16, 32}) {
      double left = compensate(rank, TensorType.Q2_0, calibrated, base, adapter).remainingError();
      assertTrue(left < before, rank + ": " + left);
      before = left;
    }
    assertTrue(before < 0.3, "left " + before);
    double lost = distance(original, logits(base));
    double left = distance(original, logits(base, adapter));
    assertTrue(left < lost, left + " of " + lost);
    try (GgufFile baseFile = GgufFile.open(base)) {
      assertEquals(TensorType.Q2_0, baseFile.tensor("blk.0.attn_q.weight").orElseThrow().type());
      assertEquals(TensorType.F32, baseFile.tensor("output.weight").orElseThrow().type());
    }
  }

  @Test
  void anAdapterBelongsToItsBase() {
    Path base = folder.resolve("base.gguf");
    Path adapter = folder.resolve("adapter.gguf");
    Compensation work = compensate(32, TensorType.Q4_0, true, base, adapter);
    try (GgufFile written = GgufFile.open(adapter)) {
      assertEquals(TensorType.Q8_0, written.tensors().get(0).type());
      assertEquals(28, written.tensors().size());
      assertEquals("lora", written.metadata().get("adapter.type").asText());
      assertEquals(work.factorBytes(), written.tensors().stream().mapToLong(GgufTensor::bytes).sum());
    }
    logits(base, adapter);
    fails(ErrorCode.ADAPTER_INVALID, () -> logits(model, adapter));
  }

  @Test
  void fewMatricesAreThoseThatGainMost() {
    Path base = folder.resolve("base.gguf");
    Path adapter = folder.resolve("adapter.gguf");
    Compensation work = new Compensation(file, weights, CompressionTest::moment, 8, 3);
    work.writeBase(base, TensorType.Q4_0, false, null, SILENT);
    work.writeAdapter(adapter, fingerprint(base));
    try (GgufFile written = GgufFile.open(adapter)) {
      assertEquals(6, written.tensors().size());
    }
    logits(base, adapter);
  }

  @Test
  void whatHasTheTypeAlreadyStaysAndLosesNothing() throws IOException {
    Path base = folder.resolve("base.gguf");
    Path adapter = folder.resolve("adapter.gguf");
    assertEquals(0, compensate(4, TensorType.F32, true, base, adapter).remainingError());
    assertArrayEquals(Files.readAllBytes(model), Files.readAllBytes(base));
    assertEquals(0, distance(logits(base), logits(base, adapter)), 1e-6);
  }

  @Test
  void ranksAndTypesThatDoNotFitAreRefused() {
    fails(ErrorCode.RANGE, () -> new Compensation(file, weights, CompressionTest::moment, 0, 14));
    fails(ErrorCode.RANGE, () -> new Compensation(file, weights, CompressionTest::moment, 8, 0));
    fails(ErrorCode.RANGE, () -> new Compensation(file, weights, CompressionTest::moment, 33, 14));
    Compensation work = new Compensation(file, weights, CompressionTest::moment, 8, 14);
    LlmException rows =
        fails(ErrorCode.NOT_AVAILABLE, () -> work.writeBase(folder.resolve("x"), TensorType.Q3_K, true, null, SILENT));
    assertTrue(rows.getMessage().contains("64") && rows.getMessage().contains("256"), rows.getMessage());
    fails(ErrorCode.NOT_AVAILABLE,
        () -> work.writeBase(folder.resolve("x"), TensorType.Q4_0, true, TensorType.Q8_0, SILENT));
    assertFalse(Files.exists(folder.resolve("x")));
  }

  @Test
  void replacingTakesOnlyRanksThatSave() {
    Replacement work = new Replacement(file, weights, CompressionTest::moment, null);
    int[] ranks = work.uniform(24);
    for (int i = 0; i < ranks.length; i++) {
      long n = weights.get(i).shape().get(0);
      long m = weights.get(i).shape().get(1);
      assertEquals(24 * (n + m) < n * m ? 24 : 0, ranks[i], weights.get(i).toString());
    }
    fails(ErrorCode.RANGE, () -> work.uniform(43));
    fails(ErrorCode.NOT_AVAILABLE,
        () -> new Replacement(file, weights, CompressionTest::moment, TensorType.Q8_0).uniform(24));
    fails(ErrorCode.RANGE, () -> work.within(0.05, SILENT));
  }

  @Test
  void factorsAndTheirProductAreWritten() throws IOException {
    Replacement work = new Replacement(file, weights, CompressionTest::moment, null);
    int[] ranks = work.within(0.8, SILENT);
    assertTrue(work.bytes(ranks) <= 0.8 * Files.size(model), work.bytes(ranks) + " of " + Files.size(model));
    Path factors = folder.resolve("factors.gguf");
    Path dense = folder.resolve("dense.gguf");
    double lost = work.writeFactors(factors, ranks, SILENT);
    assertEquals(lost, work.writeDense(dense, ranks, SILENT), 1e-9);
    assertTrue(lost > 0 && lost < 1, "lost " + lost);
    assertEquals(work.bytes(ranks), Files.size(factors), 2000);
    try (GgufFile a = GgufFile.open(factors); GgufFile b = GgufFile.open(dense)) {
      assertEquals(file.tensors().toString(), b.tensors().toString());
      for (int i = 0; i < ranks.length; i++) {
        String name = weights.get(i).name();
        assertEquals(ranks[i] > 0, a.tensor(name + Replacement.FACTOR_A).isPresent());
        assertEquals(ranks[i] == 0, a.tensor(name).isPresent());
        if (ranks[i] > 0) {
          Matrix product = LinearAlgebra.product(Weights.read(a, a.tensor(name + Replacement.FACTOR_B).orElseThrow()),
              Weights.read(a, a.tensor(name + Replacement.FACTOR_A).orElseThrow()));
          Matrix written = Weights.read(b, b.tensor(name).orElseThrow());
          for (int k = 0; k < product.data().length; k++) {
            assertEquals(product.data()[k], written.data()[k], 1e-5);
          }
        }
      }
    }
    assertTrue(distance(logits(model), logits(dense)) > 0);
  }

  @Test
  void stoppingLeavesNothing() throws IOException {
    Compensation work = new Compensation(file, weights, CompressionTest::moment, 8, 14);
    assertThrows(IllegalStateException.class, () -> work.writeBase(folder.resolve("x"), TensorType.Q4_0, true, null,
        (what, fraction) -> {
          if (fraction > 0.5) {
            throw new IllegalStateException("stop");
          }
        }));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(model), files.toList());
    }
  }
}
