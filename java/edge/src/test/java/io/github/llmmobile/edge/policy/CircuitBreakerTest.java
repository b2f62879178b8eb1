package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.edge.policy.CircuitBreaker.State;
import org.junit.jupiter.api.Test;

class CircuitBreakerTest {
  private final FakeClock clock = new FakeClock();
  private final CircuitBreaker breaker = new CircuitBreaker(clock);

  private void fail(int times) {
    for (int i = 0; i < times; i++) {
      breaker.failure();
    }
  }

  @Test
  void opensAtTheFifthFailureInTenSeconds() {
    fail(4);
    assertTrue(breaker.tryAcquire(true));
    fail(1);
    assertEquals(State.OPEN, breaker.state());
    assertFalse(breaker.tryAcquire(true));
  }

  @Test
  void failuresThatAreFarApartDoNotOpenIt() {
    for (int i = 0; i < 20; i++) {
      fail(1);
      clock.advanceMillis(2600);
    }
    assertEquals(State.CLOSED, breaker.state());
  }

  @Test
  void letsOneThroughAfterFiveSecondsAndClosesOnSuccess() {
    fail(5);
    clock.advanceMillis(4999);
    assertFalse(breaker.tryAcquire(true));
    clock.advanceMillis(1);
    assertTrue(breaker.tryAcquire(true));
    assertEquals(State.HALF_OPEN, breaker.state());
    assertFalse(breaker.tryAcquire(true), "only one");
    breaker.success();
    assertEquals(State.CLOSED, breaker.state());
    fail(4);
    assertEquals(State.CLOSED, breaker.state(), "old failures are forgotten");
  }

  @Test
  void timeDoublesToAMinuteOutsideATurnAndStaysFiveSecondsWithin() {
    fail(5);
    for (long seconds : new long[] {5, 10, 20, 40, 60, 60}) {
      clock.advanceMillis(seconds * 1000 - 1);
      assertFalse(breaker.tryAcquire(false), seconds + " s");
      clock.advanceMillis(1);
      assertTrue(breaker.tryAcquire(false), seconds + " s");
      breaker.failure();
    }
    clock.advanceMillis(5000);
    assertFalse(breaker.tryAcquire(false));
    assertTrue(breaker.tryAcquire(true));
  }

  @Test
  void anAttemptThatIsGivenUpMakesRoomForAnother() {
    fail(5);
    clock.advanceMillis(5000);
    assertTrue(breaker.tryAcquire(true));
    breaker.abandoned();
    assertTrue(breaker.tryAcquire(true));
  }

  @Test
  void oneThatIsLateOpensItAtOnce() {
    breaker.late();
    assertFalse(breaker.tryAcquire(true));
    clock.advanceMillis(5000);
    assertTrue(breaker.tryAcquire(true));
    breaker.late();
    assertEquals(State.OPEN, breaker.state());
    clock.advanceMillis(9999);
    assertFalse(breaker.tryAcquire(false), "the time doubles");
  }

  @Test
  void disabledStaysSo() {
    breaker.disable("wrong key");
    clock.advanceMillis(3_600_000);
    assertFalse(breaker.tryAcquire(false));
    assertEquals("wrong key", breaker.disabledBecause().orElseThrow());
    breaker.success();
    breaker.failure();
    assertEquals(State.DISABLED, breaker.state());
  }
}
