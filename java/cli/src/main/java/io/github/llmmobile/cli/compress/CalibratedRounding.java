package io.github.llmmobile.cli.compress;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.gguf.TensorType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Rounds a matrix to few bits so that its outputs change least, not its numbers (GPTQ, arXiv 2210.17323): columns are
 * rounded one after the other, and what one loses is made good by those that follow, as far as their inputs go together.
 * The scale of a block is that of the least error, weighted by its inputs; ggml takes it from the largest number alone,
 * which leaves of most blocks in 2 bits nothing but zeros.
 */
final class CalibratedRounding {
  /** Added to the diagonal of the moment, as a share of its mean, so that rare inputs are not overrated. */
  private static final double DAMPING = 0.01;
  private static final int SCALES = 24;

  private final TensorType type;
  private final int least;
  private final int most;

  private CalibratedRounding(TensorType type, int least, int most) {
    this.type = type;
    this.least = least;
    this.most = most;
  }

  /** The way to round to a type; empty for types that this does not know, which ggml rounds. */
  static Optional<CalibratedRounding> to(TensorType type) {
    switch (type) {
      case Q2_0:
        return Optional.of(new CalibratedRounding(type, -1, 2));
      case Q4_0:
        return Optional.of(new CalibratedRounding(type, -8, 7));
      default:
        return Optional.empty();
    }
  }

  /** The bytes of the rounded matrix. */
  byte[] round(Matrix w, Matrix moment) {
    int block = type.blockElements();
    int rows = w.rows();
    int cols = w.cols();
    Matrix left = new Matrix(rows, cols, w.data().clone());
    double[] weight = damped(moment);
    double[] root = LinearAlgebra.inverseRoot(new Matrix(cols, cols, weight)).data();
    ByteBuffer out = ByteBuffer.allocate((int) (type.rowBytes(cols) * rows)).order(ByteOrder.LITTLE_ENDIAN);
    int rowBytes = (int) type.rowBytes(cols);
    double[] errors = new double[rows * block];
    for (int first = 0; first < cols; first += block) {
      int from = first;
      IntStream.range(0, rows).parallel().forEach(row -> {
        int[] levels = new int[block];
        float scale = roundBlock(left.data(), row * cols + from, from, weight, root, levels, errors, row * block);
        put(out, row * rowBytes + from / block * type.blockBytes(), scale, levels);
      });
      if (first + block < cols) {
        LinearAlgebra.subtractProduct(left, first + block, new Matrix(rows, block, errors), root,
            first * cols + first + block, cols);
      }
    }
    return out.array();
  }

  /** Rounds one block and hands what its columns lose to the later ones of the block. */
  private float roundBlock(double[] left, int at, int first, double[] weight, double[] root, int[] levels,
      double[] errors, int errorsAt) {
    int block = levels.length;
    int cols = (int) Math.round(Math.sqrt(root.length));
    float scale = scale(left, at, weight, first, cols);
    for (int j = 0; j < block; j++) {
      double value = left[at + j];
      levels[j] = level(value, scale);
      double error = (value - levels[j] * scale) / root[(first + j) * cols + first + j];
      errors[errorsAt + j] = error;
      int line = (first + j) * cols + first;
      for (int k = j + 1; k < block; k++) {
        left[at + k] -= error * root[line + k];
      }
    }
    return scale;
  }

  private static double[] damped(Matrix moment) {
    int n = moment.rows();
    double[] data = moment.data().clone();
    double mean = 0;
    for (int i = 0; i < n; i++) {
      mean += data[i * n + i] / n;
    }
    for (int i = 0; i < n; i++) {
      // An input that never comes still needs a number above 0.
      data[i * n + i] += mean > 0 ? DAMPING * mean : 1;
    }
    return data;
  }

  private int level(double value, float scale) {
    return scale == 0 ? 0 : (int) Math.max(least, Math.min(most, Math.rint(value / scale)));
  }

  /** The scale of the least weighted error; it may be negative, for the levels are more on one side. */
  private float scale(double[] values, int at, double[] weight, int first, int cols) {
    int block = type.blockElements();
    double largest = 0;
    for (int j = 0; j < block; j++) {
      largest = Math.max(largest, Math.abs(values[at + j]));
    }
    float best = 0;
    double bestError = Double.POSITIVE_INFINITY;
    for (int i = 1; i <= SCALES; i++) {
      double size = largest / most * (0.2 + 1.3 * i / SCALES);
      for (int sign = -1; sign <= 1; sign += 2) {
        float scale = Half.rounded((float) (sign * size));
        double error = 0;
        for (int j = 0; j < block && error < bestError; j++) {
          double value = values[at + j];
          double lost = value - level(value, scale) * scale;
          error += weight[(first + j) * (cols + 1)] * lost * lost;
        }
        if (error < bestError) {
          bestError = error;
          best = scale;
        }
      }
    }
    return best;
  }

  private void put(ByteBuffer out, int at, float scale, int[] levels) {
    out.putShort(at, Half.bits(scale));
    int half = levels.length / 2;
    for (int i = 0; i < type.blockBytes() - Short.BYTES; i++) {
      int bits = 0;
      if (type == TensorType.Q2_0) {
        for (int k = 0; k < 4; k++) {
          bits |= (levels[4 * i + k] - least) << 2 * k;
        }
      } else {
        bits = levels[i] - least | (levels[i + half] - least) << 4;
      }
      out.put(at + Short.BYTES + i, (byte) bits);
    }
  }
}
