package io.github.llmmobile.edge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class StepQueueTest {
  @Test
  void aSessionWithMuchToDoWaitsForTheOthersAfterEachPiece() {
    List<String> order = new ArrayList<>();
    CountDownLatch begin = new CountDownLatch(1);
    CountDownLatch end = new CountDownLatch(1);
    StepQueue queue = new StepQueue(1);
    queue.lane().add(() -> await(begin));
    StepQueue.Lane greedy = queue.lane();
    for (int i = 0; i < 5; i++) {
      greedy.add(() -> order.add("greedy"));
    }
    greedy.add(end::countDown);
    for (String name : new String[] {"a", "b"}) {
      StepQueue.Lane lane = queue.lane();
      lane.add(() -> order.add(name));
      lane.add(() -> order.add(name));
    }
    begin.countDown();
    await(end);
    queue.close();
    assertEquals(List.of("greedy", "a", "b", "greedy", "a", "b", "greedy", "greedy", "greedy"), order);
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
