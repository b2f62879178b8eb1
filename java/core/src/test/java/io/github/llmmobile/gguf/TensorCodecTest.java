package io.github.llmmobile.gguf;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import java.nio.ByteBuffer;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TensorCodecTest {
  private static float[] numbers(int count) {
    Random random = new Random(5);
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    return numbers;
  }

  private static double error(TensorType type) {
    float[] in = numbers(512);
    byte[] bytes = TensorCodec.quantize(type, 2, 256, in);
    assertEquals(2 * type.rowBytes(256), bytes.length);
    ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length + 3);
    direct.position(3);
    direct.put(bytes).position(3);
    float[] out = TensorCodec.dequantize(type, direct, 512);
    assertArrayEquals(out, TensorCodec.dequantize(type, ByteBuffer.wrap(bytes), 512));
    double error = 0;
    double norm = 0;
    for (int i = 0; i < in.length; i++) {
      error += Math.pow(in[i] - out[i], 2);
      norm += in[i] * in[i];
    }
    return Math.sqrt(error / norm);
  }

  @Test
  void thereAndBack() {
    assertEquals(0, error(TensorType.F32));
    assertTrue(error(TensorType.F16) < 1e-3);
    assertTrue(error(TensorType.Q8_0) < 0.01);
    assertTrue(error(TensorType.Q4_0) < 0.15);
    assertTrue(error(TensorType.Q2_0) < 0.9);
  }

  @Test
  void rowsThatDoNotFitAreNamed() {
    String e = fails(ErrorCode.NOT_AVAILABLE, () -> TensorCodec.quantize(TensorType.Q3_K, 1, 576, numbers(576)));
    assertTrue(e.contains("576") && e.contains("256"), e);
  }

  @Test
  void wrongSizesAreRefused() {
    fails(ErrorCode.RANGE, () -> TensorCodec.quantize(TensorType.F32, 2, 3, numbers(5)));
    fails(ErrorCode.RANGE, () -> TensorCodec.quantize(TensorType.F32, 0, 3, numbers(0)));
    fails(ErrorCode.RANGE, () -> TensorCodec.dequantize(TensorType.F32, ByteBuffer.allocate(12), 4));
    fails(ErrorCode.RANGE, () -> TensorCodec.dequantize(TensorType.F32, ByteBuffer.allocate(12), -1));
    fails(ErrorCode.NOT_AVAILABLE, () -> TensorCodec.dequantize(TensorType.I32, ByteBuffer.allocate(12), 3));
    fails(ErrorCode.INVALID_ARGUMENT, () -> TensorCodec.quantize(TensorType.F16, 1, 1, new float[] {Float.NaN}));
  }
}
