package io.github.llmmobile.cli.calibrate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PredictionTest {
  private final Prediction even = new Prediction(new float[] {3, 3, 3, 3});
  /** Probabilities 1/2, 1/4, 1/8, 1/8. */
  private final Prediction uneven = new Prediction(new float[] {log2(1), log2(3), log2(2), log2(1)});

  private static float log2(int doublings) {
    return (float) (doublings * Math.log(2));
  }

  @Test
  void entropyAndProbabilities() {
    assertEquals(Math.log(4), even.entropy(), 1e-6);
    assertEquals(1.75 * Math.log(2), uneven.entropy(), 1e-6);
    assertEquals(0.5, uneven.first(), 1e-6);
    assertEquals(0.25, uneven.second(), 1e-6);
    assertEquals(0.25, even.second(), 1e-6);
    assertEquals(3 * Math.log(2), uneven.surprise(3), 1e-6);
  }

  @Test
  void divergenceIsThatOfTheOtherFromThis() {
    assertEquals(0, uneven.divergence(uneven), 1e-9);
    assertEquals(0.25 * Math.log(2), even.divergence(uneven) , 1e-6);
    assertEquals(0.25 * Math.log(2), uneven.divergence(even), 1e-6);
  }
}
