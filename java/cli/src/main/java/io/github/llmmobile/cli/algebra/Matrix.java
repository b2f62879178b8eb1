package io.github.llmmobile.cli.compress;

import java.util.Arrays;

/**
 * A dense matrix of doubles, row by row. The array is shared, not copied: whoever makes a matrix of it leaves it alone
 * from then on.
 *
 * @param rows how many rows
 * @param cols numbers per row
 * @param data the numbers
 */
record Matrix(int rows, int cols, double[] data) {
  Matrix {
    if (rows < 1 || cols < 1 || (long) rows * cols != data.length) {
      throw new IllegalArgumentException(rows + " x " + cols + " with " + data.length + " numbers");
    }
  }

  static Matrix of(int rows, int cols, float[] values) {
    double[] data = new double[values.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = values[i];
    }
    return new Matrix(rows, cols, data);
  }

  double at(int row, int col) {
    return data[row * cols + col];
  }

  float[] toFloats() {
    float[] values = new float[data.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) data[i];
    }
    return values;
  }

  Matrix minus(Matrix other) {
    double[] difference = new double[data.length];
    for (int i = 0; i < difference.length; i++) {
      difference[i] = data[i] - other.data[i];
    }
    return new Matrix(rows, cols, difference);
  }

  /** The first rows. */
  Matrix head(int count) {
    return new Matrix(count, cols, Arrays.copyOf(data, count * cols));
  }

  Matrix transposed() {
    double[] turned = new double[data.length];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cols; c++) {
        turned[c * rows + r] = data[r * cols + c];
      }
    }
    return new Matrix(cols, rows, turned);
  }
}
