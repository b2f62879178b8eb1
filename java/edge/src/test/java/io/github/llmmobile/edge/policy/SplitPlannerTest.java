package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.edge.policy.SplitPlanner.Plan;
import org.junit.jupiter.api.Test;

class SplitPlannerTest {
  private static final int LAYERS = 28;

  /** 28 layers, 60 ms per token on the device of which the head takes 8, rows of 1243 bytes, 1 Mbps, 50 ms. */
  private static SplitPlanner.Builder example() {
    return SplitPlanner.builder(LAYERS)
        .local(k -> k == LAYERS ? 60 : 52.0 * k / LAYERS)
        .worker((k, rows) -> 9.5 + 0.5 * rows)
        .link(1243, 1, 50)
        .delays(0, 0.5)
        .range(7, 7);
  }

  @Test
  void withoutExitsTheExampleIsNotSplit() {
    SplitPlanner planner = example().build();
    assertEquals(60, planner.localDecodeMs(), 1e-9);
    assertEquals(13 + 0.5 + 9.944 + 50 + 10, planner.decodeMs(7), 1e-9);
    Plan plan = planner.plan();
    assertEquals(Place.LOCAL, plan.place());
    assertEquals(Reason.NOT_FASTER, plan.reason());
    assertEquals(LAYERS, plan.split());
    assertEquals(60, plan.cost(), 1e-9);
  }

  @Test
  void withFourOfFiveTokensDecidedEarlyItIs() {
    SplitPlanner planner = example().exits(0.8, 8).build();
    assertEquals(13 + 8 + 0.2 * (0.5 + 5 * 9.944 + 50 + 12), planner.decodeMs(7), 1e-9);
    Plan plan = planner.plan();
    assertEquals(Place.SPLIT, plan.place());
    assertEquals(Reason.FASTER, plan.reason());
    assertEquals(7, plan.split());
  }

  @Test
  void promptsOverlapOnDeviceLinkAndWorker() {
    SplitPlanner planner = example().localPrefill((k, rows) -> rows * 0.1 * k).workerPrefill((k, rows) -> rows * 0.5)
        .chunk(64).build();
    double device = 64 * 0.7;
    double wire = 64 * 9.944;
    assertEquals(7 * wire + device + wire + 32 + 50, planner.prefillMs(7, 512), 1e-9);
    assertEquals(10 * 0.7 + 10 * 9.944 + 5 + 50, planner.prefillMs(7, 10), 1e-9, "one short chunk");
    assertEquals(0, planner.prefillMs(7, 0));
  }

  @Test
  void takesTheCheapestLayerOfTheRange() {
    SplitPlanner.Builder fast = example().link(1243, 1000, 1).range(1, LAYERS - 1).worker((k, rows) -> 28 - k);
    assertEquals(1, fast.build().plan().split(), "the worker's layers are faster");
    assertEquals(9, fast.feasible(k -> k >= 9).build().plan().split());
    assertEquals(20, fast.penalty(k -> k == 20 ? -1000 : 0).build().plan().split());
    assertEquals(Place.LOCAL, fast.feasible(k -> false).build().plan().place());
  }

  @Test
  void aGainOfLessThanATenthIsNotWorthIt() {
    SplitPlanner.Builder near = example().link(0, 1, 30).delays(0, 0);
    assertEquals(53.0, near.build().decodeMs(7), 1e-9);
    assertEquals(Place.SPLIT, near.build().plan().place());
    assertEquals(Place.LOCAL, near.link(0, 1, 32).build().plan().place());
  }

  @Test
  void anotherLayerInMidSessionPaysForReadingAgain() {
    SplitPlanner.Builder session = example().exits(0.8, 8).localPrefill((k, rows) -> rows).turn(0, 10);
    assertEquals(Place.SPLIT, session.build().plan().place());
    assertEquals(Place.LOCAL, session.session(512, -1).build().plan().place());
    assertEquals(Place.SPLIT, session.session(512, 7).build().plan().place(), "it is split there already");
  }

  @Test
  void aModelThatDoesNotFitIsSplitEvenIfThatIsSlow() {
    SplitPlanner.Builder small = example().fitsDevice(false);
    Plan plan = small.build().plan();
    assertEquals(Place.SPLIT, plan.place());
    assertEquals(Reason.DOES_NOT_FIT, plan.reason());
    assertEquals(Place.REMOTE, small.remoteCost(20).build().plan().place());
    assertEquals(Place.SPLIT, small.remoteCost(500).build().plan().place());
    assertEquals(Place.REMOTE, small.feasible(k -> false).build().plan().place());
    assertThrows(IllegalStateException.class,
        () -> example().fitsDevice(false).feasible(k -> false).build().plan());
  }

  @Test
  void aDeadLinkIsNeverUsed() {
    assertEquals(Place.LOCAL, example().exits(0.8, 8).link(1243, 0, 50).build().plan().place());
  }

  /** The grid of the design: links from a modem to a cable, devices from slow to fast. */
  @Test
  void neverPlansWhatIsSlowerThanTheDevice() {
    int splits = 0;
    for (double mbps : new double[] {0.1, 0.5, 1, 5, 50}) {
      for (double rtt : new double[] {1, 10, 50, 150}) {
        for (double localMs : new double[] {5, 20, 60, 200, 800}) {
          for (double exits : new double[] {0, 0.8}) {
            SplitPlanner planner = SplitPlanner.builder(LAYERS).local(k -> localMs * k / LAYERS)
                .worker((k, rows) -> (LAYERS - k) * 0.4 * rows).link(1243, mbps, rtt).delays(1, 0.5)
                .exits(exits, localMs / 10).turn(0, 100).build();
            Plan plan = planner.plan();
            splits += plan.place() == Place.SPLIT ? 1 : 0;
            assertTrue(plan.cost() <= planner.localCost(), plan::toString);
          }
        }
      }
    }
    assertTrue(splits > 20 && splits < 180, splits + " of 200 are split");
  }

  @Test
  void numbersOutOfRangeAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> example().exits(1, 0).build());
    assertThrows(IllegalArgumentException.class, () -> example().range(0, 5).build());
    assertThrows(IllegalArgumentException.class, () -> example().range(1, LAYERS).build());
    assertThrows(IllegalArgumentException.class, () -> example().chunk(0).build());
    assertThrows(IllegalArgumentException.class, () -> example().link(-1, 1, 1).build());
    assertFalse(SplitPlanner.builder(1).local(k -> 1).build().plan().place() == Place.SPLIT);
  }
}
