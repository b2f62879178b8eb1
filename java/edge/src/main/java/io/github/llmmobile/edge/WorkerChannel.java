package io.github.llmmobile.edge;

import com.google.protobuf.ByteString;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.proto.DescribeRequest;
import io.github.llmmobile.edge.proto.SplitInferenceGrpc;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Wire;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.okhttp.OkHttpChannelBuilder;
import io.grpc.stub.MetadataUtils;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Base64;
import java.util.concurrent.TimeUnit;

/**
 * One connection to a worker, for one epoch: a connection that has gone silent is given up with it. gRPC's own retries are
 * off; WorkerLink alone tries again.
 */
final class WorkerChannel implements AutoCloseable {
  /** The wire's names: Java's platforms write them all in this way. */
  private static final String[] TLS = {"TLSv1.3"};
  private static final String[] CIPHERS = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"};
  private static final int END_MS = 500;
  /** For load balancers, which see nothing of what is within frames. */
  private static final Metadata.Key<String> SESSION =
      Metadata.Key.of("llmm-session", Metadata.ASCII_STRING_MARSHALLER);

  private final ManagedChannel channel;
  private final SplitInferenceGrpc.SplitInferenceStub stub;
  private final SplitInferenceGrpc.SplitInferenceBlockingStub blocking;

  WorkerChannel(WorkerAddress address) {
    this(address, new Metadata());
  }

  /** A connection of a session, whose name each call says: all of them should come to the same worker. */
  WorkerChannel(WorkerAddress address, byte[] sessionId) {
    this(address, named(sessionId));
  }

  private WorkerChannel(WorkerAddress address, Metadata headers) {
    channel = builder(address)
        .disableRetry()
        .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
        .build();
    stub = SplitInferenceGrpc.newStub(channel);
    blocking = SplitInferenceGrpc.newBlockingStub(channel);
  }

  private static Metadata named(byte[] sessionId) {
    Metadata headers = new Metadata();
    headers.put(SESSION, Base64.getUrlEncoder().withoutPadding().encodeToString(sessionId));
    return headers;
  }

  private static OkHttpChannelBuilder builder(WorkerAddress address) {
    if (!address.keys().isPresent()) {
      requireLoopback(address);
      return OkHttpChannelBuilder.forAddress(address.host(), address.port()).usePlaintext();
    }
    return OkHttpChannelBuilder.forAddress(address.host(), address.port())
        .sslSocketFactory(address.keys().get().clientSockets(address.pin().orElse(null)))
        .tlsConnectionSpec(TLS, CIPHERS);
  }

  private static void requireLoopback(WorkerAddress address) {
    try {
      if (InetAddress.getByName(address.host()).isLoopbackAddress()) {
        return;
      }
    } catch (UnknownHostException e) {
      throw new LlmException(ErrorCode.REMOTE_UNAVAILABLE, "no such host: " + address.host(), e);
    }
    throw new LlmException(ErrorCode.INVALID_ARGUMENT,
        "without TLS only workers on this machine are spoken to, not " + address);
  }

  WorkerInfo describe(long timeoutMs) throws ProtocolException {
    return describe(timeoutMs, 0);
  }

  /** The same with a number of bytes that mean nothing. */
  WorkerInfo describe(long timeoutMs, int padding) throws ProtocolException {
    try {
      return new WorkerInfo(blocking.withDeadlineAfter(timeoutMs, TimeUnit.MILLISECONDS).describe(
          DescribeRequest.newBuilder()
              .setProtocolMin(Wire.PROTOCOL_MIN).setProtocolMax(Wire.PROTOCOL_MAX)
              .setPadding(ByteString.copyFrom(new byte[padding])).build()));
    } catch (StatusRuntimeException e) {
      throw ProtocolException.of(e);
    }
  }

  SplitInferenceGrpc.SplitInferenceStub stub() {
    return stub;
  }

  /** Ends the connection once what was sent is through, and in any case soon. */
  void end() {
    channel.shutdown();
    try {
      channel.awaitTermination(END_MS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    channel.shutdownNow();
  }

  /** Cuts the connection. */
  @Override
  public void close() {
    channel.shutdownNow();
  }
}
