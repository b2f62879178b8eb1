package io.github.llmmobile.edge;

import com.google.protobuf.ByteString;
import io.github.llmmobile.edge.keys.KeyWrap;
import io.github.llmmobile.edge.proto.Capabilities;
import io.github.llmmobile.edge.proto.ClientBody;
import io.github.llmmobile.edge.proto.ClientFrame;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Open;
import io.github.llmmobile.edge.proto.Ready;
import io.github.llmmobile.edge.proto.Sealed;
import io.github.llmmobile.edge.proto.ServerBody;
import io.github.llmmobile.edge.proto.ServerFrame;
import io.github.llmmobile.edge.proto.SplitInferenceGrpc;
import io.github.llmmobile.edge.proto.Step;
import io.github.llmmobile.edge.wire.FrameContext;
import io.github.llmmobile.edge.wire.FrameSealer;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.SealException;
import io.github.llmmobile.edge.wire.Wire;
import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.FloatBuffer;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assertions;

/** A client that can do everything wrong. */
final class RawClient implements AutoCloseable {
  /** What came: a frame, or the reason for the end. */
  private BlockingQueue<Object> received = new LinkedBlockingQueue<>();
  private final WorkerChannel channel;
  final Capabilities capabilities;
  private StreamObserver<byte[]> out;
  private byte[] openBytes;
  private Open open;
  private byte[] secret;
  FrameSealer up;
  FrameSealer down;

  RawClient(WorkerAddress address) {
    channel = new WorkerChannel(address);
    try {
      capabilities = channel.describe(10_000).capabilities();
    } catch (ProtocolException e) {
      throw new AssertionError(e);
    }
  }

  /** Messages as they are, and not always messages. */
  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] message) {
      return new ByteArrayInputStream(message);
    }

    @Override
    public byte[] parse(InputStream stream) {
      throw new UnsupportedOperationException();
    }
  }

  /** A sound Open, without the wrapped secrets. */
  Open.Builder soundOpen(long session, int epoch) {
    byte[] id = new byte[16];
    new Random(session).nextBytes(id);
    return Open.newBuilder().setProtocol(1).setSessionId(ByteString.copyFrom(id)).setEpoch(epoch)
        .setModel(capabilities.getModel()).setLayerBegin(capabilities.getLayerBegin())
        .setLayerEnd(capabilities.getLayerEnd()).setMaxPositions(256).setCodec(Wire.codec(RowCodec.F32))
        .setKeyId(capabilities.getKeyId());
  }

  /** Wraps fresh secrets into an Open, those of an owner among them. */
  byte[] wrap(Open.Builder builder, long owner) {
    byte[] secrets = new byte[64];
    new Random().nextBytes(secrets);
    byte[] own = new byte[32];
    new Random(owner).nextBytes(own);
    System.arraycopy(own, 0, secrets, 32, 32);
    secret = Arrays.copyOf(secrets, 32);
    open = builder.build();
    try {
      openBytes = open.toBuilder().setHpke(ByteString.copyFrom(
          KeyWrap.seal(capabilities.getPublicKey().toByteArray(), secrets, Wire.hpkeInfo(open)))).build().toByteArray();
    } catch (GeneralSecurityException e) {
      throw new AssertionError(e);
    }
    return openBytes;
  }

  /** Another stream; what came on the one before is forgotten. */
  void start() {
    MethodDescriptor<ClientFrame, ServerFrame> method = SplitInferenceGrpc.getSessionMethod();
    BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    this.received = received;
    out = ClientCalls.asyncBidiStreamingCall(channel.stub().getChannel().newCall(
        method.toBuilder(new Bytes(), method.getResponseMarshaller()).build(), CallOptions.DEFAULT),
        new StreamObserver<ServerFrame>() {
          @Override
          public void onNext(ServerFrame frame) {
            received.add(frame);
          }

          @Override
          public void onError(Throwable failure) {
            received.add(ProtocolException.of(failure));
          }

          @Override
          public void onCompleted() {
            received.add(new ProtocolException(Code.CODE_UNSPECIFIED, "completed"));
          }
        });
  }

  void send(byte[] message) {
    out.onNext(message);
  }

  void send(ClientFrame frame) {
    send(frame.toByteArray());
  }

  void sendOpen(byte[] bytes) {
    send(ClientFrame.newBuilder().setOpen(ByteString.copyFrom(bytes)).build());
  }

  /** A stream that is open. */
  Ready open(long session, int epoch, long owner) {
    start();
    sendOpen(wrap(soundOpen(session, epoch), owner));
    return ready();
  }

  Ready ready() {
    byte[] nonce = frame().getOpened().getServerNonce().toByteArray();
    FrameContext context = Wire.context(open, openBytes);
    up = FrameSealer.of(context, FrameSealer.Direction.UP, secret, nonce, FrameSealer.FRAMES_PER_KEY);
    down = FrameSealer.of(context, FrameSealer.Direction.DOWN, secret, nonce, FrameSealer.FRAMES_PER_KEY);
    return body().getReady();
  }

  Sealed seal(ClientBody body) {
    return Wire.seal(up, body);
  }

  void sendSealed(Sealed sealed) {
    send(ClientFrame.newBuilder().setSealed(sealed).build());
  }

  void send(ClientBody body) {
    sendSealed(seal(body));
  }

  /** Rows of a step that nothing is wrong with. */
  static Step.Builder step(int base, int rows, int topK) {
    FloatBuffer hidden = FloatBuffer.allocate(64 * rows);
    Random random = new Random(base);
    for (int i = 0; i < hidden.capacity(); i++) {
      hidden.put(i, (float) random.nextGaussian());
    }
    return Step.newBuilder().setBase(base).addSize(rows).setTopK(topK).setLabel(base + rows)
        .setRows(ByteString.copyFrom(RowCodec.F32.encode(hidden, 64)));
  }

  static ClientBody body(Step.Builder step) {
    return ClientBody.newBuilder().setStep(step).build();
  }

  private Object next() {
    try {
      Object next = received.poll(30, TimeUnit.SECONDS);
      Assertions.assertNotNull(next, "nothing came");
      return next;
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  ServerFrame frame() {
    Object next = next();
    if (next instanceof ProtocolException) {
      throw new AssertionError((ProtocolException) next);
    }
    return (ServerFrame) next;
  }

  ServerBody body() {
    Sealed sealed = frame().getSealed();
    try {
      return ServerBody.parseFrom(down.open(sealed.getSeq(), sealed.getCiphertext().toByteArray()));
    } catch (SealException | com.google.protobuf.InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
  }

  /** The reason for the end, after whatever else came. */
  ProtocolException end() {
    for (;;) {
      Object next = next();
      if (next instanceof ProtocolException) {
        return (ProtocolException) next;
      }
    }
  }

  /** Cuts the connection. */
  @Override
  public void close() {
    channel.close();
  }
}
