package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.algebra.Matrix;
import java.nio.FloatBuffer;
import java.util.Arrays;
import org.bytedeco.openblas.global.openblas;

/**
 * What is summed up about one part while a model reads: x is the residual stream before it, divided by its root mean
 * square, y what the part adds.
 */
final class PartMoments {
  /** As in the native stand-in. */
  private static final double EPSILON = 1e-6;

  private final int width;
  private final float[] xx;
  private final float[] yx;
  private final double[] x;
  private final double[] y;
  private double yy;
  private double cosines;
  private long count;

  PartMoments(int width) {
    this.width = width;
    xx = new float[Math.multiplyExact(width, width)];
    yx = new float[xx.length];
    x = new double[width];
    y = new double[width];
  }

  /** Bytes that one of them takes. */
  static long bytes(long width) {
    return 2 * width * width * Float.BYTES;
  }

  /** Adds the rows before and after the part, {@code rows} of each. */
  void add(FloatBuffer before, FloatBuffer after, int rows) {
    float[] inputs = new float[rows * width];
    float[] outputs = new float[rows * width];
    before.get(inputs);
    after.get(outputs);
    for (int r = 0; r < rows; r++) {
      addRow(inputs, outputs, r * width);
    }
    openblas.cblas_ssyrk(openblas.CblasRowMajor, openblas.CblasUpper, openblas.CblasTrans, width, rows, 1, inputs, width,
        1, xx, width);
    openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasTrans, openblas.CblasNoTrans, width, width, rows, 1,
        outputs, width, inputs, width, 1, yx, width);
    count += rows;
  }

  /** Turns a row before into x and one after into y. */
  private void addRow(float[] inputs, float[] outputs, int at) {
    double inner = 0;
    double inputSquares = 0;
    double outputSquares = 0;
    for (int i = at; i < at + width; i++) {
      inner += (double) inputs[i] * outputs[i];
      inputSquares += (double) inputs[i] * inputs[i];
      outputSquares += (double) outputs[i] * outputs[i];
    }
    cosines += inner / Math.sqrt(Math.max(Double.MIN_NORMAL, inputSquares * outputSquares));
    float scale = (float) (1 / Math.sqrt(inputSquares / width + EPSILON));
    for (int i = 0; i < width; i++) {
      outputs[at + i] -= inputs[at + i];
      inputs[at + i] *= scale;
      x[i] += inputs[at + i];
      y[i] += outputs[at + i];
      yy += (double) outputs[at + i] * outputs[at + i];
    }
  }

  int width() {
    return width;
  }

  /** One minus the mean cosine between the stream before and after (Block Influence, ShortGPT, arXiv 2403.03853). */
  double blockInfluence() {
    return 1 - cosines / count;
  }

  /** Mean of x. */
  double[] meanInput() {
    return Arrays.stream(x).map(sum -> sum / count).toArray();
  }

  /** Mean of y. */
  double[] meanOutput() {
    return Arrays.stream(y).map(sum -> sum / count).toArray();
  }

  /** Covariance of x. */
  Matrix inputCovariance() {
    double[] mean = meanInput();
    double[] values = new double[width * width];
    for (int i = 0; i < width; i++) {
      for (int j = i; j < width; j++) {
        double value = xx[i * width + j] / (double) count - mean[i] * mean[j];
        values[i * width + j] = value;
        values[j * width + i] = value;
      }
    }
    return new Matrix(width, width, values);
  }

  /** Covariance of y (rows) with x (columns). */
  Matrix crossCovariance() {
    double[] meanX = meanInput();
    double[] meanY = meanOutput();
    double[] values = new double[width * width];
    for (int i = 0; i < width; i++) {
      for (int j = 0; j < width; j++) {
        values[i * width + j] = yx[i * width + j] / (double) count - meanY[i] * meanX[j];
      }
    }
    return new Matrix(width, width, values);
  }

  /** Mean square of y about its mean, all coordinates together. */
  double outputVariance() {
    return yy / count - Arrays.stream(meanOutput()).map(mean -> mean * mean).sum();
  }
}
