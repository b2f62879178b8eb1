package io.github.llmmobile.edge;

import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/** Bases of no particular merit: random vectors at right angles. */
final class TinyBasis {
  static final int[] APART = {3, 59};

  private TinyBasis() {}

  /** Vectors for all channels but two. */
  static float[] vectors(int width, long seed) {
    int size = width - 2;
    Random random = new Random(seed);
    double[][] vectors = new double[size][size];
    for (int i = 0; i < size; i++) {
      for (int j = 0; j < size; j++) {
        vectors[i][j] = random.nextGaussian();
      }
      for (int k = 0; k < i; k++) {
        double inner = 0;
        for (int j = 0; j < size; j++) {
          inner += vectors[i][j] * vectors[k][j];
        }
        for (int j = 0; j < size; j++) {
          vectors[i][j] -= inner * vectors[k][j];
        }
      }
      double squares = 0;
      for (double value : vectors[i]) {
        squares += value * value;
      }
      for (int j = 0; j < size; j++) {
        vectors[i][j] /= Math.sqrt(squares);
      }
    }
    float[] flat = new float[size * size];
    for (int i = 0; i < flat.length; i++) {
      flat[i] = (float) vectors[i / size][i % size];
    }
    return flat;
  }

  /** Writes a basis of the deep tiny model for splits 2 and 3. */
  static RowBasis write(Path file, long seed) {
    Map<Integer, RowBasis.Axes> axes = new TreeMap<>();
    for (int split : new int[] {2, 3}) {
      axes.put(split,
          new RowBasis.Axes(APART, vectors(TinyModels.deepModel().info().embedding(), seed + split)));
    }
    RowBasis.write(file, TinyModels.deepModel().info(), "tiny", axes, "{}");
    return RowBasis.read(file);
  }
}
