package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class CancellationTokenTest {
  private final AtomicInteger told = new AtomicInteger();

  @Test
  void aCancelReachesEveryRegistrationOnce() {
    CancellationToken token = new CancellationToken();
    token.register(told::incrementAndGet);
    token.register(told::incrementAndGet);
    assertFalse(token.isCancelled());
    token.cancel();
    token.cancel();
    assertTrue(token.isCancelled());
    assertEquals(2, told.get());
  }

  @Test
  void aCancelledTokenTellsLateComersAtOnce() {
    CancellationToken token = new CancellationToken();
    token.cancel();
    token.register(told::incrementAndGet);
    assertEquals(1, told.get());
    assertEquals(0, token.registered());
  }

  @Test
  void aClosedRegistrationIsNotTold() {
    CancellationToken token = new CancellationToken();
    token.register(told::incrementAndGet).close();
    token.cancel();
    assertEquals(0, told.get());
    assertEquals(0, token.registered());
  }

  @Test
  void noneIsNeverCancelledAndKeepsNothing() {
    CancellationToken.none().register(told::incrementAndGet);
    CancellationToken.none().cancel();
    assertFalse(CancellationToken.none().isCancelled());
    assertEquals(0, told.get());
    assertEquals(0, CancellationToken.none().registered());
  }

  @Test
  void noCancelIsLostToARegistrationAtTheSameMoment() throws InterruptedException {
    for (int i = 0; i < 2000; i++) {
      CancellationToken token = new CancellationToken();
      AtomicInteger hits = new AtomicInteger();
      CountDownLatch go = new CountDownLatch(1);
      Thread canceller = new Thread(() -> {
        awaitLatch(go);
        token.cancel();
      });
      canceller.start();
      go.countDown();
      token.register(hits::incrementAndGet);
      canceller.join();
      assertEquals(1, hits.get(), "round " + i);
    }
  }

  private static void awaitLatch(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
