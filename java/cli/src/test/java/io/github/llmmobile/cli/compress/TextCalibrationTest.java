package io.github.llmmobile.cli.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.llmmobile.LlmException;
import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.TensorType;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class TextCalibrationTest {
  private static final List<GgufTensor> WEIGHTS = List.of(weight("blk.0.attn_q", 8, 8), weight("blk.0.attn_k", 8, 4),
      weight("blk.0.ffn_gate", 8, 12), weight("blk.0.ffn_up", 8, 12), weight("blk.0.ffn_down", 12, 8));

  private final List<List<String>> asked = new ArrayList<>();

  @BeforeAll
  static void prepare() {
    LinearAlgebra.prepare(1);
  }

  private static GgufTensor weight(String name, int in, int out) {
    return GgufTensor.of(name + ".weight", TensorType.F32, in, out);
  }

  /** Numbers that tell token, weight and place. */
  private void rows(int[] tokens, List<String> weights, FloatBuffer out) {
    asked.add(List.copyOf(weights));
    for (String name : weights) {
      int width = name.contains("down") ? 12 : 8;
      for (int i = 0; i < tokens.length * width; i++) {
        out.put(value(tokens[i / width], name, i % width));
      }
    }
    assertEquals(0, out.remaining());
  }

  private static float value(int token, String name, int place) {
    return (float) Math.sin(token * 1.3 + name.length() + place * place);
  }

  private TextCalibration calibration(long memory) {
    return calibration(false, memory);
  }

  private TextCalibration calibration(boolean evenly, long memory) {
    return new TextCalibration(this::rows, WEIGHTS, new int[] {1, 2, 3, 4, 5, 6, 7}, 3, evenly, memory,
        (what, fraction) -> {});
  }

  private static double[] expected(String name, int width) {
    double[] moment = new double[width * width];
    for (int token = 1; token <= 7; token++) {
      for (int i = 0; i < moment.length; i++) {
        moment[i] += value(token, name, i / width) * (double) value(token, name, i % width) / 7;
      }
    }
    return moment;
  }

  @Test
  void momentsAreThoseOfTheRows() {
    try (TextCalibration calibration = calibration(1 << 20)) {
      assertArrayEquals(expected("blk.0.attn_q.weight", 8), calibration.secondMoment("blk.0.attn_q.weight"), 1e-5);
      assertArrayEquals(expected("blk.0.ffn_down.weight", 12), calibration.secondMoment("blk.0.ffn_down.weight"), 1e-5);
    }
    assertEquals(3, asked.size());
  }

  @Test
  void noTokenCountsMoreThanMost() {
    String name = "blk.0.ffn_down.weight";
    double[] expected = new double[12 * 12];
    for (int from = 1; from <= 7; from += 3) {
      int until = Math.min(from + 3, 8);
      double[] lengths = IntStream.range(from, until).mapToDouble(token -> length(token, name)).sorted().toArray();
      double median = lengths[lengths.length / 2];
      for (int token = from; token < until; token++) {
        double scale = Math.min(1, median / length(token, name));
        for (int i = 0; i < expected.length; i++) {
          expected[i] += scale * scale * value(token, name, i / 12) * value(token, name, i % 12) / 7;
        }
      }
    }
    try (TextCalibration calibration = calibration(true, 1 << 20)) {
      assertArrayEquals(expected, calibration.secondMoment(name), 1e-5);
    }
  }

  private static double length(int token, String name) {
    return Math.sqrt(IntStream.range(0, 12).mapToDouble(i -> value(token, name, i) * (double) value(token, name, i)).sum());
  }

  @Test
  void sameInputsAreMeasuredOnce() {
    try (TextCalibration calibration = calibration(1 << 20)) {
      assertArrayEquals(calibration.secondMoment("blk.0.attn_q.weight"), calibration.secondMoment("blk.0.attn_k.weight"));
      assertArrayEquals(calibration.secondMoment("blk.0.ffn_gate.weight"), calibration.secondMoment("blk.0.ffn_up.weight"));
    }
    assertEquals(List.of("blk.0.attn_q.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_down.weight"), asked.get(0));
  }

  @Test
  void withLittleMemoryTheTextIsReadAgain() {
    try (TextCalibration calibration = calibration(1)) {
      assertArrayEquals(expected("blk.0.attn_q.weight", 8), calibration.secondMoment("blk.0.attn_q.weight"), 1e-5);
      assertArrayEquals(expected("blk.0.ffn_down.weight", 12), calibration.secondMoment("blk.0.ffn_down.weight"), 1e-5);
    }
    assertEquals(6, asked.size());
    assertEquals(List.of("blk.0.ffn_down.weight"), asked.get(5));
  }

  @Test
  void otherWeightsAreRefused() {
    try (TextCalibration calibration = calibration(1)) {
      assertThrows(LlmException.class, () -> calibration.secondMoment("blk.9.attn_q.weight"));
    }
  }
}
