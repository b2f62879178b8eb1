package io.github.llmmobile.cli.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.gguf.TensorCodec;
import io.github.llmmobile.gguf.TensorType;
import java.nio.ByteBuffer;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CalibratedRoundingTest {
  @BeforeAll
  static void prepare() {
    LinearAlgebra.prepare(1);
  }

  private static Matrix calibrated(TensorType type, Matrix w, Matrix moment) {
    byte[] bytes = CalibratedRounding.to(type).orElseThrow().round(w, moment);
    assertEquals(type.rowBytes(w.cols()) * w.rows(), bytes.length);
    return read(type, w, bytes);
  }

  private static Matrix read(TensorType type, Matrix w, byte[] bytes) {
    return Matrix.of(w.rows(), w.cols(), TensorCodec.dequantize(type, ByteBuffer.wrap(bytes), w.data().length));
  }

  @ParameterizedTest
  @EnumSource(value = TensorType.class, names = {"Q2_0", "Q4_0"})
  void outputsLoseLessThanWithRoundingAlone(TensorType type) {
    Matrix w = LowRankTest.random(48, 128, 1);
    Matrix s = LowRankTest.moment(128, 2);
    double nearest = LinearAlgebra.energy(w.minus(read(type, w, Weights.encode(type, w))), s);
    double calibrated = LinearAlgebra.energy(w.minus(calibrated(type, w, s)), s);
    assertTrue(calibrated < 0.6 * nearest, type + ": " + calibrated + " and " + nearest);
  }

  @ParameterizedTest
  @EnumSource(value = TensorType.class, names = {"Q2_0", "Q4_0"})
  void whatTheTypeCanSayIsSaidExactly(TensorType type) {
    int least = type == TensorType.Q2_0 ? -1 : -8;
    Random random = new Random(3);
    double[] data = new double[2 * 128];
    for (int i = 0; i < data.length; i++) {
      data[i] = (random.nextInt(1 - 2 * least + (type == TensorType.Q2_0 ? 1 : -1)) + least) * 0.5;
    }
    Matrix w = new Matrix(2, 128, data);
    Matrix s = LowRankTest.moment(128, 4);
    assertTrue(LinearAlgebra.energy(w.minus(calibrated(type, w, s)), s) < 0.02 * LinearAlgebra.energy(w, s));
  }

  @Test
  void zerosAndUnknownInputsDoNoHarm() {
    Matrix zero = new Matrix(2, 64, new double[128]);
    for (double value : calibrated(TensorType.Q2_0, zero, new Matrix(64, 64, new double[64 * 64])).data()) {
      assertTrue(value == 0);
    }
    assertTrue(CalibratedRounding.to(TensorType.Q8_0).isEmpty());
  }

  @Test
  void halvesAreThoseOfGgml() {
    Random random = new Random(5);
    for (int i = 0; i < 5000; i++) {
      float value = (float) (random.nextGaussian() * Math.pow(10, random.nextInt(12) - 8));
      byte[] bytes = TensorCodec.quantize(TensorType.F16, 1, 1, new float[] {Math.max(-65504, Math.min(65504, value))});
      short expected = (short) (bytes[0] & 0xFF | bytes[1] << 8);
      assertEquals(expected, Half.bits(Half.rounded(value)), () -> String.valueOf(value));
    }
  }
}
