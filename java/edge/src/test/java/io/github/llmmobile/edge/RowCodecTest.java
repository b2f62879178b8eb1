package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class RowCodecTest {
  private static float[] back(RowCodec codec, float... row) {
    FloatBuffer out = FloatBuffer.allocate(row.length);
    codec.decode(codec.encode(FloatBuffer.wrap(row), row.length), row.length, out);
    return out.array();
  }

  /** Like a residual stream: most numbers near 1, a few channels far out. */
  private static float[] residual(int width, long seed) {
    Random random = new Random(seed);
    float[] row = new float[width];
    for (int i = 0; i < width; i++) {
      row[i] = (float) random.nextGaussian();
    }
    for (int i = 0; i < width / 192; i++) {
      row[random.nextInt(width)] = 300 + 1000 * random.nextFloat();
    }
    return row;
  }

  private static double relativeError(float[] row, float[] decoded) {
    double error = 0;
    double norm = 0;
    for (int i = 0; i < row.length; i++) {
      error += Math.pow(row[i] - decoded[i], 2);
      norm += Math.pow(row[i], 2);
    }
    return Math.sqrt(error / norm);
  }

  @Test
  void recordsHaveTheDocumentedLengths() {
    assertEquals(2304, RowCodec.F32.recordBytes(576));
    assertEquals(1153, RowCodec.F16.recordBytes(576));
    assertEquals(1 + 3 * 4 + 2 + 576, RowCodec.INT8.recordBytes(576));
    assertEquals(1 + 3 * 4 + 18 * 2 + 288, RowCodec.INT4.recordBytes(576));
    assertEquals(1 + 2 + 1, RowCodec.INT4.recordBytes(1));
    assertEquals(1 + 2 * 2 + 17, RowCodec.INT4.recordBytes(33));
  }

  @ParameterizedTest
  @CsvSource({"INT8, 576", "INT8, 640", "INT8, 2048", "INT8, 4096"})
  void eightBitsAreLittleMoreThanAQuarter(RowCodec codec, int width) {
    assertTrue(codec.recordBytes(width) <= RowCodec.F32.recordBytes(width) / 3.9 + 1, codec.recordBytes(width) + "");
  }

  @Test
  void f32KeepsEveryBit() {
    float[] row = {0f, -0f, 1f, -1e-45f, Float.MAX_VALUE, -Float.MAX_VALUE, Float.MIN_NORMAL, 0.1f};
    float[] decoded = back(RowCodec.F32, row);
    for (int i = 0; i < row.length; i++) {
      assertEquals(Float.floatToRawIntBits(row[i]), Float.floatToRawIntBits(decoded[i]));
    }
  }

  @Test
  void f16RoundsToNearestAndToEven() {
    float ulp = 0x1p-10f;
    assertArrayEquals(
        new float[] {1f, 1f, 1 + 2 * ulp, 1 + ulp, -65504f, 0x1p-24f, 0f, 0x1p-14f},
        back(RowCodec.F16, 1f, 1 + ulp / 2, 1 + 1.5f * ulp, 1 + 0.51f * ulp, -65504f, 0x1p-24f, 0x1p-25f,
            Math.nextDown(0x1p-14f)));
  }

  @Test
  void f16HoldsWhatIsLargerThanAnF16() {
    float[] decoded = back(RowCodec.F16, 1e6f, -3e38f, 65505f);
    assertEquals(-3e38f, decoded[1], 3e38f / 2048);
    assertEquals(2e5f, back(RowCodec.F16, 2e5f, 1f)[0], 2e5f / 2048);
    assertEquals(1f, back(RowCodec.F16, 2e5f, 1f)[1], 1f / 1024);
  }

  /** Bytes that any other reader or writer of the format must come to as well. */
  @Test
  void recordsAreTheDocumentedBytes() {
    assertArrayEquals(new byte[] {0, 0x00, 0x3C, 0x00, (byte) 0xC0},
        RowCodec.F16.encode(FloatBuffer.wrap(new float[] {1, -2}), 2));
    // The scale is 1/127 as an f16, 0x2008; 0.5 / scale is 63.6.
    assertArrayEquals(new byte[] {0, 0x08, 0x20, 127, -64, 0},
        RowCodec.INT8.encode(FloatBuffer.wrap(new float[] {1, -0.5f, 0.001f}), 3));
    // The scale is 1, 0x3C00: nibbles 7 + 8 and -3 + 8, then 2 + 8 and nothing.
    assertArrayEquals(new byte[] {0, 0x00, 0x3C, 0x5F, (byte) 0x8A},
        RowCodec.INT4.encode(FloatBuffer.wrap(new float[] {7, -3, 2}), 3));
  }

  @Test
  void theLargestNumbersTravelApart() {
    float[] row = new float[400];
    Arrays.fill(row, 0.5f);
    row[17] = -1000;
    row[399] = 2000;
    for (RowCodec codec : new RowCodec[] {RowCodec.INT8, RowCodec.INT4}) {
      float[] decoded = back(codec, row);
      assertEquals(-1000, decoded[17]);
      assertEquals(2000, decoded[399]);
      assertEquals(0.5f, decoded[0], 0.002f);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 31, 33, 64, 191, 192, 576, 2048})
  void lossesAreSmallAtEveryWidth(int width) {
    float[] row = residual(width, width);
    assertTrue(relativeError(row, back(RowCodec.F16, row)) < 5e-4);
    assertTrue(relativeError(row, back(RowCodec.INT8, row)) < 0.02);
    assertTrue(relativeError(row, back(RowCodec.INT4, row)) < 0.16);
  }

  /** Whoever decodes and encodes again, as a replay may, changes nothing further. */
  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void zerosStayZeros(RowCodec codec) {
    assertArrayEquals(new float[576], back(codec, new float[576]));
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void rowsAreIndependent(RowCodec codec) {
    float[] first = residual(576, 1);
    float[] second = residual(576, 2);
    FloatBuffer both = FloatBuffer.allocate(2 * 576).put(first).put(second);
    both.flip();
    byte[] records = codec.encode(both, 576);
    assertArrayEquals(codec.encode(FloatBuffer.wrap(second), 576),
        Arrays.copyOfRange(records, records.length / 2, records.length));
    assertEquals(0, both.position());
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void numbersThatAreNoneAreRefused(RowCodec codec) {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      float[] row = new float[192];
      row[100] = bad;
      LlmException e =
          assertThrows(LlmException.class, () -> codec.encode(FloatBuffer.wrap(row), row.length));
      assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    }
  }

  /** A record that no encoder writes either decodes to finite numbers or is refused. */
  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void anyBytesDecodeToFiniteNumbersOrAreRefused(RowCodec codec) {
    Random random = new Random(7);
    byte[] record = new byte[codec.recordBytes(200)];
    FloatBuffer out = FloatBuffer.allocate(200);
    int refused = 0;
    for (int i = 0; i < 20_000; i++) {
      random.nextBytes(record);
      if (codec != RowCodec.F32 && i % 2 == 0) {
        record[0] = (byte) random.nextInt(3);
      }
      try {
        codec.decode(record, 200, out);
        for (float value : out.array()) {
          assertTrue(Math.abs(value) <= Float.MAX_VALUE);
        }
      } catch (LlmException e) {
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
        refused++;
      }
    }
    assertTrue(refused > 0);
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void lengthsThatAreNoWholeRowsAreRefused(RowCodec codec) {
    byte[] record = codec.encode(FloatBuffer.allocate(64), 64);
    FloatBuffer out = FloatBuffer.allocate(64);
    assertThrows(LlmException.class, () -> codec.decode(Arrays.copyOf(record, record.length - 1), 64, out));
    assertThrows(LlmException.class, () -> codec.decode(Arrays.copyOf(record, 2 * record.length), 64, out));
  }

  @Test
  void namesAreThoseOfTheCommandLine() {
    assertEquals(RowCodec.INT8, RowCodec.of("int8"));
    assertEquals("int4", RowCodec.INT4.toString());
    assertThrows(LlmException.class, () -> RowCodec.of("int2"));
  }
}
