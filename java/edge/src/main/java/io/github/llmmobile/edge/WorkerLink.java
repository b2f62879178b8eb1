package io.github.llmmobile.edge;

import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.policy.SplitPolicy;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Label;
import io.github.llmmobile.edge.wire.ProtocolException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * A session's tie to its worker. A step either comes back in time or not at all: the caller then makes the token itself.
 * Meanwhile a thread of the link's own, the only place that tries anything again, opens the next epoch, brings the worker
 * up to date, and puts the new stream in place.
 *
 * <p>Threads: steps and rewinds come from one thread at a time; closing from any.
 */
final class WorkerLink implements AutoCloseable {
  /** Why there is no answer when the wait was ended. */
  static final String CANCELLED = "cancelled";

  /** A stream that has been silent for so long after a deadline is given up. */
  private static final long STALL_NANOS = TimeUnit.SECONDS.toNanos(2);
  /** A worker that lags by so few rows gets them with the next step. */
  private static final int FEW_ROWS = 16;
  private static final long BACKOFF_MS = 100;
  private static final long MAX_BACKOFF_MS = 2000;
  private static final long CATCH_UP_NANOS = TimeUnit.SECONDS.toNanos(30);

  private final WorkerAddress address;
  private final WorkerStream.Identity identity;
  private final RowHistory history;
  private final SplitOptions options;
  private final SplitPolicy policy;
  private final SplitStats.Recorder stats;
  private final Deadlines deadlines;
  private final Thread thread;
  // Guarded by this.
  private @Nullable WorkerStream stream;
  private int position;
  private @Nullable CompletableFuture<WorkerStream.Answer> late;
  private long lateSince;
  private int epoch;
  private @Nullable ProtocolException lastFailure;
  private boolean refused;
  private boolean resting;
  private boolean allowed = true;
  private boolean probing;
  private boolean closed;

  WorkerLink(WorkerAddress address, WorkerStream.Identity identity, RowHistory history, SplitOptions options,
      SplitPolicy policy, SplitStats.Recorder stats) {
    this.address = address;
    this.identity = identity;
    this.history = history;
    this.options = options;
    this.policy = policy;
    this.stats = stats;
    deadlines = new Deadlines(options.stepDeadline());
    thread = new Thread(this::keepConnected, "llmm-edge-link");
    thread.setDaemon(true);
  }

  /** What became of a step. */
  static final class Outcome {
    final WorkerStream.@Nullable Answer answer;
    final String reason;

    private Outcome(WorkerStream.@Nullable Answer answer, String reason) {
      this.answer = answer;
      this.reason = reason;
    }

    private static Outcome failed(String reason) {
      return new Outcome(null, reason);
    }
  }

  /** Connects for the first time, on the caller's thread. From then on the link sees to itself. */
  void connect() throws ProtocolException, InterruptedException {
    try {
      attempt();
    } catch (ProtocolException e) {
      synchronized (this) {
        lastFailure = e;
        refused = !e.passes();
      }
      throw e;
    } finally {
      thread.start();
    }
  }

  /**
   * Begins without a worker.
   *
   * @param failure why, if it was asked and did not answer
   */
  void connectLater(@Nullable ProtocolException failure) {
    synchronized (this) {
      lastFailure = failure;
    }
    thread.start();
  }

  /** Why there is no stream, if there is none. */
  synchronized @Nullable ProtocolException lastFailure() {
    return stream == null ? lastFailure : null;
  }

  /**
   * Whether anything may be sent. Meanwhile a stream that there is stays, as long as the worker keeps it, and none is
   * opened.
   */
  synchronized void allow(boolean now) {
    if (now != allowed) {
      allowed = now;
      // What the worker ended while nothing was to do is gone back to in the background, for there may be much to send.
      resting = false;
      notifyAll();
    }
  }

  /** Has the way measured, on the link's own thread. */
  synchronized void probe() {
    if (!probing && !refused) {
      probing = true;
      policy.link().probed();
      notifyAll();
    }
  }

  /** Rows that the next step has to bring: the worker's gap. */
  synchronized int gap() {
    return history.size() - position;
  }

  /** Sends what there is, as far as that needs no waiting. */
  void sendAhead() throws InterruptedException {
    WorkerStream current;
    synchronized (this) {
      current = stream;
      if (current == null || late != null) {
        return;
      }
    }
    while (gap() > 0 && current.awaitCredit(0)) {
      send(current, WorkerStream.Wanted.NOTHING);
    }
  }

  /**
   * Brings the worker up to date and asks for candidates.
   *
   * @param wanted which
   * @param cancel ends the wait when it is completed
   * @return the answer, or why there is none in time
   */
  Outcome step(WorkerStream.Wanted wanted, CompletableFuture<Void> cancel) throws InterruptedException {
    WorkerStream current;
    CompletableFuture<WorkerStream.Answer> last;
    synchronized (this) {
      wake();
      // Asked again for what was asked before: that answer will do, if it comes.
      last = position == history.size() ? late : null;
      String reason = last == null ? unusable() : null;
      current = stream;
      if (reason != null || current == null) {
        return Outcome.failed(reason == null ? "connecting" : reason);
      }
    }
    if (last == null && gap() == 0 && !stepBack(current)) {
      return tooLate(current, null);
    }
    int rows = gap();
    long deadline = System.nanoTime() + deadlines.forRows(Math.max(1, rows));
    try {
      while (gap() > 0) {
        if (!current.awaitCredit(deadline - System.nanoTime())) {
          return tooLate(current, last);
        }
        last = send(current, wanted);
      }
      if (last == null) {
        throw new IllegalStateException("a step without rows");
      }
      CompletableFuture.anyOf(last, cancel).get(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
      if (!last.isDone()) {
        waitFor(current, last);
        return Outcome.failed(CANCELLED);
      }
      WorkerStream.Answer answer = last.get();
      synchronized (this) {
        late = null;
      }
      deadlines.record(Math.max(1, rows), answer.nanos);
      return new Outcome(answer, "");
    } catch (TimeoutException e) {
      return tooLate(current, last);
    } catch (ExecutionException e) {
      ProtocolException reason = WorkerStream.reason(e);
      drop(current, reason);
      return Outcome.failed(Failures.reason(reason));
    }
  }

  /** A worker that has got all rows while it was brought up to date gets the last batch again, to give candidates. */
  private boolean stepBack(WorkerStream current) throws InterruptedException {
    int to = history.cutAt(history.lastBatch());
    if (!current.awaitCredit(STALL_NANOS)) {
      return false;
    }
    current.rewind(to);
    synchronized (this) {
      position = to;
    }
    return true;
  }

  /** A worker that ended the stream because nothing was to do is gone back to, and waited for. Called with the lock. */
  private void wake() throws InterruptedException {
    if (resting) {
      resting = false;
      notifyAll();
      awaitStream(options.connectTimeout().toNanos());
    }
  }

  /** Why a step cannot be tried. Called with the lock. */
  private @Nullable String unusable() {
    WorkerStream current = stream;
    if (current == null) {
      return refused ? "refused" : "connecting";
    }
    ProtocolException failure = current.failure();
    if (failure != null) {
      drop(current, failure);
      return Failures.reason(failure);
    }
    if (current.draining()) {
      drop(current, new ProtocolException(Code.DRAINING, "the worker is going down"));
      return "draining";
    }
    if (late == null) {
      return null;
    }
    if (late.isDone()) {
      late = null;
      return null;
    }
    if (stalled()) {
      drop(current, new ProtocolException(Code.CODE_UNSPECIFIED, "the worker has stopped answering"));
      return "stalled";
    }
    return "late";
  }

  private Outcome tooLate(WorkerStream current, @Nullable CompletableFuture<WorkerStream.Answer> last) {
    stats.missed();
    policy.link().outage();
    if (last == null) {
      drop(current, new ProtocolException(Code.CODE_UNSPECIFIED, "the worker has stopped answering"));
    } else {
      waitFor(current, last);
    }
    return Outcome.failed("deadline");
  }

  /** An answer that nobody waits for any more, but that tells whether the worker is alive. */
  private synchronized void waitFor(WorkerStream current, CompletableFuture<WorkerStream.Answer> answer) {
    if (stream != current || answer.isCompletedExceptionally() || late == answer && !stalled()) {
      return;
    }
    if (late == answer) {
      drop(current, new ProtocolException(Code.CODE_UNSPECIFIED, "the worker has stopped answering"));
      return;
    }
    late = answer;
    lateSince = System.nanoTime();
  }

  private boolean stalled() {
    return System.nanoTime() - lateSince > STALL_NANOS;
  }

  /** Sends the next rows. The last ones of all ask for candidates. */
  private CompletableFuture<WorkerStream.Answer> send(WorkerStream current, WorkerStream.Wanted wanted) {
    RowHistory.Piece piece;
    synchronized (this) {
      piece = history.piece(position, maxRows(current), !options.exactReplay());
      position = piece.end;
    }
    boolean all = piece.end == history.size();
    return current.step(piece, all ? wanted : WorkerStream.Wanted.NOTHING).whenComplete((answer, failure) -> {
      if (answer != null) {
        transferred(answer);
      }
    });
  }

  private void transferred(WorkerStream.Answer answer) {
    stats.transferred(answer.sentBytes, answer.receivedBytes);
    if (answer.alone) {
      policy.transferred(answer.sentBytes,
          answer.nanos - TimeUnit.MICROSECONDS.toNanos((long) answer.queueMicros + answer.computeMicros));
    }
  }

  private int maxRows(WorkerStream current) {
    return Math.min(SplitSession.MAX_BATCH, current.info().capabilities().getMaxStepPositions());
  }

  /**
   * Drops positions here and at the worker.
   *
   * @return how far whoever has more must go back
   */
  int rewind(int size) throws InterruptedException {
    WorkerStream current;
    int cut;
    synchronized (this) {
      cut = history.truncate(size);
      current = stream;
      if (current == null || position <= size) {
        return cut;
      }
      position = cut;
      if (late != null) {
        drop(current, new ProtocolException(Code.CODE_UNSPECIFIED, "a late answer is of no use any more"));
        return cut;
      }
    }
    if (current.awaitCredit(STALL_NANOS)) {
      current.rewind(cut);
    } else {
      drop(current, new ProtocolException(Code.CODE_UNSPECIFIED, "the worker has stopped answering"));
    }
    return cut;
  }

  /**
   * Waits for a stream.
   *
   * @return false if there is none in time, or never will be
   */
  synchronized boolean awaitStream(long timeoutNanos) throws InterruptedException {
    long deadline = System.nanoTime() + timeoutNanos;
    while (stream == null && !refused && !closed) {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left <= 0) {
        return false;
      }
      wait(left);
    }
    return stream != null;
  }

  /** The worker sends what no worker sends. It is not used again. */
  void distrust(String what) {
    WorkerStream current;
    synchronized (this) {
      current = stream;
    }
    if (current != null) {
      drop(current, new ProtocolException(Code.PROTOCOL, what));
    }
  }

  /** A stream is good for nothing any more; the thread will see to another. */
  private void drop(WorkerStream broken, ProtocolException reason) {
    synchronized (this) {
      if (stream != broken) {
        return;
      }
      stream = null;
      late = null;
      lastFailure = reason;
      refused = !reason.passes();
      resting = reason.code() == Code.IDLE;
      notifyAll();
    }
    stats.lost();
    if (reason.code() == Code.CODE_UNSPECIFIED) {
      policy.link().outage();
    }
    broken.close();
  }

  /** A stream failed or its worker is going down. It may not be in place yet. */
  private synchronized void trouble() {
    WorkerStream current = stream;
    if (current != null && current.failure() != null) {
      drop(current, current.failure());
    }
  }

  // ---- the link's own thread ------------------------------------------------------------------------------------

  private void keepConnected() {
    long backoff = BACKOFF_MS;
    try {
      while (awaitNeed()) {
        if (probeDue()) {
          measure();
          continue;
        }
        try {
          attempt();
          backoff = BACKOFF_MS;
        } catch (ProtocolException e) {
          synchronized (this) {
            lastFailure = e;
            refused = !e.passes();
            // Not all at once, where many have lost the same worker.
            long pause = Math.max(backoff, e.retryAfterMs());
            pauseFor((long) (pause * ThreadLocalRandom.current().nextDouble(0.8, 1.2)));
          }
          backoff = Math.min(2 * backoff, MAX_BACKOFF_MS);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized boolean awaitNeed() throws InterruptedException {
    while (!closed && !probing && (stream != null || refused || resting || !allowed)) {
      wait();
    }
    return !closed;
  }

  private synchronized void pauseFor(long millis) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    long left = millis;
    while (!closed && left > 0) {
      wait(left);
      left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
    }
  }

  private synchronized boolean probeDue() {
    return probing;
  }

  private void measure() {
    WorkerStream current;
    synchronized (this) {
      current = stream;
    }
    stats.probed();
    try {
      if (current != null) {
        LinkProbe.run(current.channel(), policy, options.connectTimeout().toMillis());
      } else {
        try (WorkerChannel own = new WorkerChannel(address)) {
          LinkProbe.run(own, policy, options.connectTimeout().toMillis());
        }
      }
    } catch (ProtocolException | LlmException e) {
      // Nothing is known then, and the gate stays as it is.
    } finally {
      synchronized (this) {
        probing = false;
      }
    }
  }

  private void attempt() throws ProtocolException, InterruptedException {
    int next;
    synchronized (this) {
      next = ++epoch;
    }
    WorkerStream opened =
        WorkerStream.open(address, identity, next, options.connectTimeout().toMillis(), this::trouble);
    boolean placed = false;
    try {
      placed = catchUp(opened);
    } catch (ExecutionException e) {
      throw WorkerStream.reason(e);
    } catch (TimeoutException e) {
      throw new ProtocolException(Code.CODE_UNSPECIFIED, "the worker does not answer in time");
    } finally {
      if (!placed) {
        opened.close();
      }
    }
  }

  /**
   * Gives the worker what it lacks while tokens are made here, and puts the stream in place. Where the history is cut off on
   * the way, so is what the worker has got.
   */
  private boolean catchUp(WorkerStream opened)
      throws InterruptedException, ExecutionException, TimeoutException, ProtocolException {
    Deque<Label> known = new ArrayDeque<>(opened.ready().getLabelList());
    int at = opened.ready().getPosition();
    int truncations = -1;
    for (;;) {
      if (history.truncations() != truncations) {
        truncations = history.truncations();
        int same = resumeAt(known);
        if (same < at) {
          int cut = history.cutAt(same);
          credit(opened);
          opened.rewind(cut).get(CATCH_UP_NANOS, TimeUnit.NANOSECONDS);
          known.removeIf(label -> label.getPosition() > cut);
          at = cut;
        }
      }
      RowHistory.Piece piece;
      synchronized (this) {
        if (closed || !allowed) {
          return false;
        }
        if (history.truncations() != truncations) {
          continue;
        }
        if (history.size() - at <= FEW_ROWS) {
          if (opened.failure() != null) {
            throw opened.failure();
          }
          stream = opened;
          position = at;
          late = null;
          lastFailure = null;
          stats.connected();
          notifyAll();
          return true;
        }
        piece = history.piece(at, maxRows(opened), !options.exactReplay());
      }
      credit(opened);
      WorkerStream.Answer answer = opened.step(piece, WorkerStream.Wanted.NOTHING).get(CATCH_UP_NANOS, TimeUnit.NANOSECONDS);
      transferred(answer);
      stats.replayed(piece.end - at);
      at = piece.end;
      known.addFirst(Label.newBuilder().setPosition(piece.end).setLabel(piece.label).build());
    }
  }

  private static void credit(WorkerStream opened) throws InterruptedException, TimeoutException {
    if (!opened.awaitCredit(CATCH_UP_NANOS)) {
      throw new TimeoutException();
    }
  }

  /** The longest part of the history that the worker has under the same name. */
  private int resumeAt(Deque<Label> known) {
    for (Label label : known) {
      OptionalLong own = history.labelAt(label.getPosition());
      if (own.isPresent() && own.getAsLong() == label.getLabel()) {
        return label.getPosition();
      }
    }
    return 0;
  }

  /** Ends the session at the worker, if it can be told. */
  @Override
  public void close() {
    WorkerStream current;
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
      current = stream;
      stream = null;
      notifyAll();
    }
    if (current != null) {
      current.end();
    }
    thread.interrupt();
  }
}
