package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class StepDeadlineTest {
  private static final long MS = 1_000_000L;
  private final StepDeadline deadline = new StepDeadline();

  @Test
  void isThreeSecondsBeforeAnythingIsKnown() {
    assertEquals(3000 * MS, deadline.nanos());
    assertEquals(7 * MS, new StepDeadline(5, 7, 1).nanos());
    assertThrows(IllegalArgumentException.class, () -> new StepDeadline(0, 7, 1));
    assertThrows(IllegalArgumentException.class, () -> new StepDeadline(8, 7, 1));
  }

  @Test
  void fewStepsAreNotEnough() {
    StepDeadline patient = new StepDeadline(250, 3000, 8);
    for (int i = 0; i < 7; i++) {
      patient.took(MS);
    }
    assertEquals(3000 * MS, patient.nanos());
    patient.took(MS);
    assertEquals(250 * MS, patient.nanos());
  }

  @Test
  void isThreeTimesThe95thPercentileWithinItsBounds() {
    for (int i = 1; i <= 20; i++) {
      deadline.took(i == 20 ? 100_000 * MS : 10 * i * MS);
    }
    assertEquals(3 * 190 * MS, deadline.nanos());
    for (int i = 0; i < 64; i++) {
      deadline.took(MS);
    }
    assertEquals(250 * MS, deadline.nanos());
    for (int i = 0; i < 64; i++) {
      deadline.took(Long.MAX_VALUE / 2);
    }
    assertEquals(3000 * MS, deadline.nanos());
  }
}
