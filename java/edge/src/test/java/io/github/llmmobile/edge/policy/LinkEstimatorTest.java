package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.edge.policy.LinkEstimator.Gate;
import org.junit.jupiter.api.Test;

class LinkEstimatorTest {
  private static final int BYTES = 125_000;   // a megabit

  private final FakeClock clock = new FakeClock();
  private final LinkEstimator link = new LinkEstimator(1.0, clock);

  /** A megabit that took as long as it does at that speed. */
  private void sample(double mbps) {
    link.sample(BYTES, Math.round(1e9 / mbps));
  }

  private double goodput() {
    return link.goodputMbps().orElseThrow();
  }

  @Test
  void firstSampleIsTheEstimate() {
    assertTrue(link.goodputMbps().isEmpty());
    sample(4);
    assertEquals(4, goodput(), 1e-6);
  }

  @Test
  void fallsWithTwoSecondsAndRisesWithTen() {
    sample(10);
    clock.advanceMillis(2000);
    sample(1);
    assertEquals(10 * Math.exp(-1) + 1 - Math.exp(-1), goodput(), 1e-6);
    LinkEstimator rising = new LinkEstimator(1.0, clock);
    rising.sample(BYTES, 1_000_000_000L);
    clock.advanceMillis(2000);
    rising.sample(BYTES, 100_000_000L);
    assertEquals(Math.exp(-0.2) + 10 * (1 - Math.exp(-0.2)), rising.goodputMbps().orElseThrow(), 1e-6);
  }

  @Test
  void smallSamplesDoNotCount() {
    link.sample(LinkEstimator.LEAST_SAMPLE_BYTES - 1, 1);
    link.sample(BYTES, 0);
    assertTrue(link.goodputMbps().isEmpty());
    assertEquals(Gate.UNKNOWN, link.gate());
  }

  @Test
  void leavesBelowEightTenthsAndEntersAboveFiveQuarters() {
    sample(1.0);
    assertEquals(Gate.OPEN, link.gate());
    clock.advanceMillis(60_000);
    sample(0.85);
    assertEquals(Gate.OPEN, link.gate());
    clock.advanceMillis(600_000);
    sample(0.79);
    assertEquals(Gate.CLOSED, link.gate());
    clock.advanceMillis(600_000);
    sample(1.2);
    assertEquals(Gate.CLOSED, link.gate());
    clock.advanceMillis(600_000);
    sample(1.26);
    assertEquals(Gate.OPEN, link.gate());
  }

  @Test
  void keepsItsStateForTenSecondsAndThenChangesByItself() {
    sample(5);
    link.outage();
    clock.advanceMillis(9_000);
    sample(0.1);
    assertEquals(Gate.OPEN, link.gate());
    clock.advanceMillis(1_000);
    assertEquals(Gate.CLOSED, link.gate());
  }

  /** Ten minutes of a link that jumps around the threshold every second. */
  @Test
  void flipsAtMostOncePerTenSeconds() {
    int flips = 0;
    Gate before = Gate.UNKNOWN;
    for (int second = 0; second < 600; second++) {
      clock.advanceMillis(1000);
      link.outage();
      sample(second % 2 == 0 ? 0.2 : 5);
      Gate now = link.gate();
      flips += now == before ? 0 : 1;
      before = now;
    }
    assertTrue(flips <= 61, flips + " flips");
    assertTrue(flips > 1, "it never reacted");
  }

  @Test
  void outageMakesTheNextSampleTheEstimate() {
    sample(50);
    link.outage();
    clock.advanceMillis(1);
    sample(2);
    assertEquals(2, goodput(), 1e-6);
  }

  @Test
  void hintCountsUntilTheFirstSample() {
    link.hint(3);
    assertEquals(Gate.OPEN, link.gate());
    assertEquals(3, goodput(), 1e-9);
    clock.advanceMillis(20_000);
    sample(0.5);
    assertEquals(0.5, goodput(), 1e-6);
    assertEquals(Gate.CLOSED, link.gate());
    link.hint(100);
    assertEquals(0.5, goodput(), 1e-6);
  }

  @Test
  void thresholdOfZeroIsAlwaysOpenAndNeverProbed() {
    LinkEstimator open = new LinkEstimator(0, clock);
    assertEquals(Gate.OPEN, open.gate());
    open.sample(BYTES, 1_000_000_000_000L);
    assertEquals(Gate.OPEN, open.gate());
    assertFalse(open.wantsProbe(false));
  }

  @Test
  void probesAtOnceAndThenEveryFiveSecondsOrThirty() {
    assertTrue(link.wantsProbe(false));
    link.probed();
    assertFalse(link.wantsProbe(false));
    clock.advanceMillis(5000);
    assertTrue(link.wantsProbe(false));
    assertFalse(link.wantsProbe(true));
    clock.advanceMillis(25_000);
    assertTrue(link.wantsProbe(true));
    link.probed();
    sample(3);
    clock.advanceMillis(4999);
    assertFalse(link.wantsProbe(false));
    link.outage();
    assertTrue(link.wantsProbe(false));
  }

  @Test
  void realTrafficTakesThePlaceOfProbes() {
    link.probed();
    clock.advanceMillis(4000);
    sample(3);
    clock.advanceMillis(4000);
    assertFalse(link.wantsProbe(false));
    clock.advanceMillis(1000);
    assertTrue(link.wantsProbe(false));
  }

  @Test
  void roundTripsAreAveragedAndTheLeastOfThirtySecondsKept() {
    assertTrue(link.rttNanos().isEmpty());
    link.roundTrip(40);
    link.roundTrip(80);
    assertEquals(45, link.rttNanos().orElseThrow());
    assertEquals(40, link.leastRttNanos().orElseThrow());
    clock.advanceMillis(20_000);
    link.roundTrip(60);
    assertEquals(40, link.leastRttNanos().orElseThrow());
    clock.advanceMillis(10_001);
    assertEquals(60, link.leastRttNanos().orElseThrow());
    clock.advanceMillis(60_000);
    assertEquals(60, link.leastRttNanos().orElseThrow(), "the last one there was");
    link.roundTrip(-1);
    assertEquals(60, link.leastRttNanos().orElseThrow());
  }

  @Test
  void thresholdsThatMakeNoSenseAreRefused() {
    for (double threshold : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
      assertThrows(IllegalArgumentException.class, () -> new LinkEstimator(threshold, clock));
    }
  }
}
