package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import java.util.Arrays;

/**
 * The affine map of low rank that is nearest to a part: to a residual stream of root mean square m it adds
 * {@code mean + up^T (down (x / m) - shift)}. Rows come in the order of what they explain, so that the first r of them
 * are the nearest map of rank r (reduced-rank regression, Izenman 1975).
 *
 * @param down rank by width
 * @param up rank by width
 * @param shift one number per rank
 * @param mean one number per column
 * @param explained share of the variance of what the part adds that the first 1, 2, ... ranks explain
 */
public record StandIn(Matrix down, Matrix up, double[] shift, double[] mean, double[] explained) {
  /** Of the median variance of an input: what keeps directions that hardly occur from getting great factors. */
  private static final double RIDGE = 0.01;

  /** The map of a rank, at most the width. */
  static StandIn fit(PartMoments moments, int rank) {
    Matrix covariance = moments.inputCovariance();
    Matrix cross = moments.crossCovariance();
    int width = moments.width();
    double ridge = RIDGE * Math.max(median(covariance), Double.MIN_NORMAL);
    for (int i = 0; i < width; i++) {
      covariance.data()[i * width + i] += ridge;
    }
    // W^T = (S + ridge)^-1 C^T; the best directions of the outputs are the first eigenvectors of W (S + ridge) W^T = C W^T.
    Matrix fullTransposed = LinearAlgebra.solve(covariance, cross.transposed());
    LinearAlgebra.Eigen eigen =
        LinearAlgebra.eigen(LinearAlgebra.symmetric(LinearAlgebra.product(cross, fullTransposed)));
    Matrix up = eigen.vectors().head(rank);
    Matrix down = LinearAlgebra.product(up, fullTransposed.transposed());
    double[] meanInput = moments.meanInput();
    double[] shift = new double[rank];
    double[] explained = new double[rank];
    double variance = moments.outputVariance();
    double sum = 0;
    for (int r = 0; r < rank; r++) {
      for (int i = 0; i < width; i++) {
        shift[r] += down.at(r, i) * meanInput[i];
      }
      sum += Math.max(0, eigen.values()[r]);
      explained[r] = variance > 0 ? Math.min(1, sum / variance) : 1;
    }
    return new StandIn(down, up, shift, moments.meanOutput(), explained);
  }

  private static double median(Matrix covariance) {
    double[] diagonal = new double[covariance.rows()];
    Arrays.setAll(diagonal, i -> covariance.at(i, i));
    Arrays.sort(diagonal);
    return diagonal[diagonal.length / 2];
  }

  /**
   * The greatest rank.
   *
   * @return at least 1
   */
  public int rank() {
    return down.rows();
  }

  /**
   * The factor that reads, as a session takes it.
   *
   * @param rank how many ranks
   * @return [width][rank] (never null)
   */
  public float[] downOf(int rank) {
    return rank == 0 ? new float[0] : down.head(rank).transposed().toFloats();
  }

  /**
   * The factor that writes.
   *
   * @param rank how many ranks
   * @return [rank][width] (never null)
   */
  public float[] upOf(int rank) {
    return rank == 0 ? new float[0] : up.head(rank).toFloats();
  }

  /**
   * What is added whatever the stream is.
   *
   * @param rank how many ranks
   * @return [width] (never null)
   */
  public float[] biasOf(int rank) {
    float[] bias = new float[mean.length];
    for (int i = 0; i < bias.length; i++) {
      double sum = mean[i];
      for (int r = 0; r < rank; r++) {
        sum -= up.at(r, i) * shift[r];
      }
      bias[i] = (float) sum;
    }
    return bias;
  }
}
