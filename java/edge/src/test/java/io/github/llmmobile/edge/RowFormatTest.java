package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.wire.Rotation;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Rows reduced to their largest coefficients. */
class RowFormatTest {
  private static final int WIDTH = 64;
  private static final int SPLIT = 2;

  @TempDir static Path folder;
  private static RowBasis basis;

  @BeforeAll
  static void write() {
    basis = TinyBasis.write(folder.resolve("a.basis"), 5);
  }

  private static float[] row(long seed) {
    Random random = new Random(seed);
    float[] row = new float[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      row[i] = (float) random.nextGaussian();
    }
    row[3] = 900;
    return row;
  }

  private static float[] back(RowFormat format, float... rows) {
    FloatBuffer out = FloatBuffer.allocate(rows.length);
    format.decode(format.encode(FloatBuffer.wrap(rows)), out);
    return out.array();
  }

  @Test
  void recordsHaveTheDocumentedLengths() {
    int mask = 8;
    assertEquals(mask + 2 * 4 + 32 * 4, RowFormat.reduced(RowCodec.F32, basis, SPLIT, 32).recordBytes());
    assertEquals(mask + 1 + 2 * 2 + 1 + 32 * 2, RowFormat.reduced(RowCodec.F16, basis, SPLIT, 32).recordBytes());
    assertEquals(mask + 1 + 2 * 2 + 1 + 2 + 32, RowFormat.reduced(RowCodec.INT8, basis, SPLIT, 0).recordBytes());
    assertEquals(1 + 2 * 2 + 1 + 2 * 2 + 31, RowFormat.reduced(RowCodec.INT4, basis, SPLIT, 62).recordBytes());
    assertEquals("int8, 32 of 64 dimensions", RowFormat.reduced(RowCodec.INT8, basis, SPLIT, 0).toString());
  }

  @Test
  void moreThanThereIsCannotBeKept() {
    for (int keep : new int[] {-1, 63, Integer.MAX_VALUE}) {
      LlmException e = assertThrows(LlmException.class, () -> RowFormat.reduced(RowCodec.F16, basis, SPLIT, keep));
      assertEquals(ErrorCode.RANGE, e.code());
    }
    assertThrows(LlmException.class, () -> RowFormat.reduced(RowCodec.F16, basis, 1, 10));
    assertThrows(LlmException.class, () -> SplitOptions.builder().keepDims(5).build());
  }

  /** What is left of a row's other channels, in doubles: the sum over the largest coefficients. */
  private static double[] reference(float[] row, int keep) {
    Rotation rotation = basis.at(SPLIT);
    int n = rotation.size();
    int[] rest = IntStream.range(0, WIDTH).filter(i -> Arrays.binarySearch(rotation.apart(), i) < 0).toArray();
    double[] coefficients = new double[n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        coefficients[i] += (double) rotation.vectors()[i * n + j] * row[rest[j]];
      }
    }
    double least = Arrays.stream(coefficients).map(Math::abs).sorted().toArray()[n - keep];
    double[] result = new double[WIDTH];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n && Math.abs(coefficients[i]) >= least; j++) {
        result[rest[j]] += coefficients[i] * rotation.vectors()[i * n + j];
      }
    }
    for (int channel : rotation.apart()) {
      result[channel] = row[channel];
    }
    return result;
  }

  @ParameterizedTest
  @CsvSource({"F32, 1, 1e-5", "F32, 32, 1e-5", "F32, 62, 1e-5", "F16, 32, 0.01", "INT8, 32, 0.06", "INT4, 32, 0.9"})
  void theLargestCoefficientsAreLeft(RowCodec codec, int keep, double tolerance) {
    for (int seed = 0; seed < 20; seed++) {
      float[] row = row(seed);
      float[] decoded = back(RowFormat.reduced(codec, basis, SPLIT, keep), row);
      double[] expected = reference(row, keep);
      double worst = 0;
      for (int i = 0; i < WIDTH; i++) {
        worst = Math.max(worst, Math.abs(decoded[i] - expected[i]) / (i == 3 ? 900 : 1));
      }
      // The error of numbers written in 4 and 8 bits: half a step of each, in quadrature, four deviations.
      assertTrue(worst <= tolerance, "seed " + seed + ": " + worst);
    }
  }

  /** Bits of sums of floats in another order differ: a build that changes the order fails here, before it meets another. */
  @Test
  void decodingAddsInTheDocumentedOrder() {
    Rotation rotation = basis.at(SPLIT);
    int n = rotation.size();
    float[] row = row(77);
    float[] decoded = back(RowFormat.reduced(RowCodec.INT8, basis, SPLIT, n), row);
    // The coefficients as the codec leaves them, from the record itself.
    byte[] record = RowFormat.reduced(RowCodec.INT8, basis, SPLIT, n).encode(FloatBuffer.wrap(row));
    FloatBuffer coefficients = FloatBuffer.allocate(n);
    RowCodec.INT8.decode(Arrays.copyOfRange(record, 1 + 2 * 2, record.length), n, coefficients);
    int[] rest = IntStream.range(0, WIDTH).filter(i -> Arrays.binarySearch(rotation.apart(), i) < 0).toArray();
    for (int j = 0; j < n; j++) {
      float sum = 0;
      for (int i = 0; i < n; i++) {
        float product = coefficients.get(i) * rotation.vectors()[i * n + j];
        sum = sum + product;
      }
      assertEquals(sum, decoded[rest[j]]);
    }
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void rowsAreIndependentAndRepeatable(RowCodec codec) {
    RowFormat format = RowFormat.reduced(codec, basis, SPLIT, 20);
    float[] both = Arrays.copyOf(row(1), 2 * WIDTH);
    System.arraycopy(row(2), 0, both, WIDTH, WIDTH);
    float[] decoded = back(format, both);
    assertArrayEquals(back(format, row(1)), Arrays.copyOf(decoded, WIDTH));
    assertArrayEquals(back(format, row(2)), Arrays.copyOfRange(decoded, WIDTH, 2 * WIDTH));
    assertArrayEquals(new float[WIDTH], back(format, new float[WIDTH]));
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void numbersThatAreNoneAreRefused(RowCodec codec) {
    RowFormat format = RowFormat.reduced(codec, basis, SPLIT, 20);
    for (float wrong : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      for (int at : new int[] {0, 3, WIDTH - 1}) {
        float[] row = row(9);
        row[at] = wrong;
        LlmException e = assertThrows(LlmException.class, () -> format.encode(FloatBuffer.wrap(row)));
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void anyBytesDecodeToFiniteNumbersOrAreRefused(RowCodec codec) {
    RowFormat format = RowFormat.reduced(codec, basis, SPLIT, 31);
    Random random = new Random(3);
    int decoded = 0;
    for (int i = 0; i < 3000; i++) {
      byte[] record = new byte[format.recordBytes()];
      random.nextBytes(record);
      if (i % 2 == 0) {
        // As many coefficients as there should be: the bits of 31 places.
        Arrays.fill(record, 0, 8, (byte) 0x55);
        record[7] = 0x15;
      }
      FloatBuffer out = FloatBuffer.allocate(WIDTH);
      try {
        format.decode(record, out);
        decoded++;
        for (float value : out.array()) {
          assertTrue(Math.abs(value) <= Float.MAX_VALUE);
        }
      } catch (LlmException e) {
        assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
      }
    }
    assertTrue(decoded > 0, "nothing was decoded");
  }

  @Test
  void recordsWithOtherCoefficientsThanSaidAreRefused() {
    RowFormat format = RowFormat.reduced(RowCodec.F16, basis, SPLIT, 20);
    byte[] record = format.encode(FloatBuffer.wrap(row(4)));
    byte[] more = record.clone();
    more[0] = (byte) 0xFF;
    more[1] = (byte) 0xFF;
    more[2] = (byte) 0xFF;
    assertThrows(LlmException.class, () -> format.decode(more, FloatBuffer.allocate(WIDTH)));
    byte[] outside = record.clone();
    outside[7] |= (byte) 0x80;
    assertThrows(LlmException.class, () -> format.decode(outside, FloatBuffer.allocate(WIDTH)));
    assertThrows(
        LlmException.class, () -> format.decode(Arrays.copyOf(record, 10), FloatBuffer.allocate(WIDTH)));
  }
}
