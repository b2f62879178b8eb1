package io.github.llmmobile.cli.algebra;

import java.util.Arrays;

/**
 * A dense matrix of doubles, row by row. The array is shared, not copied: whoever makes a matrix of it leaves it alone
 * from then on.
 *
 * @param rows how many rows
 * @param cols numbers per row
 * @param data the numbers
 */
public record Matrix(int rows, int cols, double[] data) {
  /**
   * Checks that the numbers are as many as rows and columns make.
   *
   * @param rows how many rows
   * @param cols numbers per row
   * @param data the numbers (required)
   */
  public Matrix {
    if (rows < 1 || cols < 1 || (long) rows * cols != data.length) {
      throw new IllegalArgumentException(rows + " x " + cols + " with " + data.length + " numbers");
    }
  }

  /**
   * A matrix of floats.
   *
   * @param rows how many rows
   * @param cols numbers per row
   * @param values the numbers, row by row; copied (required)
   * @return the matrix (never null)
   */
  public static Matrix of(int rows, int cols, float[] values) {
    double[] data = new double[values.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = values[i];
    }
    return new Matrix(rows, cols, data);
  }

  /**
   * One number.
   *
   * @param row its row
   * @param col its column
   * @return the number
   */
  public double at(int row, int col) {
    return data[row * cols + col];
  }

  /**
   * The numbers as floats.
   *
   * @return row by row, a copy (never null)
   */
  public float[] toFloats() {
    float[] values = new float[data.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) data[i];
    }
    return values;
  }

  /**
   * The difference.
   *
   * @param other what is taken away, of the same shape (required)
   * @return the difference (never null)
   */
  public Matrix minus(Matrix other) {
    double[] difference = new double[data.length];
    for (int i = 0; i < difference.length; i++) {
      difference[i] = data[i] - other.data[i];
    }
    return new Matrix(rows, cols, difference);
  }

  /**
   * The first rows.
   *
   * @param count how many
   * @return a copy (never null)
   */
  public Matrix head(int count) {
    return new Matrix(count, cols, Arrays.copyOf(data, count * cols));
  }

  /**
   * Rows as columns.
   *
   * @return the transposed matrix (never null)
   */
  public Matrix transposed() {
    double[] turned = new double[data.length];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < cols; c++) {
        turned[c * rows + r] = data[r * cols + c];
      }
    }
    return new Matrix(cols, rows, turned);
  }
}
