package io.github.llmmobile.cli.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LowRankTest {
  @BeforeAll
  static void prepare() {
    LinearAlgebra.prepare(1);
  }

  static Matrix random(int rows, int cols, int seed) {
    Random random = new Random(seed);
    double[] data = new double[rows * cols];
    for (int i = 0; i < data.length; i++) {
      data[i] = random.nextGaussian();
    }
    return new Matrix(rows, cols, data);
  }

  /** The moment of inputs a few directions of which are far larger than the others. */
  static Matrix moment(int n, int seed) {
    Matrix x = random(n, 2 * n, seed);
    for (int r = 0; r < n; r++) {
      for (int c = 0; c < 2 * n; c++) {
        x.data()[r * 2 * n + c] *= r % 7 == 0 ? 10 : 0.3;
      }
    }
    Matrix turned = LinearAlgebra.product(LinearAlgebra.eigen(symmetric(n, seed + 1)).vectors(), x);
    return LinearAlgebra.productTransposed(turned, turned);
  }

  private static Matrix symmetric(int n, int seed) {
    Matrix m = random(n, n, seed);
    return LinearAlgebra.productTransposed(m, m);
  }

  private static double largest(Matrix a, Matrix b) {
    double most = 0;
    for (int i = 0; i < a.data().length; i++) {
      most = Math.max(most, Math.abs(a.data()[i] - b.data()[i]));
    }
    return most;
  }

  @Test
  void eigenvaluesComeInOrderAndMakeTheMatrix() {
    Matrix s = symmetric(9, 1);
    LinearAlgebra.Eigen eigen = LinearAlgebra.eigen(s);
    double[] sum = new double[81];
    for (int k = 0; k < 9; k++) {
      assertTrue(k == 0 || eigen.values()[k] <= eigen.values()[k - 1]);
      for (int i = 0; i < 81; i++) {
        sum[i] += eigen.values()[k] * eigen.vectors().at(k, i / 9) * eigen.vectors().at(k, i % 9);
      }
    }
    assertArrayEquals(s.data(), sum, 1e-9);
  }

  @Test
  void theLeftFactorMakesGoodWhatRoundingTheRightOneLost() {
    Matrix w = random(40, 24, 5);
    Matrix moment = moment(24, 6);
    LowRank factors = LowRank.nearest(w, moment, 8);
    assertTrue(largest(factors.b(), LowRank.nearestLeft(w, moment, factors.a())) < 1e-6);
    double[] coarse = factors.a().data().clone();
    for (int i = 0; i < coarse.length; i++) {
      coarse[i] = Math.rint(coarse[i] * 4) / 4;
    }
    Matrix a = new Matrix(8, 24, coarse);
    double before = error(w, factors.b(), a, moment);
    double after = error(w, LowRank.nearestLeft(w, moment, a), a, moment);
    assertTrue(factors.lossAt(8) <= after && after < 0.9 * before, () -> factors.lossAt(8) + ", " + after + ", " + before);
  }

  private static double error(Matrix w, Matrix b, Matrix a, Matrix moment) {
    return LinearAlgebra.energy(w.minus(LinearAlgebra.product(b, a)), moment);
  }

  @ParameterizedTest
  @CsvSource({"40, 24", "24, 40", "32, 32"})
  void fullRankIsTheMatrix(int rows, int cols) {
    Matrix w = random(rows, cols, 2);
    LowRank factors = LowRank.nearest(w, moment(cols, 3), Math.min(rows, cols));
    assertTrue(largest(w, factors.product()) < 1e-4, () -> "off by " + largest(w, factors.product()));
    assertEquals(0, factors.lossAt(Math.min(rows, cols)), 1e-6 * factors.energy());
  }

  @ParameterizedTest
  @CsvSource({"40, 24", "24, 40"})
  void itsLossIsWhatItSays(int rows, int cols) {
    Matrix w = random(rows, cols, 4);
    Matrix s = moment(cols, 5);
    LowRank factors = LowRank.nearest(w, s, 6);
    double loss = LinearAlgebra.energy(w.minus(factors.product()), s);
    assertEquals(loss, factors.lossAt(6), 1e-6 * loss);
    assertEquals(LinearAlgebra.energy(w, s), factors.energy(), 1e-6 * factors.energy());
  }

  @Test
  void knowingTheInputsBeatsNotKnowingThemWhereItCounts() {
    Matrix w = random(40, 24, 6);
    Matrix s = moment(24, 7);
    Matrix plain = LowRank.nearest(w, LinearAlgebra.identity(24), 5).product();
    Matrix known = LowRank.nearest(w, s, 5).product();
    double plainLoss = LinearAlgebra.energy(w.minus(plain), s);
    double knownLoss = LinearAlgebra.energy(w.minus(known), s);
    assertTrue(knownLoss < 0.8 * plainLoss, knownLoss + " and " + plainLoss);
    // In the plain norm it is the other way round.
    Matrix one = LinearAlgebra.identity(24);
    assertTrue(LinearAlgebra.energy(w.minus(plain), one) < LinearAlgebra.energy(w.minus(known), one));
  }

  @Test
  void nothingOfThatRankIsNearer() {
    Matrix w = random(16, 12, 8);
    Matrix s = moment(12, 9);
    LowRank best = LowRank.nearest(w, s, 3);
    for (int seed = 0; seed < 20; seed++) {
      Matrix b = best.b().minus(scaled(random(16, 3, 100 + seed), 1e-2));
      Matrix a = best.a().minus(scaled(random(3, 12, 200 + seed), 1e-2));
      assertTrue(LinearAlgebra.energy(w.minus(LinearAlgebra.product(b, a)), s) > best.lossAt(3));
    }
  }

  private static Matrix scaled(Matrix m, double factor) {
    for (int i = 0; i < m.data().length; i++) {
      m.data()[i] *= factor;
    }
    return m;
  }

  @Test
  void smallerRanksAreTheFirstColumns() {
    Matrix w = random(20, 30, 10);
    Matrix s = moment(30, 11);
    LowRank large = LowRank.nearest(w, s, 12);
    for (int rank = 1; rank < 12; rank++) {
      Matrix small = LowRank.nearest(w, s, rank).product();
      assertTrue(largest(small, large.first(rank).product()) < 1e-6);
      assertEquals(large.lossAt(rank), LinearAlgebra.energy(w.minus(small), s), 1e-6 * large.energy());
      assertTrue(large.lossAt(rank) <= large.lossAt(rank - 1));
    }
    assertEquals(12, large.rank());
  }

  @Test
  void inputsThatStayInASubspaceDoNoHarm() {
    Matrix x = random(24, 4, 12);
    Matrix s = LinearAlgebra.productTransposed(x, x);
    Matrix w = random(40, 24, 13);
    LowRank factors = LowRank.nearest(w, s, 4);
    assertTrue(LinearAlgebra.energy(w.minus(factors.product()), s) < 1e-9 * factors.energy());
    for (LowRank more : new LowRank[] {LowRank.nearest(w, s, 20), LowRank.nearest(w, new Matrix(24, 24, new double[576]), 3)}) {
      for (double number : more.product().data()) {
        assertTrue(Double.isFinite(number));
      }
    }
  }

  @Test
  void ranksThatDoNotExistAreRefused() {
    Matrix w = random(4, 6, 14);
    for (int rank : new int[] {0, -1, 5}) {
      assertThrows(IllegalArgumentException.class, () -> LowRank.nearest(w, LinearAlgebra.identity(6), rank));
    }
  }
}
