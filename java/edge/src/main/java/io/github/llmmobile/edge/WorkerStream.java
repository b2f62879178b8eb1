package io.github.llmmobile.edge;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.keys.KeyWrap;
import io.github.llmmobile.edge.proto.ClientBody;
import io.github.llmmobile.edge.proto.ClientFrame;
import io.github.llmmobile.edge.proto.Close;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Open;
import io.github.llmmobile.edge.proto.Ready;
import io.github.llmmobile.edge.proto.Rewind;
import io.github.llmmobile.edge.proto.Sealed;
import io.github.llmmobile.edge.proto.ServerBody;
import io.github.llmmobile.edge.proto.ServerFrame;
import io.github.llmmobile.edge.proto.Step;
import io.github.llmmobile.edge.wire.FrameContext;
import io.github.llmmobile.edge.wire.FrameSealer;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.SealException;
import io.github.llmmobile.edge.wire.Wire;
import io.grpc.stub.StreamObserver;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * One epoch of a session: a connection, a stream on it, its keys. Answers come in the order of what was asked. When
 * anything fails, everything that waits fails with the same reason, and the stream is good for nothing any more.
 *
 * <p>Threads: any; what is sent is sent in one order.
 */
final class WorkerStream implements AutoCloseable {
  private final WorkerChannel channel;
  private final WorkerInfo info;
  private final CompletableFuture<Ready> ready = new CompletableFuture<>();
  private final Deque<Pending> pending = new ArrayDeque<>();
  private final Semaphore credits = new Semaphore(0);
  private final Object sending = new Object();
  private final Runnable onTrouble;
  private final FrameContext context;
  private final byte[] secret;
  private @Nullable StreamObserver<ClientFrame> out;
  private @Nullable FrameSealer up;
  private @Nullable FrameSealer down;
  private volatile @Nullable ProtocolException failure;
  private volatile boolean draining;

  /** Who a session is, across its epochs. */
  static final class Identity {
    private final byte[] sessionId = new byte[Wire.SESSION_ID_BYTES];
    private final byte[] owner = new byte[Wire.SECRET_BYTES];
    private final String model;
    private final int layerBegin;
    private final int layerEnd;
    private final int maxPositions;
    private final RowFormat format;
    private final @Nullable SplitPages pages;

    Identity(SecureRandom random, String model, int layerBegin, int layerEnd, int maxPositions, RowFormat format,
        @Nullable SplitPages pages) {
      random.nextBytes(sessionId);
      random.nextBytes(owner);
      this.model = model;
      this.layerBegin = layerBegin;
      this.layerEnd = layerEnd;
      this.maxPositions = maxPositions;
      this.format = format;
      this.pages = pages;
    }
  }

  /** What a step is asked for. */
  static final class Wanted {
    static final Wanted NOTHING = new Wanted(0, false);

    final int topK;
    final boolean logSum;

    /**
     * Candidates.
     *
     * @param topK how many; 0 for none
     * @param logSum whether their logits are wanted too
     */
    Wanted(int topK, boolean logSum) {
      this.topK = topK;
      this.logSum = logSum;
    }
  }

  /** What a step gave. */
  static final class Answer {
    final byte[] candidates;
    /** NaN if the worker does not tell. */
    final float logSum;
    final int queueMicros;
    final int computeMicros;
    final int sentBytes;
    final int receivedBytes;
    final long nanos;
    /** Nothing else was under way when it was asked for. */
    final boolean alone;

    Answer(byte[] candidates, float logSum, int queueMicros, int computeMicros, int sentBytes, int receivedBytes, long nanos,
        boolean alone) {
      this.candidates = candidates;
      this.logSum = logSum;
      this.queueMicros = queueMicros;
      this.computeMicros = computeMicros;
      this.sentBytes = sentBytes;
      this.receivedBytes = receivedBytes;
      this.nanos = nanos;
      this.alone = alone;
    }
  }

  private static final class Pending {
    final ServerBody.BodyCase kind;
    final long seq;
    final int end;
    final int sentBytes;
    final boolean alone;
    final long sentNanos = System.nanoTime();
    final CompletableFuture<Answer> answer = new CompletableFuture<>();

    Pending(ServerBody.BodyCase kind, long seq, int end, int sentBytes, boolean alone) {
      this.kind = kind;
      this.seq = seq;
      this.end = end;
      this.sentBytes = sentBytes;
      this.alone = alone;
    }
  }

  private WorkerStream(WorkerChannel channel, WorkerInfo info, byte[] secret, FrameContext context,
      Runnable onTrouble) {
    this.channel = channel;
    this.info = info;
    this.secret = secret;
    this.context = context;
    this.onTrouble = onTrouble;
  }

  /**
   * Connects and opens the next epoch of a session.
   *
   * @param onTrouble told once when the stream fails or the worker is going down, on any thread
   */
  static WorkerStream open(WorkerAddress address, Identity identity, int epoch, long timeoutMs, Runnable onTrouble)
      throws ProtocolException, InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMs);
    WorkerChannel channel = new WorkerChannel(address, identity.sessionId);
    try {
      // Asked each time: another worker, or another version of it, may have taken the place of the last one.
      WorkerInfo info = channel.describe(timeoutMs);
      SecureRandom random = new SecureRandom();
      byte[] secrets = new byte[2 * Wire.SECRET_BYTES];
      random.nextBytes(secrets);
      System.arraycopy(identity.owner, 0, secrets, Wire.SECRET_BYTES, Wire.SECRET_BYTES);
      byte[] publicKey = address.keys().map(KeyFolder::publicKey)
          .orElseGet(() -> info.capabilities().getPublicKey().toByteArray());
      info.checkPages(identity.pages);
      Open.Builder asked = Open.newBuilder()
          .setProtocol(info.capabilities().getProtocol())
          .setSessionId(ByteString.copyFrom(identity.sessionId))
          .setEpoch(epoch)
          .setModel(identity.model)
          .setLayerBegin(identity.layerBegin)
          .setLayerEnd(identity.layerEnd)
          .setMaxPositions(identity.maxPositions)
          .setCodec(Wire.codec(identity.format.codec()))
          .setKeepDims(identity.format.keepDims())
          .setBasis(identity.format.basis().map(basis -> ByteString.copyFrom(basis.digest())).orElse(ByteString.EMPTY))
          .setKeyId(KeyWrap.keyId(publicKey));
      if (identity.pages != null) {
        asked.setPages(Wire.pages(identity.pages));
      }
      Open open = asked.build();
      byte[] bytes = open.toBuilder().setHpke(ByteString.copyFrom(wrap(publicKey, secrets, open))).build().toByteArray();
      WorkerStream stream = new WorkerStream(channel, info, Arrays.copyOf(secrets, Wire.SECRET_BYTES),
          Wire.context(open, bytes), onTrouble);
      Arrays.fill(secrets, (byte) 0);
      stream.start(bytes, deadline - System.nanoTime());
      return stream;
    } catch (ProtocolException | InterruptedException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  private static byte[] wrap(byte[] publicKey, byte[] secrets, Open open) throws ProtocolException {
    try {
      return KeyWrap.seal(publicKey, secrets, Wire.hpkeInfo(open));
    } catch (GeneralSecurityException | RuntimeException e) {
      throw new ProtocolException(Code.KEY_UNKNOWN, "the worker's key is none");
    }
  }

  private void start(byte[] open, long timeoutNanos) throws ProtocolException, InterruptedException {
    synchronized (sending) {
      StreamObserver<ClientFrame> to = channel.stub().session(new Receiver());
      to.onNext(ClientFrame.newBuilder().setOpen(ByteString.copyFrom(open)).build());
      out = to;
    }
    try {
      credits.release(ready.get(timeoutNanos, TimeUnit.NANOSECONDS).getCredits());
    } catch (TimeoutException e) {
      throw new ProtocolException(Code.CODE_UNSPECIFIED, "the worker does not answer in time");
    } catch (ExecutionException e) {
      throw reason(e);
    }
  }

  /** Why a future of this stream failed. */
  static ProtocolException reason(ExecutionException e) {
    return e.getCause() instanceof ProtocolException ? (ProtocolException) e.getCause()
        : new ProtocolException(Code.CODE_UNSPECIFIED, String.valueOf(e.getCause()));
  }

  WorkerInfo info() {
    return info;
  }

  WorkerChannel channel() {
    return channel;
  }

  /** What the worker had when the epoch began. */
  Ready ready() {
    return ready.join();
  }

  boolean draining() {
    return draining;
  }

  @Nullable ProtocolException failure() {
    return failure;
  }

  /** Waits until one more frame may be sent. */
  boolean awaitCredit(long timeoutNanos) throws InterruptedException {
    return credits.tryAcquire(timeoutNanos, TimeUnit.NANOSECONDS);
  }

  /** Sends rows; a credit was awaited. */
  CompletableFuture<Answer> step(RowHistory.Piece piece, Wanted wanted) {
    Step.Builder step = Step.newBuilder().setBase(piece.base).setRows(ByteString.copyFrom(piece.records))
        .setTopK(wanted.topK).setLogSum(wanted.logSum).setLabel(piece.label);
    for (int size : piece.sizes) {
      step.addSize(size);
    }
    return send(ClientBody.newBuilder().setStep(step).build(), ServerBody.BodyCase.RESULT, piece.end);
  }

  /** Drops positions at the worker; a credit was awaited. */
  CompletableFuture<Answer> rewind(int position) {
    return send(ClientBody.newBuilder().setRewind(Rewind.newBuilder().setPosition(position)).build(),
        ServerBody.BodyCase.REWOUND, position);
  }

  private CompletableFuture<Answer> send(ClientBody body, ServerBody.BodyCase kind, int end) {
    synchronized (sending) {
      FrameSealer sealer = up;
      StreamObserver<ClientFrame> to = out;
      ProtocolException broken = failure;
      if (sealer == null || to == null || broken != null) {
        CompletableFuture<Answer> failed = new CompletableFuture<>();
        failed.completeExceptionally(
            broken != null ? broken : new ProtocolException(Code.PROTOCOL, "the stream is not open"));
        return failed;
      }
      Sealed sealed = Wire.seal(sealer, body);
      ClientFrame frame = ClientFrame.newBuilder().setSealed(sealed).build();
      Pending waiting;
      synchronized (pending) {
        waiting = new Pending(kind, sealed.getSeq(), end, frame.getSerializedSize(), pending.isEmpty());
        pending.add(waiting);
      }
      to.onNext(frame);
      return waiting.answer;
    }
  }

  /** What the worker sends. gRPC calls it on the connection's thread, one call at a time. */
  private final class Receiver implements StreamObserver<ServerFrame> {
    @Override
    public void onNext(ServerFrame frame) {
      try {
        switch (frame.getFrameCase()) {
          case OPENED:
            opened(frame.getOpened().getServerNonce().toByteArray());
            return;
          case SEALED:
            handle(unseal(frame.getSealed()), frame.getSerializedSize());
            return;
          default:
            throw new ProtocolException(Code.PROTOCOL, "the worker sent something else than a sealed frame");
        }
      } catch (ProtocolException e) {
        fail(e);
      } catch (SealException | InvalidProtocolBufferException e) {
        fail(new ProtocolException(Code.SEAL, "the worker's frame does not open: " + e.getMessage()));
      }
    }

    @Override
    public void onError(Throwable error) {
      fail(ProtocolException.of(error));
    }

    @Override
    public void onCompleted() {
      fail(new ProtocolException(Code.CODE_UNSPECIFIED, "the worker ended the stream"));
    }
  }

  private void opened(byte[] nonce) throws ProtocolException {
    if (down != null || nonce.length != Wire.NONCE_BYTES) {
      throw new ProtocolException(Code.PROTOCOL, "the worker opened the stream in a wrong way");
    }
    down = FrameSealer.of(context, FrameSealer.Direction.DOWN, secret, nonce, FrameSealer.FRAMES_PER_KEY);
    FrameSealer sealer =
        FrameSealer.of(context, FrameSealer.Direction.UP, secret, nonce, FrameSealer.FRAMES_PER_KEY);
    Arrays.fill(secret, (byte) 0);
    synchronized (sending) {
      up = sealer;
    }
  }

  private ServerBody unseal(Sealed sealed)
      throws ProtocolException, SealException, InvalidProtocolBufferException {
    if (down == null) {
      throw new ProtocolException(Code.PROTOCOL, "a sealed frame came before the stream was open");
    }
    return ServerBody.parseFrom(down.open(sealed.getSeq(), sealed.getCiphertext().toByteArray()));
  }

  private void handle(ServerBody body, int bytes) throws ProtocolException {
    switch (body.getBodyCase()) {
      case READY:
        ready.complete(body.getReady());
        return;
      case DRAIN:
        draining = true;
        onTrouble.run();
        return;
      case RESULT:
        Pending step = next(ServerBody.BodyCase.RESULT);
        if (body.getResult().getSeq() != step.seq || body.getResult().getPosition() != step.end) {
          throw new ProtocolException(Code.PROTOCOL, "the worker answered something that was not asked");
        }
        answer(step, body.getResult().getCandidates().toByteArray(),
            body.getResult().hasLogSum() ? body.getResult().getLogSum() : Float.NaN, body.getResult().getQueueUs(),
            body.getResult().getComputeUs(), bytes);
        return;
      case REWOUND:
        answer(next(ServerBody.BodyCase.REWOUND), new byte[0], Float.NaN, 0, 0, bytes);
        return;
      default:
        throw new ProtocolException(Code.PROTOCOL, "the worker sent a message that is not known here");
    }
  }

  private Pending next(ServerBody.BodyCase kind) throws ProtocolException {
    Pending first;
    synchronized (pending) {
      first = pending.poll();
    }
    if (first == null || first.kind != kind) {
      throw new ProtocolException(Code.PROTOCOL, "the worker answered something that was not asked");
    }
    return first;
  }

  private void answer(Pending asked, byte[] candidates, float logSum, int queueMicros, int computeMicros, int bytes) {
    credits.release();
    asked.answer.complete(new Answer(candidates, logSum, queueMicros, computeMicros, asked.sentBytes, bytes,
        System.nanoTime() - asked.sentNanos, asked.alone));
  }

  private void fail(ProtocolException reason) {
    synchronized (sending) {
      if (failure != null) {
        return;
      }
      failure = reason;
    }
    ready.completeExceptionally(reason);
    Deque<Pending> failed;
    synchronized (pending) {
      failed = new ArrayDeque<>(pending);
      pending.clear();
    }
    failed.forEach(waiting -> waiting.answer.completeExceptionally(reason));
    // Whoever waits for a credit finds out when sending.
    credits.release(Short.MAX_VALUE);
    channel.close();
    onTrouble.run();
  }

  /** Tells the worker to forget the session, and cuts the connection. */
  void end() {
    synchronized (sending) {
      FrameSealer sealer = up;
      StreamObserver<ClientFrame> to = out;
      if (sealer != null && to != null && failure == null) {
        to.onNext(ClientFrame.newBuilder()
            .setSealed(Wire.seal(sealer, ClientBody.newBuilder().setClose(Close.getDefaultInstance()).build())).build());
        to.onCompleted();
      }
    }
    channel.end();
  }

  /** Cuts the connection; the worker keeps the session for a while. */
  @Override
  public void close() {
    fail(new ProtocolException(Code.CODE_UNSPECIFIED, "the stream was given up"));
  }
}
