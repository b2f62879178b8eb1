package io.github.llmmobile.cli.privacy;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import org.bytedeco.openblas.global.openblas;

/** The linear map that comes closest to leading from rows back to the embeddings of their tokens (ridge regression). */
final class RowInverter {
  /** Of the mean variance. */
  private static final double RIDGE = 1e-3;

  private final int width;
  private final float[] moment;
  private final float[] cross;

  RowInverter(int width) {
    this.width = width;
    moment = new float[Math.multiplyExact(width, width)];
    cross = new float[moment.length];
  }

  /** Learns from rows, each of which is divided by its length, and the embeddings of their tokens. */
  void learn(float[] rows, float[] embeddings) {
    float[] inputs = scaled(rows);
    int count = rows.length / width;
    add(inputs, inputs, count, moment);
    add(inputs, embeddings, count, cross);
  }

  private float[] scaled(float[] rows) {
    float[] scaled = rows.clone();
    for (int at = 0; at < scaled.length; at += width) {
      Rows.normalise(scaled, at, width);
    }
    return scaled;
  }

  private void add(float[] a, float[] b, int count, float[] sums) {
    openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasTrans, openblas.CblasNoTrans, width, width, count, 1, a,
        width, b, width, 1, sums, width);
  }

  /** What the rows' embeddings are taken for. */
  float[] invert(float[] rows) {
    Matrix variance = LinearAlgebra.symmetric(Matrix.of(width, width, moment));
    Matrix map = LinearAlgebra.solve(LinearAlgebra.damped(variance, RIDGE), Matrix.of(width, width, cross));
    return LinearAlgebra.product(Matrix.of(rows.length / width, width, scaled(rows)), map).toFloats();
  }
}
