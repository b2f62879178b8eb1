package io.github.llmmobile.edge.worker;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.github.llmmobile.edge.proto.ClientBody;
import io.github.llmmobile.edge.proto.ClientFrame;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Drain;
import io.github.llmmobile.edge.proto.Opened;
import io.github.llmmobile.edge.proto.Ping;
import io.github.llmmobile.edge.proto.Pong;
import io.github.llmmobile.edge.proto.Ready;
import io.github.llmmobile.edge.proto.Result;
import io.github.llmmobile.edge.proto.Rewound;
import io.github.llmmobile.edge.proto.Sealed;
import io.github.llmmobile.edge.proto.ServerBody;
import io.github.llmmobile.edge.proto.ServerFrame;
import io.github.llmmobile.edge.proto.Step;
import io.github.llmmobile.edge.wire.FrameContext;
import io.github.llmmobile.edge.wire.FrameSealer;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.SealException;
import io.github.llmmobile.edge.wire.Wire;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.security.SecureRandom;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One stream: opens, unseals, orders, answers. gRPC calls the three methods of StreamObserver one at a time; work is done
 * on the session's lane; whatever goes out is sealed and sent under the lock of this object, in one order.
 */
final class SessionStream implements StreamObserver<ClientFrame> {
  /** Frames that may be under way: no more are taken from the connection, and the client's side stalls. */
  static final int CREDITS = 4;

  private static final Logger LOG = LoggerFactory.getLogger(SessionStream.class);
  private static final SecureRandom RANDOM = new SecureRandom();

  private final Sessions sessions;
  private final WorkerMetrics metrics;
  private final String client;
  private final ServerCallStreamObserver<ServerFrame> out;
  private final int maxTopK;
  private final int leaseMs;
  private final Runnable onEnd;
  private volatile long lastFrameNanos = System.nanoTime();
  private volatile boolean ended;
  private volatile Sessions.@Nullable Opening opening;
  private @Nullable FrameSealer up;
  private @Nullable FrameSealer down;

  SessionStream(Sessions sessions, WorkerMetrics metrics, String client, ServerCallStreamObserver<ServerFrame> out, int maxTopK,
      int leaseMs, Runnable onEnd) {
    this.sessions = sessions;
    this.metrics = metrics;
    this.client = client;
    this.out = out;
    this.maxTopK = maxTopK;
    this.leaseMs = leaseMs;
    this.onEnd = onEnd;
    out.disableAutoRequest();
    out.setOnCancelHandler(this::leave);
    // A message that cannot be read closes the call without any other word.
    out.setOnCloseHandler(this::leave);
    out.request(1);
  }

  @Override
  public void onNext(ClientFrame frame) {
    lastFrameNanos = System.nanoTime();
    if (ended) {
      return;
    }
    try {
      if (opening == null) {
        open(frame);
      } else {
        handle(unseal(frame));
      }
    } catch (ProtocolException e) {
      end(e);
    } catch (SealException e) {
      end(new ProtocolException(Code.SEAL, String.valueOf(e.getMessage())));
    } catch (RuntimeException e) {
      fail(e);
    }
  }

  private void open(ClientFrame frame) throws ProtocolException {
    if (frame.getFrameCase() != ClientFrame.FrameCase.OPEN) {
      throw new ProtocolException(Code.PROTOCOL, "the first frame is no Open");
    }
    byte[] bytes = frame.getOpen().toByteArray();
    Sessions.Opening opened = sessions.open(this, client, bytes);
    opening = opened;
    if (ended) {
      // Whoever ended the stream did not know of its session yet.
      sessions.detach(this, opened.entry);
      return;
    }
    byte[] nonce = new byte[Wire.NONCE_BYTES];
    RANDOM.nextBytes(nonce);
    FrameContext context = Wire.context(opened.open, bytes);
    up = FrameSealer.of(context, FrameSealer.Direction.UP, opened.secret, nonce, FrameSealer.FRAMES_PER_KEY);
    synchronized (this) {
      down = FrameSealer.of(context, FrameSealer.Direction.DOWN, opened.secret, nonce, FrameSealer.FRAMES_PER_KEY);
      if (!ended) {
        out.onNext(ServerFrame.newBuilder()
            .setOpened(Opened.newBuilder().setServerNonce(ByteString.copyFrom(nonce))).build());
      }
    }
    work(opened.entry, () -> attach(opened.entry));
  }

  private ClientBody unseal(ClientFrame frame) throws ProtocolException, SealException {
    if (frame.getFrameCase() != ClientFrame.FrameCase.SEALED || up == null) {
      throw new ProtocolException(Code.PROTOCOL, "a frame is not sealed");
    }
    Sealed sealed = frame.getSealed();
    metrics.receivedBytes.add(sealed.getCiphertext().size());
    byte[] plain = up.open(sealed.getSeq(), sealed.getCiphertext().toByteArray());
    try {
      return ClientBody.parseFrom(plain);
    } catch (InvalidProtocolBufferException e) {
      throw new ProtocolException(Code.PROTOCOL, "a frame holds no message");
    }
  }

  private void handle(ClientBody body) throws ProtocolException {
    Sessions.Opening opened = opened();
    Sessions.Entry entry = opened.entry;
    long seq = up == null ? 0 : up.next() - 1;
    switch (body.getBodyCase()) {
      case STEP:
        Step step = body.getStep();
        if (step.getTopK() < 0 || step.getTopK() > maxTopK) {
          throw new ProtocolException(Code.SHAPE, "a step wants " + step.getTopK() + " candidates");
        }
        long arrived = System.nanoTime();
        work(entry, () -> step(opened, step, seq, arrived));
        return;
      case REWIND:
        work(entry, () -> {
          entry.session.rewind(body.getRewind().getPosition());
          send(ServerBody.newBuilder()
              .setRewound(Rewound.newBuilder().setPosition(entry.session.position())).build());
        });
        return;
      case PING:
        Ping ping = body.getPing();
        work(entry, () -> send(ServerBody.newBuilder().setPong(Pong.newBuilder().setClientTime(ping.getClientTime())
            .setBytes(ping.getSerializedSize())).build()));
        return;
      case CLOSE:
        sessions.forget(entry);
        finish();
        return;
      default:
        throw new ProtocolException(Code.PROTOCOL, "a frame holds no message that is known here");
    }
  }

  private Sessions.Opening opened() {
    Sessions.Opening opened = opening;
    if (opened == null) {
      throw new IllegalStateException("not open");
    }
    return opened;
  }

  /** A piece of work on the session's lane. */
  private interface Work {
    void run() throws ProtocolException;
  }

  /** Work is dropped once the stream no longer has the session; afterwards there is room for one more frame. */
  private void work(Sessions.Entry entry, Work work) {
    entry.lane.add(() -> {
      if (ended || !sessions.has(this, entry)) {
        return;
      }
      try {
        work.run();
        out.request(1);
      } catch (ProtocolException e) {
        if (e.code() == Code.ENGINE) {
          sessions.forget(entry);
        }
        end(e);
      } catch (RuntimeException e) {
        sessions.forget(entry);
        fail(e);
      }
    });
  }

  private void attach(Sessions.Entry entry) {
    entry.session.prepare();
    send(ServerBody.newBuilder().setReady(Ready.newBuilder().setPosition(entry.session.position())
        .addAllLabel(entry.session.labels()).setCredits(CREDITS).setLeaseMs(leaseMs)).build());
    out.request(CREDITS - 1);
  }

  private void step(Sessions.Opening opened, Step step, long seq, long arrived) throws ProtocolException {
    Sessions.Entry entry = opened.entry;
    long begin = System.nanoTime();
    Result.Builder result = Result.newBuilder().setSeq(seq);
    entry.session.step(step, opened.format, result);
    long end = System.nanoTime();
    long queueMicros = TimeUnit.NANOSECONDS.toMicros(begin - arrived);
    long computeMicros = TimeUnit.NANOSECONDS.toMicros(end - begin);
    metrics.steps.increment();
    step.getSizeList().forEach(metrics.rows::add);
    metrics.queued(queueMicros);
    metrics.computeMicros.add(computeMicros);
    result.setQueueUs((int) queueMicros).setComputeUs((int) computeMicros);
    send(ServerBody.newBuilder().setResult(result).build());
  }

  private synchronized void send(ServerBody body) {
    if (ended || down == null) {
      return;
    }
    Sealed sealed = Wire.seal(down, body);
    metrics.sentBytes.add(sealed.getCiphertext().size());
    out.onNext(ServerFrame.newBuilder().setSealed(sealed).build());
  }

  /** Tells the client that the worker goes down. */
  void drain(int graceMs) {
    send(ServerBody.newBuilder().setDrain(Drain.newBuilder().setGraceMs(graceMs)).build());
  }

  /** Whether nothing has come for a time. */
  boolean idle(long nanos) {
    return System.nanoTime() - lastFrameNanos >= nanos;
  }

  /** Ends the stream with a reason. Further calls do nothing. */
  void end(ProtocolException reason) {
    synchronized (this) {
      if (ended) {
        return;
      }
      ended = true;
      out.onError(reason.toStatus());
    }
    metrics.ended(reason.code());
    detach();
  }

  /** A failure that nothing foresaw. What it says stays here. */
  private void fail(RuntimeException e) {
    LOG.error("a stream failed", e);
    end(new ProtocolException(Code.ENGINE, "the worker failed"));
  }

  private void finish() {
    synchronized (this) {
      if (ended) {
        return;
      }
      ended = true;
      out.onCompleted();
    }
    detach();
  }

  private void leave() {
    synchronized (this) {
      if (ended) {
        return;
      }
      ended = true;
    }
    detach();
  }

  private void detach() {
    Sessions.Opening opened = opening;
    if (opened != null) {
      sessions.detach(this, opened.entry);
    }
    onEnd.run();
  }

  @Override
  public void onError(Throwable failure) {
    LOG.debug("a client went away: {}", Status.fromThrowable(failure).getCode());
    leave();
  }

  @Override
  public void onCompleted() {
    finish();
  }
}
