package io.github.llmmobile.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class NativeHandleTest {
  private static final class Fake extends NativeHandle {
    final AtomicInteger inside = new AtomicInteger();
    final AtomicInteger frees = new AtomicInteger();
    final AtomicInteger violations = new AtomicInteger();

    Fake() {
      super("Fake");
    }

    @Override
    protected void free() {
      frees.incrementAndGet();
      if (inside.get() != 0) {
        violations.incrementAndGet();
      }
    }

    void work() {
      if (!tryEnter()) {
        return;
      }
      inside.incrementAndGet();
      if (frees.get() != 0) {
        violations.incrementAndGet();
      }
      inside.decrementAndGet();
      exit();
    }
  }

  @Test
  void closeWithoutUsersFreesOnce() {
    Fake fake = new Fake();
    fake.close();
    fake.close();
    assertEquals(1, fake.frees.get());
    assertTrue(fake.isClosed());
  }

  @Test
  void theLastUserFrees() {
    Fake fake = new Fake();
    fake.enter();
    fake.enter();
    fake.close();
    assertEquals(0, fake.frees.get());
    fake.exit();
    assertEquals(0, fake.frees.get());
    fake.exit();
    assertEquals(1, fake.frees.get());
  }

  @Test
  void useAfterCloseNamesTheHandle() {
    Fake fake = new Fake();
    fake.enter();
    fake.close();
    assertEquals("Fake is closed", assertThrows(IllegalStateException.class, fake::enter).getMessage());
    assertEquals("Fake is closed", assertThrows(IllegalStateException.class, fake::use).getMessage());
    assertFalse(fake.tryEnter());
    fake.exit();
  }

  @Test
  void aUserMayBringAnotherAfterClose() {
    Fake fake = new Fake();
    fake.enter();
    fake.close();
    fake.share();
    fake.exit();
    assertEquals(0, fake.frees.get());
    fake.exit();
    assertEquals(1, fake.frees.get());
  }

  @Test
  void noCallRunsWhileOrAfterItIsFreed() throws InterruptedException {
    for (int round = 0; round < 500; round++) {
      Fake fake = new Fake();
      List<Thread> threads = new ArrayList<>();
      for (int t = 0; t < 3; t++) {
        threads.add(new Thread(() -> {
          for (int i = 0; i < 100; i++) {
            fake.work();
          }
        }));
      }
      threads.add(new Thread(fake::close));
      threads.add(new Thread(fake::close));
      threads.forEach(Thread::start);
      for (Thread thread : threads) {
        thread.join();
      }
      assertEquals(1, fake.frees.get(), "round " + round);
      assertEquals(0, fake.violations.get(), "round " + round);
    }
  }
}
