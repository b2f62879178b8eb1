package io.github.llmmobile.cli.compress;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;

/**
 * The product B A of rank r that is nearest to a matrix W in what it makes of the inputs, |(W - B A) X|.
 *
 * <p>SVD-LLM (arXiv 2403.07378) and EoRA (arXiv 2410.21271) take the truncated singular value decomposition of W T with
 * T T^T = S = X X^T, a Cholesky factor the one and Q L^1/2 of the eigenvalues the other, and multiply the right factor by
 * T^-1. Both are U U^T W with U the first r left singular vectors of W T, and these are eigenvectors of
 * (W T)(W T)^T = W S W^T. So neither T nor its inverse is needed, and inputs that never leave a subspace do no harm.
 *
 * <p>Rows of A and columns of B go together and come in the order of their singular values: the first k of them are the
 * nearest product of rank k.
 */
final class LowRank {
  /** Of the mean variance; keeps inputs that lie in a subspace solvable. */
  private static final double RIDGE = 1e-9;

  private final Matrix a;
  private final Matrix b;
  private final double[] energies;

  private LowRank(Matrix a, Matrix b, double[] energies) {
    this.a = a;
    this.b = b;
    this.energies = energies;
  }

  /**
   * The nearest product.
   *
   * @param w the matrix, outputs by inputs
   * @param moment S, inputs by inputs
   * @param rank r, at most the smaller side of the matrix
   */
  static LowRank nearest(Matrix w, Matrix moment, int rank) {
    if (rank < 1 || rank > Math.min(w.rows(), w.cols())) {
      throw new IllegalArgumentException("rank " + rank + " of " + w.rows() + " x " + w.cols());
    }
    Matrix gram = LinearAlgebra.productTransposed(LinearAlgebra.product(w, moment), w);
    LinearAlgebra.Eigen eigen = LinearAlgebra.eigen(LinearAlgebra.symmetric(gram));
    Matrix u = eigen.vectors().head(rank);
    Matrix a = LinearAlgebra.product(u, w);
    // Both factors get numbers of the same size, which suits the narrow range of f16.
    double[] left = u.data().clone();
    double[] right = a.data();
    for (int i = 0; i < rank; i++) {
      double scale = Math.sqrt(rms(right, i * w.cols(), w.cols()) / rms(left, i * w.rows(), w.rows()));
      if (scale > 0 && Double.isFinite(scale)) {
        scale(left, i * w.rows(), w.rows(), scale);
        scale(right, i * w.cols(), w.cols(), 1 / scale);
      }
    }
    double[] energies = eigen.values().clone();
    for (int i = 0; i < energies.length; i++) {
      energies[i] = Math.max(0, energies[i]);
    }
    return new LowRank(new Matrix(rank, w.cols(), right), new Matrix(rank, w.rows(), left).transposed(), energies);
  }

  /**
   * The left factor that goes best with a right one, which may have been rounded: B = W S A^T (A S A^T)^-1.
   *
   * @param w the matrix, outputs by inputs
   * @param moment S, inputs by inputs
   * @param a the right factor, rank by inputs
   */
  static Matrix nearestLeft(Matrix w, Matrix moment, Matrix a) {
    Matrix seen = LinearAlgebra.product(a, moment);
    Matrix gram = LinearAlgebra.damped(LinearAlgebra.symmetric(LinearAlgebra.productTransposed(seen, a)), RIDGE);
    return LinearAlgebra.solve(gram, LinearAlgebra.productTransposed(seen, w)).transposed();
  }

  private static double rms(double[] values, int from, int count) {
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += values[i] * values[i];
    }
    return Math.sqrt(sum / count);
  }

  private static void scale(double[] values, int from, int count, double factor) {
    for (int i = from; i < from + count; i++) {
      values[i] *= factor;
    }
  }

  int rank() {
    return a.rows();
  }

  /** The factor that reads the inputs: rank by inputs. */
  Matrix a() {
    return a;
  }

  /** The factor that writes the outputs: outputs by rank. */
  Matrix b() {
    return b;
  }

  /** The squared length of W X. */
  double energy() {
    return lossAt(0);
  }

  /** The squared length of (W - B A) X with the first columns of B and rows of A only. */
  double lossAt(int rank) {
    double sum = 0;
    for (int i = energies.length - 1; i >= rank; i--) {
      sum += energies[i];
    }
    return sum;
  }

  /** The same with a smaller rank. */
  LowRank first(int rank) {
    Matrix narrow = b.transposed().head(rank).transposed();
    return new LowRank(a.head(rank), narrow, energies);
  }

  /** B A. */
  Matrix product() {
    return LinearAlgebra.product(b, a);
  }
}
