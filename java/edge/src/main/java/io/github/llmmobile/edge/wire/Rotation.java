package io.github.llmmobile.edge.wire;

import java.util.Arrays;

/**
 * Other coordinates for the rows of a model: some channels stay as they are, apart; the others are turned onto vectors at
 * right angles, on which most rows have few large coefficients. Immutable.
 *
 * <p>Restoring gives the same bits on every machine: floats, added in ascending order of the vectors, each product rounded
 * before it is added. Java has no other way to read these loops; it never joins a product and a sum.
 */
public final class Rotation {
  private final int[] apart;
  private final int[] rest;
  private final float[] vectors;

  /**
   * Coordinates.
   *
   * @param width channels of a row
   * @param apart those that stay apart, ascending, each once (required)
   * @param vectors one after another, as many as there are other channels and as long; not copied (required)
   */
  public Rotation(int width, int[] apart, float[] vectors) {
    this.apart = apart.clone();
    this.vectors = vectors;
    int[] others = new int[width];
    int count = 0;
    for (int i = 0; i < width; i++) {
      if (Arrays.binarySearch(apart, i) < 0) {
        others[count++] = i;
      }
    }
    rest = Arrays.copyOf(others, count);
    if (vectors.length != (long) count * count) {
      throw new IllegalArgumentException(vectors.length + " numbers for " + count + " vectors");
    }
  }

  /**
   * Channels of a row.
   *
   * @return their number
   */
  public int width() {
    return apart.length + rest.length;
  }

  /**
   * Channels that stay apart.
   *
   * @return their places, ascending; a copy (never null)
   */
  public int[] apart() {
    return apart.clone();
  }

  /**
   * Vectors, and so coefficients.
   *
   * @return their number
   */
  public int size() {
    return rest.length;
  }

  /**
   * All vectors.
   *
   * @return one after another; not to be changed (never null)
   */
  public float[] vectors() {
    return vectors;
  }

  /** Takes the channels apart out of a row. */
  void takeApart(float[] row, float[] values) {
    for (int i = 0; i < apart.length; i++) {
      values[i] = row[apart[i]];
    }
  }

  /** Puts the channels apart into a row. */
  void putApart(float[] values, float[] row) {
    for (int i = 0; i < apart.length; i++) {
      row[apart[i]] = values[i];
    }
  }

  /** Coefficients of a row's other channels. */
  void turn(float[] row, float[] coefficients) {
    int n = rest.length;
    float[] x = new float[n];
    for (int j = 0; j < n; j++) {
      x[j] = row[rest[j]];
    }
    for (int i = 0; i < n; i++) {
      int at = i * n;
      // Four sums: one alone waits for itself.
      float a = 0;
      float b = 0;
      float c = 0;
      float d = 0;
      int j = 0;
      for (; j + 3 < n; j += 4) {
        a += vectors[at + j] * x[j];
        b += vectors[at + j + 1] * x[j + 1];
        c += vectors[at + j + 2] * x[j + 2];
        d += vectors[at + j + 3] * x[j + 3];
      }
      for (; j < n; j++) {
        a += vectors[at + j] * x[j];
      }
      coefficients[i] = a + b + (c + d);
    }
  }

  /** A row's other channels from coefficients; those that are 0 count for nothing. */
  void restore(float[] coefficients, float[] row) {
    int n = rest.length;
    float[] x = new float[n];
    for (int i = 0; i < n; i++) {
      float value = coefficients[i];
      if (value == 0) {
        continue;
      }
      int at = i * n;
      for (int j = 0; j < n; j++) {
        x[j] += value * vectors[at + j];
      }
    }
    for (int j = 0; j < n; j++) {
      row[rest[j]] = x[j];
    }
  }
}
