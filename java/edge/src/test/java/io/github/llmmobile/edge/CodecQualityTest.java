package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.edge.wire.Rows;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;

/**
 * What codecs cost a real model whose rows go through them in the middle, token by token, losses in keys and values included.
 * {@code -Dllmm.edge.quality.tokens=2048} measures more than the test needs, {@code -Dllmm.edge.quality.split} elsewhere,
 * {@code -Dllmm.edge.quality.basis=FILE} reduced rows too, and {@code -Dllmm.edge.quality.model=NAME} another model of the
 * cache; figures then go to standard output.
 */
@Tag("model")
class CodecQualityTest {
  private static final int SPLIT = Integer.getInteger("llmm.edge.quality.split", 15);
  private static final String MODEL =
      System.getProperty("llmm.edge.quality.model", RealModels.DEFAULT);
  private static final boolean MEASURING = Integer.getInteger("llmm.edge.quality.tokens") != null;
  /** The control: rows of which every number is off by less than a millionth. */
  private static final String NUDGED = "nudged";

  /** Sums over the tokens of a text. */
  private static final class Score {
    final LlmSession upper;
    /** How rows travel; null for the control. */
    final @Nullable RowFormat format;
    double nll;
    double divergence;
    int same;

    Score(LlmSession upper, @Nullable RowFormat format) {
      this.upper = upper;
      this.format = format;
    }

    /** A row as the worker sees it. */
    void losing(FloatBuffer row, FloatBuffer out) {
      if (format != null) {
        format.decode(format.encode(row), out);
        return;
      }
      for (int i = 0; i < row.remaining(); i++) {
        out.put(i, row.get(i) * (1 + (i % 2 == 0 ? 0x1p-21f : -0x1p-21f)));
      }
    }
  }

  private static double[] logProbabilities(float[] logits) {
    double most = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      most = Math.max(most, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - most);
    }
    double[] result = new double[logits.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = logits[i] - most - Math.log(sum);
    }
    return result;
  }

  private static int best(double[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      best = values[i] > values[best] ? i : best;
    }
    return best;
  }

  @Test
  void codecsCostLittle(TestReporter reporter) throws IOException {
    int count = Integer.getInteger("llmm.edge.quality.tokens", 128);
    Path file = RealModels.file(MODEL);
    String text = Files.readString(RealModels.file(RealModels.TEXT));
    SessionOptions options = SessionOptions.builder().contextTokens(count + 1).batchTokens(64).build();
    Map<String, Score> scores = new LinkedHashMap<>();
    try (LlmModel model = LlmModel.load(ModelOptions.of(file));
        LlmSession lower = model.newSession(options.toBuilder().layers(LayerRange.of(0, SPLIT)).build())) {
      int width = model.info().embedding();
      for (RowCodec codec : RowCodec.values()) {
        scores.put(codec.toString(), score(model, options, RowFormat.of(codec, width)));
      }
      scores.put(NUDGED, score(model, options, null));
      for (RowFormat reduced : reduced(model)) {
        scores.put(reduced.toString(), score(model, options, reduced));
      }
      int[] tokens =
          Arrays.copyOf(model.tokenize(text.substring(0, Math.min(text.length(), 8 * count)), true, false), count + 1);
      FloatBuffer row = Rows.allocate(1, width);
      FloatBuffer decoded = Rows.allocate(1, width);
      for (int i = 0; i < count; i++) {
        int[] token = {tokens[i]};
        lower.evalHidden(token, null, row);
        double[] exact = null;
        for (Map.Entry<String, Score> entry : scores.entrySet()) {
          Score score = entry.getValue();
          score.losing(row, decoded);
          score.upper.evalHidden(token, decoded, null);
          double[] given = logProbabilities(score.upper.logits());
          exact = exact == null ? given : exact;
          score.nll -= given[tokens[i + 1]];
          score.same += best(given) == best(exact) ? 1 : 0;
          for (int k = 0; k < given.length; k++) {
            score.divergence += Math.exp(exact[k]) * (exact[k] - given[k]);
          }
        }
      }
      double exact = Math.exp(scores.get("f32").nll / count);
      for (Map.Entry<String, Score> entry : scores.entrySet()) {
        Score score = entry.getValue();
        String figures = String.format(Locale.ROOT,
            "%d bytes, perplexity %.4f (%+.2f %%), KL %.6f, same first token %.2f %%",
            score.format == null ? 0 : score.format.recordBytes(), Math.exp(score.nll / count),
            100 * (Math.exp(score.nll / count) / exact - 1), score.divergence / count, 100.0 * score.same / count);
        reporter.publishEntry(entry.getKey(), figures);
        if (MEASURING) {
          // Surefire drops what is published.
          System.out.println(entry.getKey() + ": " + figures);
        }
      }
      assertEquals(0, scores.get("f32").divergence, 1e-9);
      // So few tokens move the perplexity by a per cent for any difference; the divergence says more.
      assertWithin(scores.get("f16"), count, exact, 0.02, 0.01);
      assertWithin(scores.get("int8"), count, exact, 0.02, 0.01);
      assertWithin(scores.get("int4"), count, exact, 0.05, 0.05);
    } finally {
      scores.values().forEach(score -> score.upper.close());
    }
  }

  private static Score score(LlmModel model, SessionOptions options, @Nullable RowFormat format) {
    return new Score(model.newSession(options.toBuilder().layers(LayerRange.of(SPLIT, 0)).build()), format);
  }

  /** A quarter, half and three quarters of the dimensions, and all of them, if there is a basis. */
  private static List<RowFormat> reduced(LlmModel model) {
    List<RowFormat> formats = new ArrayList<>();
    String file = System.getProperty("llmm.edge.quality.basis");
    if (file != null) {
      RowBasis basis = RowBasis.read(Path.of(file));
      basis.check(model.info());
      for (RowCodec codec : new RowCodec[] {RowCodec.INT8, RowCodec.INT4}) {
        for (int quarters = 1; quarters < 4; quarters++) {
          formats.add(RowFormat.reduced(codec, basis, SPLIT, quarters * basis.width() / 4));
        }
        formats.add(RowFormat.reduced(codec, basis, SPLIT, basis.dims(SPLIT)));
      }
    }
    return formats;
  }

  private static void assertWithin(Score score, int count, double exact, double perplexity, double divergence) {
    assertTrue(Math.exp(score.nll / count) <= (1 + perplexity) * exact,
        Math.exp(score.nll / count) + " instead of " + exact);
    assertTrue(score.divergence / count <= divergence, score.divergence / count + "");
  }
}
