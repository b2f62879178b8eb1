package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/** A linear model of the logarithm of what a step costs, on standardised signs (ridge regression). */
final class RidgeRegression implements ToDoubleFunction<Step> {
  /** Times the number of steps and of signs: where they are many, most say nothing. */
  private static final double RIDGE = 0.0125;
  /** What costs less than that costs nothing, nats. */
  private static final double LEAST = 1e-4;

  private final Function<Step, double[]> signs;
  private final double[] mean;
  private final double[] deviation;
  private final double[] weights;

  private RidgeRegression(Function<Step, double[]> signs, double[] mean, double[] deviation, double[] weights) {
    this.signs = signs;
    this.mean = mean;
    this.deviation = deviation;
    this.weights = weights;
  }

  static RidgeRegression fit(List<Step> steps, Function<Step, double[]> signs) {
    int n = steps.size();
    int d = signs.apply(steps.get(0)).length;
    double[] mean = new double[d];
    double[] deviation = new double[d];
    Matrix rows = new Matrix(n, d, new double[n * d]);
    Matrix costs = new Matrix(n, 1, new double[n]);
    double meanCost = 0;
    for (int r = 0; r < n; r++) {
      System.arraycopy(signs.apply(steps.get(r)), 0, rows.data(), r * d, d);
      costs.data()[r] = Math.log(steps.get(r).divergence() + LEAST);
      meanCost += costs.data()[r] / n;
    }
    for (int c = 0; c < d; c++) {
      for (int r = 0; r < n; r++) {
        mean[c] += rows.at(r, c) / n;
      }
      double squares = 0;
      for (int r = 0; r < n; r++) {
        squares += Math.pow(rows.at(r, c) - mean[c], 2);
      }
      deviation[c] = Math.max(Math.sqrt(squares / n), 1e-9);
      for (int r = 0; r < n; r++) {
        rows.data()[r * d + c] = (rows.at(r, c) - mean[c]) / deviation[c];
      }
    }
    for (int r = 0; r < n; r++) {
      costs.data()[r] -= meanCost;
    }
    Matrix moment = LinearAlgebra.product(rows.transposed(), rows);
    for (int c = 0; c < d; c++) {
      moment.data()[c * d + c] += RIDGE * n * d;
    }
    double[] weights = LinearAlgebra.solve(moment, LinearAlgebra.product(rows.transposed(), costs)).data();
    return new RidgeRegression(signs, mean, deviation, weights);
  }

  @Override
  public double applyAsDouble(Step step) {
    double[] values = signs.apply(step);
    double sum = 0;
    for (int c = 0; c < weights.length; c++) {
      sum += weights[c] * (values[c] - mean[c]) / deviation[c];
    }
    return sum;
  }
}
