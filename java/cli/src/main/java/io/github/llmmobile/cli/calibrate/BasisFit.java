package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.cli.compress.Work;
import io.github.llmmobile.edge.RowBasis;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.bytedeco.openblas.global.openblas;

/**
 * Coordinates for the rows at a split: the largest channels apart, the others on the eigenvectors of their second moment,
 * each row divided by its root mean square.
 */
public final class BasisFit {
  /** Of so many channels one stays apart. */
  private static final int WIDTH_PER_CHANNEL = 96;
  private static final double READING = 0.9;

  private final int width;
  private final int[] apart;
  private final int[] rest;
  private final float[] moment;

  private BasisFit(float[] rows, int width) {
    this.width = width;
    double[] squares = new double[width];
    for (int begin = 0; begin < rows.length; begin += width) {
      double row = Double.MIN_NORMAL;
      for (int i = 0; i < width; i++) {
        row += (double) rows[begin + i] * rows[begin + i];
      }
      for (int i = 0; i < width; i++) {
        squares[i] += (double) rows[begin + i] * rows[begin + i] / row;
      }
    }
    apart = IntStream.range(0, width).boxed().sorted(Comparator.comparingDouble((Integer i) -> -squares[i]))
        .limit(Math.max(1, width / WIDTH_PER_CHANNEL)).mapToInt(Integer::intValue).sorted().toArray();
    rest = IntStream.range(0, width).filter(i -> Arrays.binarySearch(apart, i) < 0).toArray();
    moment = new float[Math.multiplyExact(rest.length, rest.length)];
  }

  /**
   * Fits coordinates to a text.
   *
   * @param model shows its residual stream (required)
   * @param splits numbers of the first layers of a worker's part (required)
   * @param width of a row, at least 2
   * @param tokens the text (required)
   * @param windowTokens that the model reads at once
   * @param work hears of each step (required)
   * @return coordinates by split (never null)
   */
  public static Map<Integer, RowBasis.Axes> fit(Residuals model, List<Integer> splits, int width, int[] tokens,
      int windowTokens, Work work) {
    Map<Integer, BasisFit> fits = new TreeMap<>();
    // The first window tells which channels are the largest.
    SplitRows.read(model, splits, width, tokens, windowTokens, (split, from, count, rows) ->
        fits.computeIfAbsent(split, first -> new BasisFit(rows, width)).add(rows, count),
        fraction -> work.onStep("reading", READING * fraction));
    Map<Integer, RowBasis.Axes> axes = new TreeMap<>();
    fits.forEach((split, fit) -> {
      work.onStep("basis of layer " + split, READING + (1 - READING) * axes.size() / fits.size());
      axes.put(split, fit.axes());
    });
    return axes;
  }

  private void add(float[] rows, int count) {
    int n = rest.length;
    float[] inner = new float[count * n];
    for (int r = 0; r < count; r++) {
      double squares = Double.MIN_NORMAL;
      for (int i = 0; i < n; i++) {
        float value = rows[r * width + rest[i]];
        inner[r * n + i] = value;
        squares += (double) value * value;
      }
      // A few rows, such as the first, are many times as long as the others, and would be all that there is to see.
      float scale = (float) (1 / Math.sqrt(squares / n));
      for (int i = r * n; i < (r + 1) * n; i++) {
        inner[i] *= scale;
      }
    }
    openblas.cblas_ssyrk(openblas.CblasColMajor, openblas.CblasUpper, openblas.CblasNoTrans, n, count, 1, inner, n, 1,
        moment, n);
  }

  private RowBasis.Axes axes() {
    double[] sums = new double[moment.length];
    Arrays.setAll(sums, i -> moment[i]);
    // Column-major, and of a symmetric matrix the upper triangle: what eigenvalues are found from.
    Matrix vectors = LinearAlgebra.eigen(new Matrix(rest.length, rest.length, sums)).vectors();
    return new RowBasis.Axes(apart, vectors.toFloats());
  }
}
