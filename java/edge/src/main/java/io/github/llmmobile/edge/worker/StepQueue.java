package io.github.llmmobile.edge.worker;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * Runs the work of many sessions on few threads: that of one session in its order and never at once, and one piece of each
 * session in turn, so that none waits longer than one piece of every other. Threads: any.
 */
final class StepQueue implements AutoCloseable {
  private final ExecutorService threads;

  StepQueue(int parallel) {
    threads = Executors.newFixedThreadPool(parallel, task -> {
      Thread thread = new Thread(task, "llmm-worker-step");
      thread.setDaemon(true);
      return thread;
    });
  }

  /** The order of one session. */
  Lane lane() {
    return new Lane();
  }

  /** Waits until everything is done that was added. */
  @Override
  public void close() {
    threads.shutdown();
    try {
      threads.awaitTermination(1, TimeUnit.MINUTES);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** The pieces of work of one session. */
  final class Lane {
    private final Deque<Runnable> waiting = new ArrayDeque<>();
    private boolean running;

    void add(Runnable piece) {
      synchronized (waiting) {
        waiting.add(piece);
        if (running) {
          return;
        }
        running = true;
      }
      submit();
    }

    /** What comes after the queue was closed, the freeing of sessions above all, is done on the spot. */
    private void submit() {
      try {
        threads.execute(this::runOne);
      } catch (RejectedExecutionException e) {
        runOne();
      }
    }

    /** One piece, and back to the end of the line. */
    private void runOne() {
      Runnable piece;
      synchronized (waiting) {
        piece = waiting.remove();
      }
      try {
        piece.run();
      } finally {
        boolean more;
        synchronized (waiting) {
          more = !waiting.isEmpty();
          running = more;
        }
        if (more) {
          submit();
        }
      }
    }
  }
}
