package io.github.llmmobile.edge.worker;

import com.google.protobuf.ByteString;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmMobile;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.edge.RowCodec;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.keys.KeyWrap;
import io.github.llmmobile.edge.policy.LayerCosts;
import io.github.llmmobile.edge.proto.Capabilities;
import io.github.llmmobile.edge.proto.ClientFrame;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.DescribeRequest;
import io.github.llmmobile.edge.proto.ServerFrame;
import io.github.llmmobile.edge.proto.SplitInferenceGrpc;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Wire;
import io.grpc.Server;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;
import io.grpc.netty.shaded.io.netty.handler.ssl.ClientAuth;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Serves the last layers of a model to many devices, as docs/edge-cloud.md describes. Needs
 * {@code io.grpc:grpc-netty-shaded}, which this module's users name themselves.
 *
 * <p>Threads: any. Closing frees all sessions.
 */
public final class Worker implements AutoCloseable {
  private static final int MAX_TOP_K = 256;
  private static final int FRAMING_BYTES = 1 << 16;
  private static final int OVERHEAD_PER_ROW = 16;
  private static final int SWEEP_MS = 200;
  private static final double NANOS_PER_MILLI = 1e6;
  private static final double NANOS_PER_MICRO = 1e3;
  private static final int MAX_STREAMS_PER_CONNECTION = 1024;

  private final WorkerOptions options;
  private final Engine engine;
  private final KeyWrap.KeyPair keys;
  private final WorkerMetrics metrics = new WorkerMetrics();
  private final HealthService health = new HealthService();
  private final Set<SessionStream> streams = ConcurrentHashMap.newKeySet();
  private final Admission admission;
  private final Sessions sessions;
  private final StepQueue queue;
  private final ScheduledExecutorService sweeper;
  private final Server server;

  private Worker(WorkerOptions options, Engine engine) throws IOException {
    this.options = options;
    this.engine = engine;
    keys = options.keys().map(KeyFolder::keyPair).orElseGet(KeyWrap::generate);
    int retryAfterMs = (int) Math.min(5000, Math.max(500, options.lease().toMillis()));
    admission = new Admission(options.maxSessions(), options.maxSessionsPerClient(), options.maxMemoryBytes(), retryAfterMs);
    queue = new StepQueue(options.parallelSteps());
    sessions = new Sessions(engine, queue, admission, keys, metrics);
    server = server();
    sweeper = Executors.newSingleThreadScheduledExecutor(task -> {
      Thread thread = new Thread(task, "llmm-worker-sweep");
      thread.setDaemon(true);
      return thread;
    });
    try {
      server.start();
    } catch (IOException e) {
      queue.close();
      sweeper.shutdownNow();
      throw e;
    }
    sweeper.scheduleWithFixedDelay(this::sweep, SWEEP_MS, SWEEP_MS, TimeUnit.MILLISECONDS);
  }

  /**
   * Loads the model's layers and begins to serve them.
   *
   * @param options what and where (required)
   * @return the worker; the caller closes it (never null)
   * @throws LlmException what loading a model throws; RANGE if the layers do not end with the last; INVALID_ARGUMENT if it
   *     would listen without TLS on more than the loopback interface; IO if it cannot listen or keys cannot be read
   */
  public static Worker start(WorkerOptions options) {
    if (!options.keys().isPresent()
        && (options.listen().isUnresolved() || !options.listen().getAddress().isLoopbackAddress())) {
      throw new LlmException(ErrorCode.INVALID_ARGUMENT, "without TLS a worker listens on the loopback interface alone,"
          + " not on " + options.listen().getHostString());
    }
    Engine engine = Engine.load(options);
    try {
      return new Worker(options, engine);
    } catch (IOException e) {
      engine.close();
      throw new LlmException(ErrorCode.IO, "cannot listen on " + options.listen().getHostString() + ":"
          + options.listen().getPort() + ": " + reason(e), e);
    } catch (RuntimeException e) {
      engine.close();
      throw e;
    }
  }

  private static String reason(Throwable failure) {
    Throwable cause = failure;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    return String.valueOf(cause.getMessage());
  }

  private Server server() throws IOException {
    NettyServerBuilder builder = NettyServerBuilder.forAddress(options.listen())
        .maxInboundMessageSize(maxMessageBytes())
        .maxConcurrentCallsPerConnection(MAX_STREAMS_PER_CONNECTION)
        .permitKeepAliveTime(5, TimeUnit.SECONDS)
        .permitKeepAliveWithoutCalls(false)
        // A worker that is started again takes its former place at once.
        .withOption(ChannelOption.SO_REUSEADDR, true)
        .intercept(new Clients())
        .addService(new Service())
        .addService(health);
    if (options.keys().isPresent()) {
      KeyFolder folder = options.keys().get();
      builder.sslContext(GrpcSslContexts
          .forServer(folder.workerCertificate().toFile(), folder.workerKey().toFile())
          .trustManager(folder.authority().toFile())
          .clientAuth(ClientAuth.REQUIRE)
          .protocols("TLSv1.3")
          .build());
    }
    return builder.build();
  }

  private int maxMessageBytes() {
    int width = engine.info().embedding();
    // A reduced row says besides its numbers which ones these are.
    int mask = engine.basis().isPresent() ? (width + 7) / 8 : 0;
    return Engine.MAX_ROWS * (RowCodec.F32.recordBytes(width) + mask + OVERHEAD_PER_ROW) + FRAMING_BYTES;
  }

  /** The service that devices talk to. */
  private final class Service extends SplitInferenceGrpc.SplitInferenceImplBase {
    @Override
    public void describe(DescribeRequest request, StreamObserver<Capabilities> answer) {
      if (request.getProtocolMin() > Wire.PROTOCOL_MAX || request.getProtocolMax() < Wire.PROTOCOL_MIN) {
        answer.onError(new ProtocolException(Code.PROTOCOL, "this worker speaks versions " + Wire.PROTOCOL_MIN + " to "
            + Wire.PROTOCOL_MAX + " of the protocol, the client " + request.getProtocolMin() + " to "
            + request.getProtocolMax()).toStatus());
        return;
      }
      ModelInfo info = engine.info();
      LayerCosts costs = engine.costs();
      Capabilities.Builder capabilities = Capabilities.newBuilder()
          .setProtocol(Math.min(request.getProtocolMax(), Wire.PROTOCOL_MAX))
          .setModel(info.fingerprint())
          .setArchitecture(info.architecture())
          .setNLayer(info.layers())
          .setDModel(info.embedding())
          .setNVocab(info.vocabulary())
          .setLayerBegin(engine.layerBegin())
          .setLayerEnd(info.layers())
          .setMaxPositions(engine.maxPositions())
          .setMaxStepPositions(Engine.MAX_ROWS)
          .setMaxMessageBytes(maxMessageBytes())
          .setMaxTopK(Math.min(MAX_TOP_K, info.vocabulary()))
          .setKeyId(KeyWrap.keyId(keys.publicKey()))
          .setBuild(LlmMobile.version())
          .setLastLayerNs((long) (costs.lastMs() * NANOS_PER_MILLI))
          .setLayerNs((long) (costs.layerMs() * NANOS_PER_MILLI))
          .setRowNs((long) (costs.rowMs() * NANOS_PER_MILLI))
          .setQueueNs((long) (metrics.recentQueueMicros() * NANOS_PER_MICRO));
      for (RowCodec codec : RowCodec.values()) {
        capabilities.addCodec(Wire.codec(codec));
      }
      engine.pages().ifPresent(pages -> capabilities.setPages(Wire.pages(pages)));
      engine.basis().ifPresent(basis -> capabilities.setBasis(ByteString.copyFrom(basis.digest())));
      if (!options.keys().isPresent()) {
        capabilities.setPublicKey(ByteString.copyFrom(keys.publicKey()));
      }
      answer.onNext(capabilities.build());
      answer.onCompleted();
    }

    @Override
    public StreamObserver<ClientFrame> session(StreamObserver<ServerFrame> out) {
      SessionStream[] self = new SessionStream[1];
      self[0] = new SessionStream(sessions, metrics, Clients.current(), (ServerCallStreamObserver<ServerFrame>) out,
          Math.min(MAX_TOP_K, engine.info().vocabulary()), (int) options.lease().toMillis(),
          () -> streams.remove(self[0]));
      streams.add(self[0]);
      return self[0];
    }
  }

  private void sweep() {
    for (SessionStream stream : streams) {
      if (stream.idle(options.idle().toNanos())) {
        stream.end(new ProtocolException(Code.IDLE, "nothing came for " + options.idle().toMillis() + " ms"));
      }
    }
    sessions.expire(options.lease().toNanos());
  }

  /**
   * Where the worker listens.
   *
   * @return the port
   */
  public int port() {
    return ((InetSocketAddress) server.getListenSockets().get(0)).getPort();
  }

  /**
   * The model.
   *
   * @return what it says about itself (never null)
   */
  public ModelInfo model() {
    return engine.info();
  }

  /**
   * Tokens that a session may hold.
   *
   * @return at least 1
   */
  public int maxPositions() {
    return engine.maxPositions();
  }

  /**
   * Bytes that a session takes that holds as many tokens as it may, in pages if there are any, weights apart.
   *
   * @return bytes of cache and work buffers
   */
  public long sessionBytes() {
    return engine.sessionBytes(engine.layerBegin(), engine.maxPositions(), engine.pages().orElse(null));
  }

  /**
   * Sessions at the moment, those included that are kept after their stream has broken.
   *
   * @return their number
   */
  public int sessionCount() {
    return admission.sessions();
  }

  /**
   * The worker's counters.
   *
   * @return text in Prometheus' format (never null)
   */
  public String metrics() {
    return metrics.text(admission.sessions(), admission.bytes(), sessions.draining());
  }

  /**
   * Goes down in good order: the health check says so, new sessions are refused, clients are told, and the streams that
   * there are get time to end.
   *
   * @param grace how long at most; steps that run are finished in any case (required)
   */
  public void drain(Duration grace) {
    sessions.drain();
    health.stop();
    server.shutdown();
    streams.forEach(stream -> stream.drain((int) grace.toMillis()));
    try {
      server.awaitTermination(grace.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    close();
  }

  /** Ends all streams and frees everything. Further calls do nothing. */
  @Override
  public void close() {
    sessions.drain();
    server.shutdownNow();
    sweeper.shutdownNow();
    queue.close();
    sessions.close();
    engine.close();
  }
}
