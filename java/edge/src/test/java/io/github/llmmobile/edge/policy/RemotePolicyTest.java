package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RemotePolicyTest {
  private final FakeClock clock = new FakeClock();
  private final FakeDevice device = new FakeDevice();
  private final LinkEstimator link = new LinkEstimator(1, clock);
  private final CircuitBreaker breaker = new CircuitBreaker(clock);

  private RemotePolicy.Builder builder() {
    return RemotePolicy.builder(device, link, breaker);
  }

  private void goodLink() {
    link.sample(1_000_000, 1_000_000_000L);
  }

  private static void forbids(Reason reason, RemotePolicy policy) {
    assertEquals(Optional.of(reason), policy.forbids());
    assertEquals(Place.LOCAL, policy.chooseRequest(true, 1).place());
  }

  /** Everything is wrong at first; each cure uncovers the next reason. */
  @Test
  void theFirstReasonCounts() {
    device.online = false;
    device.metered = true;
    breaker.disable("wrong key");
    RemotePolicy.Builder costly = builder().tokenLimit(100);
    RemotePolicy local = builder().localOnly(true).build();
    forbids(Reason.LOCAL_ONLY, local);
    RemotePolicy policy = costly.build();
    policy.spent(100);
    forbids(Reason.OFFLINE, policy);
    device.online = true;
    forbids(Reason.ENDPOINT_DOWN, policy);
    RemotePolicy revived = RemotePolicy.builder(device, link, new CircuitBreaker(clock)).tokenLimit(100).build();
    revived.spent(100);
    forbids(Reason.COST, revived);
    RemotePolicy rich = RemotePolicy.builder(device, link, new CircuitBreaker(clock)).tokenLimit(101).build();
    rich.spent(100);
    forbids(Reason.METERED, rich);
    device.metered = false;
    forbids(Reason.BANDWIDTH, rich);
    goodLink();
    assertEquals(Optional.empty(), rich.forbids());
  }

  @Test
  void slowLinkSendsNothing() {
    link.sample(20_000, 1_000_000_000L);
    forbids(Reason.BANDWIDTH, builder().build());
  }

  @Test
  void theSystemsHintCountsBeforeTheFirstMeasurement() {
    device.hint = OptionalDouble.of(20);
    assertEquals(Optional.empty(), builder().build().forbids());
  }

  @Test
  void meteredNetworksMayBeAllowed() {
    goodLink();
    device.metered = true;
    assertEquals(Optional.empty(), builder().allowMetered(true).build().forbids());
  }

  @Test
  void whatDoesNotFitGoesAway() {
    goodLink();
    RemotePolicy.Choice choice = builder().build().chooseRequest(false, Double.NaN);
    assertEquals(Place.REMOTE, choice.place());
    assertEquals(Reason.DOES_NOT_FIT, choice.reason());
  }

  @Test
  void aHotOrEmptyDeviceLetsOthersWork() {
    goodLink();
    RemotePolicy policy = builder().build();
    assertEquals(Reason.EASY, policy.chooseRequest(true, 0.01).reason());
    device.thermal = DeviceState.Thermal.MODERATE;
    assertEquals(Reason.THERMAL, policy.chooseRequest(true, 0.01).reason());
    device.thermal = DeviceState.Thermal.LIGHT;
    device.headroom = 0.9;
    assertEquals(Reason.THERMAL, policy.chooseRequest(true, 0.01).reason());
    device.headroom = 0.85;
    device.battery = 14;
    assertEquals(Reason.BATTERY, policy.chooseRequest(true, 0.01).reason());
    device.charging = true;
    assertEquals(Reason.EASY, policy.chooseRequest(true, 0.01).reason());
  }

  @Test
  void hardRequestsGoAwayUpToTheirShare() {
    goodLink();
    RemotePolicy policy = builder().requestShare(0.2).build();
    Random random = new Random(1);
    int away = 0;
    for (int i = 0; i < 5000; i++) {
      away += policy.chooseRequest(true, random.nextDouble()).place() == Place.REMOTE ? 1 : 0;
    }
    assertEquals(0.2, away / 5000.0, 0.02);
  }

  @Test
  void allOrNoneOfTheRequests() {
    goodLink();
    RemotePolicy none = builder().requestShare(0).build();
    RemotePolicy all = builder().requestShare(1).build();
    for (int i = 0; i < 100; i++) {
      assertEquals(Place.LOCAL, none.chooseRequest(true, 0.9).place());
      assertEquals(Place.REMOTE, all.chooseRequest(true, 0.001).place());
    }
  }

  @Test
  void desktopsForbidNothing() {
    goodLink();
    RemotePolicy policy = RemotePolicy.builder(DeviceState.desktop(), link, breaker).build();
    assertEquals(Optional.empty(), policy.forbids());
    assertEquals(Optional.empty(), policy.spares());
  }

  @Test
  void numbersOutOfRangeAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> builder().requestShare(-0.1).build());
    assertThrows(IllegalArgumentException.class, () -> builder().tokenLimit(-2).build());
    assertTrue(builder().build().forbids().isPresent());
  }
}
