package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class UncertaintyTest {
  private static final float[] LOGITS = logits(0.5, 0.25, 0.125, 0.125);

  private static float[] logits(double... probabilities) {
    float[] logits = new float[probabilities.length];
    for (int i = 0; i < logits.length; i++) {
      // A constant that softmax takes away again.
      logits[i] = (float) (Math.log(probabilities[i]) + 7);
    }
    return logits;
  }

  @Test
  void logitsGiveAllThree() {
    assertEquals(0.5, Uncertainty.TOP1.of(LOGITS), 1e-6);
    assertEquals(0.75, Uncertainty.MARGIN.of(LOGITS), 1e-6);
    assertEquals(1.75 / 2, Uncertainty.ENTROPY.of(LOGITS), 1e-6);
  }

  @Test
  void logProbabilitiesGiveTheSame() {
    assertEquals(0.5, Uncertainty.TOP1.of(Math.log(0.5), Math.log(0.25)), 1e-12);
    assertEquals(0.75, Uncertainty.MARGIN.of(Math.log(0.5), Math.log(0.25)), 1e-12);
    assertThrows(IllegalStateException.class, () -> Uncertainty.ENTROPY.of(-1, -2));
  }

  @Test
  void endsAreExact() {
    for (Uncertainty measure : Uncertainty.values()) {
      assertEquals(0, measure.of(new float[] {200, -200, -200}), 1e-9, measure.name());
    }
    assertEquals(1, Uncertainty.ENTROPY.of(new float[] {3, 3, 3, 3}), 1e-9);
    assertEquals(1, Uncertainty.MARGIN.of(new float[] {3, 3, 3, 3}), 1e-9);
    assertEquals(0, Uncertainty.MARGIN.of(0, Double.NEGATIVE_INFINITY), 1e-12);
  }

  @Test
  void forbiddenTokensDoNotSpoilTheEntropy() {
    assertEquals(Math.log(2) / Math.log(3),
        Uncertainty.ENTROPY.of(new float[] {1, 1, Float.NEGATIVE_INFINITY}), 1e-6);
  }
}
