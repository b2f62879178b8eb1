package io.github.llmmobile.cli.compress;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.gguf.GgufTensor;

/** Second moments of a calibration as matrices, checked. */
final class Moments {
  private final Calibration calibration;

  Moments(Calibration calibration) {
    this.calibration = calibration;
  }

  Matrix of(GgufTensor weight) {
    double[] moment = calibration.secondMoment(weight.name());
    int n = Math.toIntExact(weight.shape().get(0));
    if (moment.length != (long) n * n) {
      throw new LlmException(ErrorCode.INTERNAL, "the inputs of " + weight + " were measured with "
          + moment.length + " numbers");
    }
    for (double number : moment) {
      if (!Double.isFinite(number)) {
        throw new LlmException(ErrorCode.NOT_AVAILABLE, "the inputs of " + weight.name() + " are not finite");
      }
    }
    return new Matrix(n, n, moment);
  }
}
