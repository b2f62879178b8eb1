package io.github.llmmobile.cli.calibrate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class StandInsTest {
  private static final int WIDTH = 12;
  private static final int TRUE_RANK = 3;
  private static final int[] TEXT = new int[700];

  private final double[][] down = random(TRUE_RANK, WIDTH, 5);
  private final double[][] up = random(TRUE_RANK, WIDTH, 6);
  private final double[] bias = random(1, WIDTH, 7)[0];
  private final Random noise = new Random(8);

  @BeforeAll
  static void load() {
    LinearAlgebra.prepare(1);
  }

  private static double[][] random(int rows, int cols, long seed) {
    Random random = new Random(seed);
    double[][] values = new double[rows][cols];
    for (double[] row : values) {
      for (int i = 0; i < cols; i++) {
        row[i] = random.nextGaussian();
      }
    }
    return values;
  }

  /** What the part of the tests adds: an affine map of a low rank of the normalised stream, the second rank weaker. */
  private double[] truth(double[] x, int rank) {
    double square = 0;
    for (double value : x) {
      square += value * value;
    }
    double rms = Math.sqrt(square / WIDTH + 1e-6);
    double[] y = bias.clone();
    for (int r = 0; r < rank; r++) {
      double code = 0;
      for (int i = 0; i < WIDTH; i++) {
        code += down[r][i] * x[i] / rms;
      }
      for (int i = 0; i < WIDTH; i++) {
        y[i] += up[r][i] * code;
      }
    }
    return y;
  }

  /** Place 4 is noise of some scale; part 4 is the map, part 5 adds a constant. */
  private final Residuals model = (tokens, places, rows) -> {
    double[][] x = new double[tokens.length][WIDTH];
    for (double[] row : x) {
      double scale = 1 + 3 * noise.nextDouble();
      for (int i = 0; i < WIDTH; i++) {
        row[i] = scale * (noise.nextGaussian() + (i == 0 ? 2 : 0));
      }
    }
    for (int place : places) {
      for (double[] row : x) {
        double[] added = place == 4 ? new double[WIDTH] : truth(row, TRUE_RANK);
        for (int i = 0; i < WIDTH; i++) {
          rows.put((float) (row[i] + added[i] + (place == 6 ? i : 0)));
        }
      }
    }
    rows.rewind();
  };

  private StandIns fit(int rank, long memory) {
    return StandIns.fit(model, new int[] {4, 5}, WIDTH, rank, TEXT, 256, memory, (what, fraction) ->
        assertTrue(fraction >= 0 && fraction <= 1, what + " " + fraction));
  }

  private double error(StandIn standIn, int rank) {
    float[] d = standIn.downOf(rank);
    float[] u = standIn.upOf(rank);
    float[] b = standIn.biasOf(rank);
    double sum = 0;
    double all = 0;
    Random random = new Random(9);
    for (int sample = 0; sample < 200; sample++) {
      double[] x = new double[WIDTH];
      double square = 0;
      for (int i = 0; i < WIDTH; i++) {
        x[i] = random.nextGaussian() + (i == 0 ? 2 : 0);
        square += x[i] * x[i];
      }
      double rms = Math.sqrt(square / WIDTH + 1e-6);
      double[] y = truth(x, TRUE_RANK);
      for (int i = 0; i < WIDTH; i++) {
        double value = b[i];
        for (int r = 0; r < rank; r++) {
          double code = 0;
          for (int j = 0; j < WIDTH; j++) {
            code += d[j * rank + r] * x[j] / rms;
          }
          value += u[r * WIDTH + i] * code;
        }
        sum += (value - y[i]) * (value - y[i]);
        all += y[i] * y[i];
      }
    }
    return sum / all;
  }

  @Test
  void theStandInIsThePartWhereThatHasItsRank() {
    StandIn standIn = fit(TRUE_RANK, 1 << 20).of(4);
    assertEquals(TRUE_RANK, standIn.rank());
    assertTrue(error(standIn, TRUE_RANK) < 1e-3, () -> "error " + error(standIn, TRUE_RANK));
    assertTrue(standIn.explained()[TRUE_RANK - 1] > 0.99);
  }

  @Test
  void fewerRanksExplainLessInOrder() {
    StandIn standIn = fit(WIDTH, 1 << 20).of(4);
    double before = Double.POSITIVE_INFINITY;
    for (int rank = 0; rank <= TRUE_RANK; rank++) {
      double error = error(standIn, rank);
      assertTrue(error < before, rank + ": " + error + " after " + before);
      before = error;
    }
    for (int i = 1; i < WIDTH; i++) {
      assertTrue(standIn.explained()[i] >= standIn.explained()[i - 1]);
    }
  }

  @Test
  void aConstantPartHasAConstantStandIn() {
    StandIns standIns = fit(2, 1 << 20);
    float[] constant = standIns.of(5).biasOf(0);
    for (int i = 0; i < WIDTH; i++) {
      assertEquals(i, constant[i], 1e-3);
    }
    assertTrue(standIns.blockInfluence(5) > 0 && standIns.blockInfluence(5) < 1);
    assertThrows(IllegalArgumentException.class, () -> standIns.of(6));
  }

  @Test
  void littleMemoryTakesSeveralReadings() {
    StandIn standIn = fit(TRUE_RANK, 1).of(4);
    assertTrue(error(standIn, TRUE_RANK) < 1e-3, () -> "error " + error(standIn, TRUE_RANK));
  }
}
