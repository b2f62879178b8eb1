package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.junit.jupiter.api.Test;

class SplitChoiceTest {
  private static final LayerCosts PHONE = LayerCosts.of(10, 2, 10, 2, 1);
  private static final LayerCosts SERVER = LayerCosts.of(10, 0.2, 1, 0.2, 0.05);
  private static final Optional<Reason> SPLIT = Optional.empty();
  private static final Optional<Reason> LOCAL = Optional.of(Reason.NOT_FASTER);

  private final FakeClock clock = new FakeClock();
  private final SplitPolicy policy = SplitPolicy.builder().bandwidthThresholdMbps(0).nanoClock(clock).build();

  private SplitChoice choice(double rttMs) {
    measured(rttMs);
    SplitPlanner.Plan plan = policy.planner(PHONE, SERVER, 1000).range(2, 9).turn(0, 100).build().plan();
    return SplitChoice.weighing(policy, plan, PHONE, SERVER, 2, 1000);
  }

  private void measured(double rttMs) {
    policy.link().sample(16 * 1024, 1_000_000);
    for (int i = 0; i < 64; i++) {
      policy.link().roundTrip((long) (rttMs * 1e6));
    }
  }

  private static void steps(SplitChoice choice, int count, double upperMs) {
    for (int i = 0; i < count; i++) {
      choice.splitStep(4, upperMs);
    }
  }

  @Test
  void stepsThatAreDearerThanPlannedComeHome() {
    SplitChoice choice = choice(2);
    assertEquals(SPLIT, choice.refusal(0, 100));
    steps(choice, 7, 500);
    assertEquals(SPLIT, choice.refusal(0, 100), "7 are no proof");
    steps(choice, 1, 500);
    assertEquals(LOCAL, choice.refusal(0, 100));
  }

  @Test
  void oneSlowStepChangesNothing() {
    SplitChoice choice = choice(2);
    steps(choice, 10, 5);
    steps(choice, 4, 3000);
    assertEquals(SPLIT, choice.refusal(0, 100));
  }

  @Test
  void whatWouldHaveToBeCaughtUpOnCounts() {
    SplitChoice choice = choice(2);
    // 24 ms here: 16 ms more per step, for 100 tokens, or 24 ms for each of 100 rows.
    steps(choice, 8, 40);
    assertEquals(SPLIT, choice.refusal(100, 100));
    assertEquals(LOCAL, choice.refusal(60, 100));
  }

  @Test
  void whatThePromiseOfAFastWayIsWorthIsTriedAgainAndLessAndLessOften() {
    SplitChoice choice = choice(200);
    assertEquals(LOCAL, choice.refusal(0, 100));
    assertFalse(choice.wantsProbe());
    measured(2);
    assertEquals(LOCAL, choice.refusal(0, 100), "10 s");
    clock.advanceMillis(30_000);
    assertTrue(choice.wantsProbe(), "it must be able to come back");
    measured(2);
    assertEquals(SPLIT, choice.refusal(0, 100));
    steps(choice, 8, 500);
    assertEquals(LOCAL, choice.refusal(0, 100));
    clock.advanceMillis(19_000);
    assertEquals(LOCAL, choice.refusal(0, 100), "20 s, for the promise was not kept");
    clock.advanceMillis(1_000);
    assertEquals(SPLIT, choice.refusal(0, 100));
  }

  @Test
  void stepsHereTellWhatTheyTake() {
    SplitChoice choice = choice(22);
    clock.advanceMillis(10_000);
    assertEquals(LOCAL, choice.refusal(0, 100));
    for (int i = 0; i < 16; i++) {
      choice.localStep(4, 60);
    }
    assertEquals(SPLIT, choice.refusal(0, 100), "the device has become slower");
  }

  @Test
  void aGivenSplitIsNotWeighed() {
    SplitChoice choice = SplitChoice.always(policy, Reason.FIXED);
    steps(choice, 20, 5000);
    assertEquals(SPLIT, choice.refusal(0, 100));
    assertEquals(Reason.FIXED, choice.reason());
  }
}
