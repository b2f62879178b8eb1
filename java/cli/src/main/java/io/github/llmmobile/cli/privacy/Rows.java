package io.github.llmmobile.cli.privacy;

import io.github.llmmobile.edge.RowFormat;
import java.nio.FloatBuffer;

/** Rows one after another in an array. */
final class Rows {
  private Rows() {}

  /** Rows as they arrive. */
  static float[] sent(RowFormat format, float[] rows) {
    FloatBuffer arrived = FloatBuffer.allocate(rows.length);
    format.decode(format.encode(FloatBuffer.wrap(rows)), arrived);
    return arrived.array();
  }

  /** Gives a row the length 1. */
  static void normalise(float[] rows, int at, int width) {
    double squares = Double.MIN_NORMAL;
    for (int i = at; i < at + width; i++) {
      squares += (double) rows[i] * rows[i];
    }
    float scale = (float) (1 / Math.sqrt(squares));
    for (int i = at; i < at + width; i++) {
      rows[i] *= scale;
    }
  }

  /** The squared distance between a row and another one. */
  static double distance(float[] rows, int at, float[] other) {
    double sum = 0;
    for (int i = 0; i < other.length; i++) {
      double difference = (double) rows[at + i] - other[i];
      sum += difference * difference;
    }
    return sum;
  }
}
