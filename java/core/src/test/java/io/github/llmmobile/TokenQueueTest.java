package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class TokenQueueTest {
  private static Token token(int id) {
    return new Token(id, "", Double.NaN);
  }

  @Test
  void tokensComeInOrderAndThenTheEnd() throws InterruptedException {
    TokenQueue queue = new TokenQueue(2);
    Thread writer = new Thread(() -> {
      for (int i = 0; i < 1000; i++) {
        queue.put(token(i));
      }
      queue.finish(null, null);
    });
    writer.start();
    List<Integer> ids = new ArrayList<>();
    for (Token token = queue.take(); token != null; token = queue.take()) {
      ids.add(token.id());
    }
    writer.join();
    assertEquals(1000, ids.size());
    for (int i = 0; i < ids.size(); i++) {
      assertEquals(i, ids.get(i));
    }
    assertNull(queue.take());
  }

  @Test
  void anAbandonedQueueLetsTheWriterRunOn() throws InterruptedException {
    TokenQueue queue = new TokenQueue(1);
    Thread writer = new Thread(() -> {
      for (int i = 0; i < 100; i++) {
        queue.put(token(i));
      }
      queue.finish(null, null);
    });
    writer.start();
    assertEquals(0, queue.take().id());
    queue.abandon();
    writer.join();
    assertEquals(1, queue.take().id());
  }

  @Test
  void anInterruptEndsTheWritersWaitAndStays() throws InterruptedException {
    TokenQueue queue = new TokenQueue(1);
    queue.put(token(0));
    boolean[] flag = new boolean[1];
    Thread writer = new Thread(() -> {
      queue.put(token(1));
      flag[0] = Thread.currentThread().isInterrupted();
    });
    writer.start();
    writer.interrupt();
    writer.join();
    assertTrue(flag[0]);
  }

  @Test
  void anInterruptedReaderIsTold() {
    TokenQueue queue = new TokenQueue(1);
    Thread.currentThread().interrupt();
    assertThrows(InterruptedException.class, queue::take);
  }

  @Test
  void theFailureIsKept() throws InterruptedException {
    TokenQueue queue = new TokenQueue(1);
    IllegalStateException failure = new IllegalStateException();
    queue.finish(null, failure);
    assertNull(queue.take());
    assertSame(failure, queue.failure());
    assertNull(queue.result());
  }
}
