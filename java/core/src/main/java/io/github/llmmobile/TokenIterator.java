package io.github.llmmobile;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of a generation, pulled by their reader. The generation runs on a thread of its own, at most 8 tokens
 * ahead. Whoever stops reading early must close the iterator, or the session stays busy; closing the session ends it as
 * well. Not for use by several threads at once.
 */
public final class TokenIterator implements Iterator<Token>, AutoCloseable {
  private static final int TOKENS_AHEAD = 8;

  private final TokenQueue queue = new TokenQueue(TOKENS_AHEAD);
  private final CancellationToken cancellation = new CancellationToken();
  private @Nullable Token next;
  private boolean closed;

  private TokenIterator() {}

  static TokenIterator start(LlmSession session, Prompt prompt, GenerationOptions options) {
    TokenIterator iterator = new TokenIterator();
    Thread thread = new Thread(() -> iterator.generate(session, prompt, options), "llm-mobile-stream");
    thread.setDaemon(true);
    thread.start();
    return iterator;
  }

  private void generate(LlmSession session, Prompt prompt, GenerationOptions options) {
    GenerationResult result = null;
    Throwable failure = null;
    try {
      result = session.generate(prompt, options, queue::put, cancellation, queue::abandon);
    } catch (Throwable e) {
      failure = e;
    }
    queue.finish(result, failure);
  }

  /**
   * Waits for the next token. An interrupt cancels the generation, and the flag stays set; the tokens that came before
   * can still be read.
   *
   * @return false when the generation has ended or the iterator is closed
   * @throws LlmException what {@link LlmSession#generate(Prompt, GenerationOptions)} throws, after the last token
   */
  @Override
  public boolean hasNext() {
    if (next != null) {
      return true;
    }
    if (closed) {
      return false;
    }
    next = take();
    if (next == null) {
      throwFailure();
    }
    return next != null;
  }

  private @Nullable Token take() {
    try {
      return queue.take();
    } catch (InterruptedException e) {
      cancellation.cancel();
      queue.awaitFinish();
      try {
        return queue.take();
      } catch (InterruptedException impossible) {
        // A finished queue does not wait.
        throw new IllegalStateException(impossible);
      } finally {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void throwFailure() {
    Throwable failure = queue.failure();
    if (failure instanceof RuntimeException) {
      throw (RuntimeException) failure;
    }
    if (failure instanceof Error) {
      throw (Error) failure;
    }
  }

  /**
   * The next token.
   *
   * @return the token (never null)
   * @throws NoSuchElementException if there is none
   * @throws LlmException as {@link #hasNext()}
   */
  @Override
  public Token next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    Token token = next;
    next = null;
    if (token == null) {
      throw new NoSuchElementException();
    }
    return token;
  }

  /**
   * The whole answer, once the generation has ended by itself or by {@link #close()}.
   *
   * @return the answer; empty while tokens come, and after a failure (never null)
   */
  public Optional<GenerationResult> result() {
    return Optional.ofNullable(queue.result());
  }

  /** Cancels the generation and waits until the session is free; further calls do nothing. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      next = null;
      cancellation.cancel();
      queue.abandon();
      queue.awaitFinish();
    }
  }
}
