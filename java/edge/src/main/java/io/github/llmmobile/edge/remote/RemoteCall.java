package io.github.llmmobile.edge.remote;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.edge.policy.CircuitBreaker;
import io.github.llmmobile.edge.remote.RemoteException.Kind;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * One request that runs: its tokens are pulled as they come, and nobody waits for one longer than he says. A request is
 * repeated once if it fails before its first token for a reason that may pass; this is the only place that repeats.
 *
 * <p>One thread pulls; {@link #close()} may come from any.
 */
public final class RemoteCall implements AutoCloseable {
  private static final int ATTEMPTS = 2;
  private static final long PAUSE_MILLIS = 100;
  private static final long LONGEST_PAUSE_MILLIS = 5_000;
  private static final int MOST_WAITING = 4096;
  private static final int MOST_BODY_BYTES = 8 * 1024 * 1024;
  private static final int MOST_ERROR_BYTES = 64 * 1024;
  private static final long LOOK_MILLIS = 20;

  private final HttpTransport transport;
  private final HttpTransport.Request request;
  private final CircuitBreaker breaker;
  private final String repeated;
  private final Random jitter = new Random();

  // All below guarded by this.
  private final ArrayDeque<RemoteToken> waiting = new ArrayDeque<>();
  private HttpTransport.@Nullable Call running;
  private boolean closed;
  private boolean ended;
  private boolean settled;
  private @Nullable RemoteException failure;
  private @Nullable String finishReason;
  private boolean anyEvent;
  private int tokensSeen;
  private int tokensReported = -1;
  private int promptTokens = -1;
  private int attempts;
  private long bytesUp;
  private long bytesDown;

  RemoteCall(HttpTransport transport, HttpTransport.Request request, CircuitBreaker breaker, String repeated) {
    this.transport = transport;
    this.request = request;
    this.breaker = breaker;
    this.repeated = repeated;
  }

  RemoteCall start() {
    Thread reader = new Thread(this::run, "llmm-remote");
    reader.setDaemon(true);
    reader.start();
    return this;
  }

  // ---- the side that pulls ------------------------------------------------------------------------------------

  /**
   * The next token.
   *
   * @param deadlineNanos when to give up, in the time of {@link System#nanoTime}
   * @param cancellation gives up earlier (required)
   * @return the token, or null when the answer is complete
   * @throws RemoteException what went wrong, TIMEOUT at the deadline or CANCELLED; the call is then over. An interrupt
   *     of the thread cancels, and its flag stays set
   */
  public @Nullable RemoteToken next(long deadlineNanos, CancellationToken cancellation) {
    RemoteException early;
    synchronized (this) {
      while (true) {
        RemoteToken token = waiting.pollFirst();
        if (token != null) {
          notifyAll();
          return token;
        }
        if (failure != null) {
          throw failure;
        }
        if (ended) {
          return null;
        }
        long left = (deadlineNanos - System.nanoTime()) / 1_000_000;
        if (closed || cancellation.isCancelled() || Thread.currentThread().isInterrupted()) {
          early = new RemoteException(Kind.CANCELLED, "cancelled");
          break;
        }
        if (left <= 0) {
          early = new RemoteException(Kind.TIMEOUT, "the endpoint did not answer in time");
          break;
        }
        try {
          wait(Math.min(left, LOOK_MILLIS));
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
      }
      failure = early;
    }
    settle(early);
    close();
    throw early;
  }

  /**
   * Why the answer ended.
   *
   * @return such as {@code stop} or {@code length}, after the last token; empty if the endpoint did not say (never null)
   */
  public synchronized Optional<String> finishReason() {
    return Optional.ofNullable(finishReason);
  }

  /**
   * Tokens so far, in the remote model's count.
   *
   * @return at least 0
   */
  public synchronized int tokens() {
    return tokensReported >= 0 ? tokensReported : tokensSeen;
  }

  /**
   * Tokens of the prompt, in the remote model's count.
   *
   * @return the count; -1 if the endpoint has not said
   */
  public synchronized int promptTokens() {
    return promptTokens;
  }

  /**
   * Bytes of the bodies sent.
   *
   * @return at least 0
   */
  public synchronized long bytesUp() {
    return bytesUp;
  }

  /**
   * Bytes of the bodies received.
   *
   * @return at least 0
   */
  public synchronized long bytesDown() {
    return bytesDown;
  }

  /** Ends the exchange; tokens that have not been pulled are lost. Further calls do nothing. */
  @Override
  public void close() {
    HttpTransport.Call toCancel;
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
      waiting.clear();
      toCancel = running;
      notifyAll();
    }
    settle(new RemoteException(Kind.CANCELLED, "closed"));
    if (toCancel != null) {
      toCancel.cancel();
    }
  }

  // ---- the side that reads ------------------------------------------------------------------------------------

  private void run() {
    RemoteException last = null;
    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
      try {
        exchange();
        settle(null);
        end(null);
        return;
      } catch (RemoteException e) {
        last = e;
      } catch (IOException e) {
        // The message of a transport may hold an address, but nothing that was said.
        last = new RemoteException(Kind.CONNECTION, "no connection to the endpoint: " + e.getMessage(), e);
      } catch (RuntimeException e) {
        last = new RemoteException(Kind.PROTOCOL, "the transport failed: " + e, e);
      }
      if (attempt == ATTEMPTS || !mayRepeat(last) || !pause(last.retryAfterMillis())) {
        break;
      }
    }
    settle(last);
    end(last);
  }

  private synchronized boolean mayRepeat(RemoteException e) {
    return e.kind().again() && !anyEvent && !closed && e.retryAfterMillis() <= LONGEST_PAUSE_MILLIS;
  }

  /** Waits before another attempt, not always equally long: clients that failed together must not return together. */
  private synchronized boolean pause(long askedMillis) {
    double millis = (askedMillis >= 0 ? askedMillis : PAUSE_MILLIS) * (0.8 + 0.4 * jitter.nextDouble());
    long until = System.nanoTime() + (long) (millis * 1e6);
    while (!closed) {
      long left = (until - System.nanoTime()) / 1_000_000;
      if (left <= 0) {
        return true;
      }
      try {
        wait(left);
      } catch (InterruptedException e) {
        return false;
      }
    }
    return false;
  }

  private void exchange() throws IOException {
    HttpTransport.Call call = transport.call(request);
    synchronized (this) {
      if (closed) {
        throw new RemoteException(Kind.CANCELLED, "closed");
      }
      running = call;
      attempts++;
      bytesUp += request.body() == null ? 0 : request.body().length;
    }
    HttpTransport.Response response = call.execute();
    try (InputStream body = response.body()) {
      check(response, body);
      Echo echo = new Echo(repeated);
      String type = response.header("content-type").orElse("");
      if (type.startsWith("text/event-stream")) {
        readEvents(body, echo);
      } else {
        String whole = readAll(body, MOST_BODY_BYTES, true);
        add(CompletionJson.read(whole, echo), whole.length());
      }
    }
  }

  private void check(HttpTransport.Response response, InputStream body) throws IOException {
    int status = response.status();
    if (status == 200) {
      return;
    }
    readAll(body, MOST_ERROR_BYTES, false);
    throw failure(status, response.header("retry-after").orElse(""));
  }

  /** What a status means. What the body says is left out: it may repeat the prompt. */
  static RemoteException failure(int status, String retryAfter) {
    long wait = retryAfter.matches("\\d{1,6}") ? Long.parseLong(retryAfter) * 1000 : -1;
    switch (status) {
      case 401:
      case 403:
        return new RemoteException(Kind.AUTH, "the endpoint refuses the key (status " + status + ")", status, -1);
      case 429:
      case 502:
      case 503:
      case 504:
        return new RemoteException(Kind.BUSY, "the endpoint is busy (status " + status + ")", status, wait);
      default:
        return new RemoteException(Kind.REFUSED, status >= 300 && status < 400
            ? "the endpoint redirects (status " + status + "), which is not followed"
            : "the endpoint refuses the request (status " + status + ")", status, -1);
    }
  }

  private void readEvents(InputStream body, Echo echo) throws IOException {
    SseReader events = new SseReader(body);
    long counted = 0;
    boolean done = false;
    for (String data = events.next(); data != null && !done; data = done ? data : events.next()) {
      done = data.trim().equals("[DONE]");
      if (!done) {
        add(CompletionJson.read(data, echo), events.bytes() - counted);
        counted = events.bytes();
      }
    }
    synchronized (this) {
      bytesDown += events.bytes() - counted;
      if (!done && finishReason == null) {
        throw new RemoteException(Kind.CONNECTION, "the endpoint broke off in the midst of its answer");
      }
    }
  }

  private synchronized void add(CompletionJson.Part part, long bytes) {
    bytesDown += bytes;
    anyEvent = true;
    if (part.finishReason != null) {
      finishReason = part.finishReason;
    }
    if (part.completionTokens >= 0) {
      tokensReported = part.completionTokens;
    }
    if (part.promptTokens >= 0) {
      promptTokens = part.promptTokens;
    }
    for (RemoteToken token : part.tokens) {
      while (waiting.size() >= MOST_WAITING && !closed) {
        try {
          wait();
        } catch (InterruptedException e) {
          closed = true;
        }
      }
      if (closed) {
        throw new RemoteException(Kind.CANCELLED, "closed");
      }
      waiting.addLast(token);
      tokensSeen++;
    }
    notifyAll();
  }

  private static String readAll(InputStream in, int most, boolean strict) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    byte[] buffer = new byte[8192];
    for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
      if (all.size() + n > most) {
        if (strict) {
          throw new RemoteException(Kind.TOO_LARGE, "an answer of more than " + most + " bytes");
        }
        break;
      }
      all.write(buffer, 0, n);
    }
    return new String(all.toByteArray(), StandardCharsets.UTF_8);
  }

  private synchronized void end(@Nullable RemoteException e) {
    if (e == null) {
      ended = true;
    } else if (failure == null) {
      // A transport that is cut off reports that it is.
      failure = closed ? new RemoteException(Kind.CANCELLED, "closed") : e;
    }
    notifyAll();
  }

  /** Tells the breaker, once, how it went. A caller who stops says nothing about an endpoint that has not answered. */
  private void settle(@Nullable RemoteException e) {
    boolean answered;
    synchronized (this) {
      if (settled) {
        return;
      }
      settled = true;
      answered = anyEvent;
    }
    if (e == null || e.kind() == Kind.CANCELLED && answered || e.kind() == Kind.REFUSED && e.status() < 500) {
      breaker.success();
    } else if (e.kind() == Kind.CANCELLED) {
      breaker.abandoned();
    } else if (e.kind() == Kind.AUTH) {
      breaker.disable(String.valueOf(e.getMessage()));
    } else if (e.kind() == Kind.TIMEOUT) {
      breaker.late();
    } else {
      breaker.failure();
    }
  }

  @Override
  public synchronized String toString() {
    return "RemoteCall[" + tokensSeen + " tokens, " + attempts + " attempts, " + bytesUp + "+" + bytesDown + " bytes]";
  }
}
