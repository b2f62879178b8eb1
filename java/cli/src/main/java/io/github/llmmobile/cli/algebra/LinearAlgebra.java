package io.github.llmmobile.cli.algebra;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.util.Arrays;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.openblas.global.openblas;

/** Products and eigenvalues, by OpenBLAS. */
public final class LinearAlgebra {
  private LinearAlgebra() {}

  /**
   * Eigenvalues of a symmetric matrix, the largest first, and their vectors as rows.
   *
   * @param values the eigenvalues
   * @param vectors one row each, of length 1 and at right angles to each other
   */
  public record Eigen(double[] values, Matrix vectors) {}

  /**
   * Loads OpenBLAS and says how many threads it may use.
   *
   * @param threads 1 or more
   * @throws LlmException NATIVE_LIBRARY if there is none for this platform
   */
  public static void prepare(int threads) {
    try {
      openblas.blas_set_num_threads(threads);
    } catch (LinkageError e) {
      throw new LlmException(ErrorCode.NATIVE_LIBRARY, "OpenBLAS cannot be loaded on this platform: " + e.getMessage(),
          e);
    }
  }

  /**
   * a b.
   *
   * @param a left (required)
   * @param b right (required)
   * @return the product (never null)
   */
  public static Matrix product(Matrix a, Matrix b) {
    return product(a, false, b, false);
  }

  /**
   * a b^T.
   *
   * @param a left (required)
   * @param b right (required)
   * @return the product (never null)
   */
  public static Matrix productTransposed(Matrix a, Matrix b) {
    return product(a, false, b, true);
  }

  private static Matrix product(Matrix a, boolean turnA, Matrix b, boolean turnB) {
    int rows = turnA ? a.cols() : a.rows();
    int inner = turnA ? a.rows() : a.cols();
    int cols = turnB ? b.rows() : b.cols();
    if (inner != (turnB ? b.cols() : b.rows())) {
      throw new IllegalArgumentException("a product of " + a.rows() + " x " + a.cols() + " and " + b.rows() + " x "
          + b.cols());
    }
    double[] result = new double[Math.multiplyExact(rows, cols)];
    openblas.cblas_dgemm(openblas.CblasRowMajor, turn(turnA), turn(turnB), rows, cols, inner, 1, a.data(), a.cols(),
        b.data(), b.cols(), 0, result, cols);
    return new Matrix(rows, cols, result);
  }

  private static int turn(boolean turned) {
    return turned ? openblas.CblasTrans : openblas.CblasNoTrans;
  }

  /**
   * The symmetric matrix nearest to one whose halves rounding has left apart.
   *
   * @param m a square matrix (required)
   * @return the mean of it and its transposed (never null)
   */
  public static Matrix symmetric(Matrix m) {
    int n = m.rows();
    double[] data = m.data().clone();
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < i; j++) {
        double mean = (data[i * n + j] + data[j * n + i]) / 2;
        data[i * n + j] = mean;
        data[j * n + i] = mean;
      }
    }
    return new Matrix(n, n, data);
  }

  /**
   * The eigenvalues and vectors of a symmetric matrix.
   *
   * @param symmetric the matrix (required)
   * @return both (never null)
   * @throws LlmException INTERNAL if they were not found
   */
  public static Eigen eigen(Matrix symmetric) {
    int n = symmetric.rows();
    double[] vectors = symmetric.data().clone();
    double[] ascending = new double[n];
    // Column-major: the vectors are columns there, hence rows here.
    int status = openblas.LAPACKE_dsyevd(openblas.LAPACK_COL_MAJOR, (byte) 'V', (byte) 'U', n, vectors, n, ascending);
    if (status != 0) {
      throw new LlmException(ErrorCode.INTERNAL, "the eigenvalues of a matrix of " + n + " x " + n
          + " were not found (LAPACK status " + status + ")");
    }
    double[] values = new double[n];
    double[] sorted = new double[vectors.length];
    for (int i = 0; i < n; i++) {
      values[i] = ascending[n - 1 - i];
      System.arraycopy(vectors, (n - 1 - i) * n, sorted, i * n, n);
    }
    return new Eigen(values, new Matrix(n, n, sorted));
  }

  /**
   * The upper triangle U with U^T U = S^-1; what is below the diagonal means nothing.
   *
   * @param symmetric S, positive definite (required)
   * @return U (never null)
   * @throws LlmException INTERNAL if the matrix is not positive definite
   */
  public static Matrix inverseRoot(Matrix symmetric) {
    int n = symmetric.rows();
    double[] data = symmetric.data().clone();
    // The lower triangle in columns is the upper one in rows.
    int status = openblas.LAPACKE_dpotrf(openblas.LAPACK_COL_MAJOR, (byte) 'L', n, data, n);
    if (status == 0) {
      status = openblas.LAPACKE_dpotri(openblas.LAPACK_COL_MAJOR, (byte) 'L', n, data, n);
    }
    if (status == 0) {
      status = openblas.LAPACKE_dpotrf(openblas.LAPACK_COL_MAJOR, (byte) 'L', n, data, n);
    }
    if (status != 0) {
      throw new LlmException(ErrorCode.INTERNAL, "a matrix of " + n + " x " + n + " is not positive definite (LAPACK"
          + " status " + status + ")");
    }
    return new Matrix(n, n, data);
  }

  /**
   * S^-1 b.
   *
   * @param symmetric S, positive definite (required)
   * @param b as many rows (required)
   * @return the solution, of the shape of b (never null)
   * @throws LlmException INTERNAL if the matrix is not positive definite
   */
  public static Matrix solve(Matrix symmetric, Matrix b) {
    double[] factor = symmetric.data().clone();
    double[] solution = b.data().clone();
    int status = openblas.LAPACKE_dposv(openblas.LAPACK_ROW_MAJOR, (byte) 'L', symmetric.rows(), b.cols(), factor,
        symmetric.cols(), solution, b.cols());
    if (status != 0) {
      throw new LlmException(ErrorCode.INTERNAL, "a matrix of " + symmetric.rows() + " x " + symmetric.cols()
          + " is not positive definite (LAPACK status " + status + ")");
    }
    return new Matrix(b.rows(), b.cols(), solution);
  }

  /**
   * A symmetric matrix with a share of the mean of its diagonal added to that, so that {@link #solve} takes it whatever
   * subspace the inputs lie in.
   *
   * @param symmetric S (required)
   * @param share of the mean
   * @return another matrix (never null)
   */
  public static Matrix damped(Matrix symmetric, double share) {
    int n = symmetric.rows();
    double[] data = symmetric.data().clone();
    double trace = 0;
    for (int i = 0; i < n; i++) {
      trace += data[i * n + i];
    }
    double more = Math.max(share * trace / n, Double.MIN_NORMAL);
    for (int i = 0; i < n; i++) {
      data[i * n + i] += more;
    }
    return new Matrix(n, n, data);
  }

  /**
   * Takes a b away from the columns of c that begin with one.
   *
   * @param c what is changed (required)
   * @param firstCol the first column that is
   * @param a left (required)
   * @param b right, somewhere in an array (required)
   * @param bFrom where it begins
   * @param bStride from one of its rows to the next
   */
  public static void subtractProduct(Matrix c, int firstCol, Matrix a, double[] b, int bFrom, int bStride) {
    int cols = c.cols() - firstCol;
    try (DoublePointer target = new DoublePointer(c.data()); DoublePointer right = new DoublePointer(b);
        DoublePointer left = new DoublePointer(a.data())) {
      openblas.cblas_dgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasNoTrans, c.rows(), cols,
          a.cols(), -1, left, a.cols(), right.getPointer(bFrom), bStride, 1, target.getPointer(firstCol), c.cols());
      target.get(c.data());
    }
  }

  /**
   * x^T S x summed over the rows x of a matrix: the squared length of what it makes of inputs with this moment.
   *
   * @param m the matrix (required)
   * @param moment S (required)
   * @return the sum
   */
  public static double energy(Matrix m, Matrix moment) {
    Matrix weighted = product(m, moment);
    double sum = 0;
    for (int i = 0; i < weighted.data().length; i++) {
      sum += weighted.data()[i] * m.data()[i];
    }
    return sum;
  }

  /**
   * The matrix with ones in its diagonal, as the moment of inputs nothing is known of.
   *
   * @param n rows
   * @return the matrix (never null)
   */
  public static Matrix identity(int n) {
    double[] data = new double[n * n];
    Arrays.setAll(data, i -> i % (n + 1) == 0 ? 1 : 0);
    return new Matrix(n, n, data);
  }
}
