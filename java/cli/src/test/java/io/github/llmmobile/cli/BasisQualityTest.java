package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.edge.RowBasis;
import io.github.llmmobile.edge.RowCodec;
import io.github.llmmobile.edge.RowFormat;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Half of a real model's dimensions are enough, in a basis that calibrate makes of other text. */
@Tag("model")
class BasisQualityTest {
  private static final int SPLIT = 15;
  private static final int FITTED = 1024;
  private static final int TRIED = 40;

  @TempDir Path folder;

  private static double[] logProbabilities(float[] logits) {
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit);
    }
    double[] result = new double[logits.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = logits[i] - Math.log(sum);
    }
    return result;
  }

  private static FloatBuffer row(int width) {
    return ByteBuffer.allocateDirect(width * Float.BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer();
  }

  @Test
  void halfOfTheDimensionsCostLittle() throws IOException {
    Path file = DefaultModel.path(TestCli.real().environment());
    Path essays = file.resolveSibling("paul-graham-essays.txt");
    assumeTrue(Files.isRegularFile(file) && Files.isRegularFile(essays), "missing; ci/fetch-models brings them");
    String some = Files.readString(essays).substring(0, 20_000);
    Path text = Files.writeString(folder.resolve("text.txt"), some);
    Path output = folder.resolve("model.basis");
    TestCli.Outcome made = TestCli.real().run("calibrate", file.toString(), "--text", text.toString(), "--output",
        output.toString(), "--basis-layers", String.valueOf(SPLIT), "--tokens", String.valueOf(FITTED), "--eval-tokens",
        "1024");
    assertEquals(0, made.code(), made.err());
    SessionOptions options = SessionOptions.builder().contextTokens(TRIED).build();
    try (LlmModel model = LlmModel.load(ModelOptions.of(file));
        LlmSession lower = model.newSession(options.toBuilder().layers(LayerRange.of(0, SPLIT)).build());
        LlmSession whole = model.newSession(options.toBuilder().layers(LayerRange.of(SPLIT, 0)).build());
        LlmSession reduced = model.newSession(options.toBuilder().layers(LayerRange.of(SPLIT, 0)).build())) {
      int width = model.info().embedding();
      RowFormat format = RowFormat.reduced(RowCodec.INT8, RowBasis.read(output), SPLIT, width / 2);
      int[] tokens = model.tokenize(some, true, false);
      FloatBuffer sent = row(width);
      FloatBuffer arrived = row(width);
      double divergence = 0;
      for (int token : Arrays.copyOfRange(tokens, FITTED + 1024, FITTED + 1024 + TRIED)) {
        lower.evalHidden(new int[] {token}, null, sent);
        format.decode(format.encode(sent), arrived);
        whole.evalHidden(new int[] {token}, sent, null);
        reduced.evalHidden(new int[] {token}, arrived, null);
        double[] exact = logProbabilities(whole.logits());
        double[] given = logProbabilities(reduced.logits());
        for (int i = 0; i < exact.length; i++) {
          divergence += Math.exp(exact[i]) * (exact[i] - given[i]);
        }
      }
      assertTrue(divergence / TRIED > 0 && divergence / TRIED <= 0.05, divergence / TRIED + " nats");
    }
  }
}
