package io.github.llmmobile.internal;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class CallHandleTest {
  /** Behaves like the native session: the signal sticks until a call consumes it or it is cleared. */
  private static final class Fake extends CallHandle {
    final AtomicBoolean signal = new AtomicBoolean();
    final AtomicInteger frees = new AtomicInteger();
    volatile boolean inCall;
    volatile boolean misused;

    Fake() {
      super("Fake");
    }

    @Override
    protected void signal() {
      misused |= frees.get() != 0;
      signal.set(true);
    }

    @Override
    protected void clearSignal() {
      misused |= frees.get() != 0;
      signal.set(false);
    }

    @Override
    protected void free() {
      misused |= inCall;
      frees.incrementAndGet();
    }

    /** A call that runs until it is cancelled. */
    void runUntilCancelled(CountDownLatch started) {
      try (Call call = begin()) {
        inCall = true;
        started.countDown();
        while (!signal.getAndSet(false)) {
          Thread.onSpinWait();
        }
        inCall = false;
      }
    }
  }

  private final Fake fake = new Fake();

  @Test
  void aSecondCallIsBusyAndTheFirstGoesOn() {
    try (CallHandle.Call call = fake.begin()) {
      fails(ErrorCode.BUSY, fake::begin);
      fake.cancel();
      assertTrue(fake.signal.get());
    }
    fake.begin().close();
  }

  @Test
  void aCancelWithoutACallDoesNothingLater() {
    fake.cancel();
    assertFalse(fake.signal.get());
    try (CallHandle.Call call = fake.begin()) {
      assertFalse(fake.signal.get());
    }
  }

  @Test
  void aSignalThatNobodyConsumedDoesNotReachTheNextCall() {
    try (CallHandle.Call call = fake.begin()) {
      call.cancel();
    }
    assertTrue(fake.signal.get());
    try (CallHandle.Call call = fake.begin()) {
      assertFalse(fake.signal.get());
    }
  }

  @Test
  void cancellingAnEndedCallLeavesTheNextOneAlone() {
    CallHandle.Call first = fake.begin();
    first.close();
    try (CallHandle.Call second = fake.begin()) {
      first.cancel();
      assertFalse(fake.signal.get());
    }
  }

  @Test
  void aCancelRunsTheHookOfTheCall() {
    AtomicInteger hooks = new AtomicInteger();
    try (CallHandle.Call call = fake.begin(hooks::incrementAndGet)) {
      fake.cancel();
      call.cancel();
    }
    fake.cancel();
    assertEquals(2, hooks.get());
  }

  @Test
  void closeWithinACallFreesWhenTheCallEnds() {
    try (CallHandle.Call call = fake.begin()) {
      fake.close();
      assertTrue(fake.signal.get());
      assertEquals(0, fake.frees.get());
      assertThrows(IllegalStateException.class, fake::begin);
    }
    assertEquals(1, fake.frees.get());
    fake.close();
    assertEquals(1, fake.frees.get());
  }

  @Test
  void closeFromAnotherThreadCancelsAndWaits() throws InterruptedException {
    CountDownLatch started = new CountDownLatch(1);
    Thread runner = new Thread(() -> fake.runUntilCancelled(started));
    runner.start();
    started.await();
    fake.close();
    assertFalse(fake.inCall);
    assertEquals(1, fake.frees.get());
    runner.join();
    assertFalse(fake.misused);
  }

  @Test
  void anInterruptDoesNotCutTheWaitShortAndIsNotSwallowed() throws InterruptedException {
    CountDownLatch started = new CountDownLatch(1);
    Thread runner = new Thread(() -> fake.runUntilCancelled(started));
    runner.start();
    started.await();
    Thread.currentThread().interrupt();
    fake.close();
    assertTrue(Thread.interrupted());
    assertEquals(1, fake.frees.get());
    runner.join();
  }

  @Test
  void everyRunningCallIsReachedByACancelOrClose() throws InterruptedException {
    for (int seed = 0; seed < 500; seed++) {
      Random random = new Random(seed);
      Fake session = new Fake();
      CountDownLatch started = new CountDownLatch(1);
      List<Thread> threads = new ArrayList<>();
      threads.add(new Thread(() -> {
        try {
          session.runUntilCancelled(started);
        } catch (IllegalStateException closedFirst) {
          started.countDown();
        }
      }));
      for (int i = 0; i < 2; i++) {
        boolean close = random.nextBoolean();
        boolean early = random.nextBoolean();
        threads.add(new Thread(() -> {
          if (!early) {
            await(started);
          }
          if (close) {
            session.close();
          } else {
            session.cancel();
          }
        }));
      }
      threads.forEach(Thread::start);
      await(started);
      // Early cancels may have come before the call; this one does not.
      session.close();
      for (Thread thread : threads) {
        thread.join();
      }
      assertEquals(1, session.frees.get(), "seed " + seed);
      assertFalse(session.misused, "seed " + seed);
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
