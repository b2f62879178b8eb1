package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.junit.jupiter.api.Test;

class SplitPolicyTest {
  private static final int SAMPLE = 16 * 1024;
  /** 28 layers of 2 ms, a head of 8 ms. */
  private static final LayerCosts PHONE = LayerCosts.of(28, 2, 10, 2, 1);
  private static final LayerCosts SERVER = LayerCosts.of(28, 0.2, 1, 0.2, 0.05);

  private final FakeClock clock = new FakeClock();
  private final FakeDevice device = new FakeDevice();
  private final SplitPolicy policy =
      SplitPolicy.builder().bandwidthThresholdMbps(1).device(device).nanoClock(clock).build();

  private void carries(double mbps) {
    policy.link().sample(SAMPLE, (long) (SAMPLE * 8e3 / mbps));
  }

  private SplitPlanner.Plan plan(LayerCosts there) {
    return policy.planner(PHONE, there, 1243).range(7, 27).turn(64, 128).build().plan();
  }

  @Test
  void nothingIsSentBeforeTheLinkIsMeasuredNorBelowTheThreshold() {
    assertEquals(Optional.of(Reason.BANDWIDTH), policy.forbids());
    assertTrue(policy.wantsProbe(false, false));
    carries(0.9);
    assertEquals(Optional.of(Reason.BANDWIDTH), policy.forbids());
    clock.advanceMillis(11_000);
    carries(1.2);
    assertEquals(Optional.of(Reason.BANDWIDTH), policy.forbids(), "1.25 times the threshold leads back");
    clock.advanceMillis(30_000);
    carries(20);
    assertEquals(Optional.empty(), policy.forbids());
    for (int i = 0; i < 2; i++) {
      clock.advanceMillis(4_000);
      carries(0.1);
    }
    assertTrue(policy.link().goodputMbps().getAsDouble() < 0.8);
    assertEquals(Optional.empty(), policy.forbids(), "the state is kept for 10 s");
    clock.advanceMillis(2_000);
    assertEquals(Optional.of(Reason.BANDWIDTH), policy.forbids());
  }

  @Test
  void theWayIsMeasuredOftenWhileItIsWaitedForAndSeldomWhileItIsUsed() {
    carries(0.2);
    policy.link().probed();
    assertFalse(policy.wantsProbe(false, true));
    clock.advanceMillis(5_000);
    assertTrue(policy.wantsProbe(false, true));
    clock.advanceMillis(30_000);
    carries(20);
    assertEquals(Optional.empty(), policy.forbids());
    clock.advanceMillis(5_000);
    assertFalse(policy.wantsProbe(false, true));
    assertFalse(policy.wantsProbe(true, true));
    clock.advanceMillis(25_000);
    assertTrue(policy.wantsProbe(false, true));
    assertTrue(policy.wantsProbe(true, true));
    device.online = false;
    assertFalse(policy.wantsProbe(true, true), "there is nothing to measure");
    SplitPolicy open = SplitPolicy.builder().bandwidthThresholdMbps(0).nanoClock(clock).build();
    assertFalse(open.wantsProbe(false, false), "neither threshold nor plan");
    assertTrue(open.wantsProbe(false, true), "the plan needs it");
    assertFalse(open.wantsProbe(true, true), "steps tell enough");
  }

  @Test
  void whatTravelsTellsOfTheWay() {
    policy.transferred(1200, 20_000_000);
    assertEquals(20_000_000, policy.link().rttNanos().getAsLong());
    assertFalse(policy.link().goodputMbps().isPresent());
    policy.transferred(100_000, 120_000_000);
    assertEquals(8, policy.link().goodputMbps().getAsDouble(), 1e-9);
  }

  @Test
  void theDeviceForbids() {
    carries(20);
    device.metered = true;
    assertEquals(Optional.of(Reason.METERED), policy.forbids());
    device.online = false;
    assertEquals(Optional.of(Reason.OFFLINE), policy.forbids());
    assertEquals(Optional.of(Reason.LOCAL_ONLY), SplitPolicy.builder().localOnly(true).build().forbids());
    device.online = true;
    assertEquals(Optional.empty(),
        SplitPolicy.builder().bandwidthThresholdMbps(0).device(device).allowMetered(true).build().forbids());
    assertThrows(IllegalArgumentException.class, () -> SplitPolicy.builder().bandwidthThresholdMbps(-1).build());
  }

  @Test
  void measuredTimesPlan() {
    carries(100);
    policy.link().roundTrip(2_000_000);
    SplitPlanner.Plan near = plan(SERVER);
    assertEquals(Place.SPLIT, near.place());
    assertEquals(7, near.split());
    assertEquals(64 * 28 + 128 * 64.0, near.localCost(), 1e-6);
    // One more row travels with each layer that the device keeps; the slower worker still has the head.
    SplitPlanner.Plan slow = plan(LayerCosts.of(28, 2, 10, 2, 1));
    assertEquals(Place.LOCAL, slow.place());
    assertEquals(Reason.NOT_FASTER, slow.reason());
    assertEquals(27, policy.planner(PHONE, LayerCosts.of(28, 3, 1, 3, 1), 1243).range(7, 27).turn(0, 128).build()
        .bestSplit().getAsInt(), "a worker that is fast with the head alone");
    policy.queue(60_000_000);
    assertEquals(Place.LOCAL, plan(SERVER).place(), "steps wait too long for their turn");
    policy.queue(0);
    policy.link().outage();
    carries(0.2);
    assertEquals(Place.LOCAL, plan(SERVER).place(), "50 ms per row");
  }

  @Test
  void aDeviceThatIsHotIsSpared() {
    carries(100);
    policy.link().roundTrip(40_000_000);
    LayerCosts there = LayerCosts.of(28, 0.5, 4, 0.5, 0.3);
    assertEquals(Place.LOCAL, plan(there).place());
    device.thermal = DeviceState.Thermal.SEVERE;
    assertEquals(Place.SPLIT, plan(there).place());
    SplitChoice choice = SplitChoice.weighing(policy, plan(there), PHONE, there, 7, 1243);
    assertEquals(Reason.THERMAL, choice.reason());
    device.thermal = DeviceState.Thermal.NONE;
    device.battery = 10;
    assertEquals(Reason.BATTERY, choice.reason());
    device.charging = true;
    assertEquals(Reason.FASTER, choice.reason());
  }
}
