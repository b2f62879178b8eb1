package io.github.llmmobile;

import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * Tokens between the thread that generates and the thread that reads. The writer waits while the queue is full, so that
 * the generation runs only a little ahead of the reader. Once abandoned, the writer never waits.
 */
final class TokenQueue {
  private final int capacity;
  // All guarded by this.
  private final Deque<Token> tokens = new ArrayDeque<>();
  private boolean abandoned;
  private boolean finished;
  private @Nullable GenerationResult result;
  private @Nullable Throwable failure;

  TokenQueue(int capacity) {
    this.capacity = capacity;
  }

  /** Adds a token; waits for room. An interrupt ends the wait and leaves the flag set for the generation to see. */
  synchronized void put(Token token) {
    while (tokens.size() >= capacity && !abandoned) {
      try {
        wait();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        break;
      }
    }
    tokens.add(token);
    notifyAll();
  }

  /** No more tokens will come. Exactly one of the two is given. */
  synchronized void finish(@Nullable GenerationResult theResult, @Nullable Throwable theFailure) {
    finished = true;
    result = theResult;
    failure = theFailure;
    notifyAll();
  }

  /** Lets the writer run on. What it still writes can be read. */
  synchronized void abandon() {
    abandoned = true;
    notifyAll();
  }

  /**
   * The next token; waits for it.
   *
   * @return the token, or null at the end
   * @throws InterruptedException if the reader is interrupted
   */
  synchronized @Nullable Token take() throws InterruptedException {
    while (tokens.isEmpty() && !finished) {
      wait();
    }
    Token token = tokens.poll();
    notifyAll();
    return token;
  }

  /** Waits until no more tokens come, whatever the reader's interrupts. */
  synchronized void awaitFinish() {
    boolean interrupted = false;
    while (!finished) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  synchronized @Nullable GenerationResult result() {
    return result;
  }

  synchronized @Nullable Throwable failure() {
    return failure;
  }
}
