package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.edge.health.HealthCheckRequest;
import io.github.llmmobile.edge.health.HealthCheckResponse;
import io.github.llmmobile.edge.health.HealthCheckResponse.ServingStatus;
import io.github.llmmobile.edge.health.HealthGrpc;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.proto.ClientBody;
import io.github.llmmobile.edge.proto.ClientFrame;
import io.github.llmmobile.edge.proto.Close;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Codec;
import io.github.llmmobile.edge.proto.DescribeRequest;
import io.github.llmmobile.edge.proto.Open;
import io.github.llmmobile.edge.proto.Ping;
import io.github.llmmobile.edge.proto.Ready;
import io.github.llmmobile.edge.proto.Rewind;
import io.github.llmmobile.edge.proto.Sealed;
import io.github.llmmobile.edge.proto.ServerBody;
import io.github.llmmobile.edge.proto.SplitInferenceGrpc;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.worker.Worker;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.okhttp.OkHttpChannelBuilder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a worker says to clients that do not play by the rules, and that it lives on. */
@Timeout(120)
class WorkerProtocolTest {
  private Worker worker;

  @BeforeEach
  void start() {
    worker = Worker.start(SplitFixture.workerOptions().maxSessions(4).build());
  }

  @AfterEach
  void stop() {
    worker.close();
  }

  private RawClient client() {
    return new RawClient(SplitFixture.address(worker));
  }

  private void refusesOpen(Code code, Consumer<Open.Builder> fault) {
    try (RawClient client = client()) {
      Open.Builder open = client.soundOpen(1, 1);
      fault.accept(open);
      client.start();
      client.sendOpen(client.wrap(open, 1));
      assertEquals(code, client.end().code());
    }
  }

  private void refusesFrame(Code code, Consumer<RawClient> fault) {
    try (RawClient client = client()) {
      client.open(1, 1, 1);
      fault.accept(client);
      assertEquals(code, client.end().code());
    }
    // The session is still there, or makes room: the next one gets in.
    Eventually.await("room for another session", () -> worker.sessionCount() <= 1);
    try (RawClient next = client()) {
      next.open(2, 1, 1);
      next.send(ClientBody.newBuilder().setClose(Close.getDefaultInstance()).build());
      next.end();
    }
    forget();
  }

  /** Ends the session of {@link #refusesFrame}, whose stream has broken. */
  private void forget() {
    try (RawClient client = client()) {
      client.open(1, 100, 1);
      client.send(ClientBody.newBuilder().setClose(Close.getDefaultInstance()).build());
      client.end();
    }
    Eventually.await("no sessions", () -> worker.sessionCount() == 0);
  }

  @Test
  void anOpenMustFitTheWorker() {
    refusesOpen(Code.PROTOCOL, open -> open.setProtocol(2));
    refusesOpen(Code.PROTOCOL, open -> open.setProtocol(0));
    refusesOpen(Code.MODEL_MISMATCH, open -> open.setModel("0000000000000000"));
    refusesOpen(Code.MODEL_MISMATCH, open -> open.setLayerBegin(0));
    refusesOpen(Code.MODEL_MISMATCH, open -> open.setLayerBegin(5));
    refusesOpen(Code.MODEL_MISMATCH, open -> open.setLayerBegin(-1));
    refusesOpen(Code.MODEL_MISMATCH, open -> open.setLayerEnd(4));
    refusesOpen(Code.CODEC_UNKNOWN, open -> open.setCodec(Codec.CODEC_UNSPECIFIED));
    refusesOpen(Code.CODEC_UNKNOWN, open -> open.setCodecValue(99));
    refusesOpen(Code.BASIS_MISMATCH, open -> open.setKeepDims(10));
    refusesOpen(Code.BASIS_MISMATCH, open -> open.setKeepDims(-1).setBasis(ByteString.copyFrom(new byte[32])));
    refusesOpen(Code.CONTEXT_FULL, open -> open.setMaxPositions(TinyModels.CONTEXT + 1));
    refusesOpen(Code.CONTEXT_FULL, open -> open.setMaxPositions(0));
    refusesOpen(Code.SHAPE, open -> open.setSessionId(ByteString.copyFrom(new byte[15])));
    refusesOpen(Code.SHAPE, open -> open.setEpoch(0));
    refusesOpen(Code.KEY_UNKNOWN, open -> open.setKeyId(7));
    assertEquals(0, worker.sessionCount());
  }

  @Test
  void theSecretsAreBoundToTheirOpen() {
    try (RawClient client = client()) {
      client.start();
      byte[] wrapped = client.wrap(client.soundOpen(1, 1), 1);
      // The same secrets under another epoch.
      try {
        client.sendOpen(Open.parseFrom(wrapped).toBuilder().setEpoch(2).build().toByteArray());
      } catch (com.google.protobuf.InvalidProtocolBufferException e) {
        throw new AssertionError(e);
      }
      assertEquals(Code.KEY_UNKNOWN, client.end().code());
    }
  }

  @Test
  void stepsMustFitTheSession() {
    refusesFrame(Code.POSITION_GAP, c -> c.send(RawClient.body(RawClient.step(1, 1, 1))));
    refusesFrame(Code.SHAPE, c -> c.send(RawClient.body(RawClient.step(0, 1, 1).clearSize())));
    refusesFrame(Code.SHAPE, c -> c.send(RawClient.body(RawClient.step(0, 1, 1).clearSize().addSize(-1))));
    refusesFrame(Code.SHAPE, c -> c.send(RawClient.body(RawClient.step(0, 1, 1).clearSize().addSize(1 << 30))));
    refusesFrame(Code.SHAPE, c -> c.send(RawClient.body(RawClient.step(0, 1, 1).addSize(1))));
    refusesFrame(Code.SHAPE, c -> c.send(RawClient.body(RawClient.step(0, 1, 100_000))));
    refusesFrame(Code.SHAPE, c -> c.send(RawClient.body(RawClient.step(0, 1, -1))));
    refusesFrame(Code.CONTEXT_FULL, c -> c.send(RawClient.body(RawClient.step(0, 257, 1))));
    refusesFrame(Code.NOT_FINITE, c -> {
      byte[] rows = RawClient.step(0, 2, 1).getRows().toByteArray();
      rows[4 * 70 + 3] = 0x7F;
      rows[4 * 70 + 2] = (byte) 0xC0;
      c.send(RawClient.body(RawClient.step(0, 2, 1).setRows(ByteString.copyFrom(rows))));
    });
    refusesFrame(Code.POSITION_GAP, c ->
        c.send(ClientBody.newBuilder().setRewind(Rewind.newBuilder().setPosition(1)).build()));
    refusesFrame(Code.PROTOCOL, c -> c.send(ClientBody.getDefaultInstance()));
  }

  @Test
  void framesMustBeSealedInOrderAndOnce() {
    refusesFrame(Code.PROTOCOL, c -> c.send(ClientFrame.getDefaultInstance()));
    refusesFrame(Code.PROTOCOL, c -> c.sendOpen(new byte[10]));
    refusesFrame(Code.SEAL, c -> {
      Sealed step = c.seal(RawClient.body(RawClient.step(0, 1, 1)));
      c.sendSealed(step);
      c.sendSealed(step);
    });
    refusesFrame(Code.SEAL, c -> {
      c.seal(RawClient.body(RawClient.step(0, 1, 1)));
      c.sendSealed(c.seal(RawClient.body(RawClient.step(1, 1, 1))));
    });
    refusesFrame(Code.SEAL, c -> {
      Sealed step = c.seal(RawClient.body(RawClient.step(0, 1, 1)));
      byte[] changed = step.getCiphertext().toByteArray();
      changed[20] ^= 1;
      c.sendSealed(step.toBuilder().setCiphertext(ByteString.copyFrom(changed)).build());
    });
  }

  @Test
  void anotherStreamTakesTheSessionOver() {
    try (RawClient first = client(); RawClient second = client(); RawClient stale = client();
        RawClient thief = client()) {
      first.open(1, 1, 1);
      first.send(RawClient.body(RawClient.step(0, 3, 2)));
      assertEquals(3, first.body().getResult().getPosition());
      thief.start();
      thief.sendOpen(thief.wrap(thief.soundOpen(1, 5), 2));
      assertEquals(Code.SEAL, thief.end().code());
      Ready ready = second.open(1, 2, 1);
      assertEquals(Code.TAKEN_OVER, first.end().code());
      assertEquals(3, ready.getPosition());
      assertEquals(3, ready.getLabel(0).getLabel());
      stale.start();
      stale.sendOpen(stale.wrap(stale.soundOpen(1, 2), 1));
      assertEquals(Code.STALE_EPOCH, stale.end().code());
      second.send(RawClient.body(RawClient.step(3, 1, 2)));
      assertEquals(4, second.body().getResult().getPosition());
      assertEquals(1, worker.sessionCount());
    }
  }

  /** Who records an Open can open a stream with it, once the session is forgotten, but not say or read anything. */
  @Test
  void aRecordedSessionIsOfNoUse() {
    byte[] open;
    Sealed step;
    try (RawClient client = client()) {
      client.start();
      open = client.wrap(client.soundOpen(1, 1), 1);
      client.sendOpen(open);
      client.ready();
      step = client.seal(RawClient.body(RawClient.step(0, 1, 1)));
      client.sendSealed(step);
      client.body();
      client.send(ClientBody.newBuilder().setClose(Close.getDefaultInstance()).build());
      client.end();
    }
    Eventually.await("the session is forgotten", () -> worker.sessionCount() == 0);
    try (RawClient replay = client()) {
      replay.start();
      replay.sendOpen(open);
      replay.frame();
      replay.sendSealed(step);
      assertEquals(Code.SEAL, replay.end().code());
    }
    assertTrue(worker.metrics().contains("llmm_worker_steps_total 1\n"), worker.metrics());
  }

  @Test
  void answersComeInOrderAndRewindsHold() {
    try (RawClient client = client()) {
      client.open(1, 1, 1);
      client.send(RawClient.body(RawClient.step(0, 5, 3)));
      ServerBody first = client.body();
      assertEquals(3 * 8, first.getResult().getCandidates().size());
      assertEquals(0, first.getSerializedSize() % 32);
      client.send(RawClient.body(RawClient.step(5, 2, 0)));
      client.send(ClientBody.newBuilder().setRewind(Rewind.newBuilder().setPosition(5)).build());
      client.send(ClientBody.newBuilder().setPing(Ping.newBuilder().setClientTime(42)).build());
      assertEquals(0, client.body().getResult().getCandidates().size());
      assertEquals(5, client.body().getRewound().getPosition());
      assertEquals(42, client.body().getPong().getClientTime());
      client.send(ClientBody.newBuilder().setRewind(Rewind.newBuilder().setPosition(0)).build());
      assertEquals(0, client.body().getRewound().getPosition());
      client.send(RawClient.body(RawClient.step(0, 5, 3)));
      assertEquals(first.getResult().getCandidates(), client.body().getResult().getCandidates());
    }
  }

  @Test
  void thereIsRoomForAsManySessionsAsItSays() {
    RawClient[] clients = new RawClient[4];
    for (int i = 0; i < 4; i++) {
      clients[i] = client();
      clients[i].open(i, 1, 1);
    }
    try (RawClient fifth = client()) {
      fifth.start();
      fifth.sendOpen(fifth.wrap(fifth.soundOpen(5, 1), 1));
      ProtocolException e = fifth.end();
      assertEquals(Code.NO_SPACE, e.code());
      assertTrue(e.retryAfterMs() > 0);
      assertTrue(e.getMessage().startsWith("RESOURCE_EXHAUSTED"), e.getMessage());
    }
    clients[0].send(ClientBody.newBuilder().setClose(Close.getDefaultInstance()).build());
    clients[0].end();
    Eventually.await("a session less", () -> worker.sessionCount() == 3);
    try (RawClient fifth = client()) {
      fifth.open(5, 1, 1);
    }
    for (RawClient client : clients) {
      client.close();
    }
  }

  @Test
  void thereIsRoomForAsManyBytesAsItSays() {
    long one = worker.sessionBytes();
    try (Worker small = Worker.start(SplitFixture.workerOptions().maxMemoryBytes(2 * one).build());
        RawClient first = new RawClient(SplitFixture.address(small));
        RawClient second = new RawClient(SplitFixture.address(small));
        RawClient third = new RawClient(SplitFixture.address(small))) {
      for (RawClient client : new RawClient[] {first, second}) {
        client.start();
        client.sendOpen(client.wrap(
            client.soundOpen(client == first ? 1 : 2, 1).setMaxPositions(TinyModels.CONTEXT), 1));
        client.ready();
      }
      third.start();
      third.sendOpen(third.wrap(third.soundOpen(3, 1).setMaxPositions(TinyModels.CONTEXT), 1));
      assertEquals(Code.NO_SPACE, third.end().code());
    }
  }

  @Test
  void itTellsWhatItsLayersTakeAndMindsNoPadding() throws ProtocolException {
    try (WorkerChannel channel = new WorkerChannel(SplitFixture.address(worker))) {
      WorkerInfo info = channel.describe(10_000, 16 * 1024);
      assertTrue(info.costs().isPresent());
      assertTrue(info.costs().get().lastMs() > 0);
      assertTrue(info.costs().get().upperMs(1) >= info.costs().get().upperMs(4), info.costs().toString());
      assertEquals(0, info.queueNanos());
    }
  }

  @Test
  void aClientHasAsManySessionsAsOneMayHave(@TempDir Path folder) {
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of());
    try (Worker strict = Worker.start(SplitFixture.workerOptions().keys(keys).maxSessionsPerClient(1).build())) {
      WorkerAddress address = WorkerAddress.of("localhost:" + strict.port(), keys);
      SplitOptions options = SplitFixture.options().localFallback(false).build();
      SplitSession first = SplitSession.open(TinyModels.deepModel(), address, options);
      LlmException e =
          assertThrows(LlmException.class, () -> SplitSession.open(TinyModels.deepModel(), address, options));
      assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
      ProtocolException refusal = (ProtocolException) e.getCause();
      assertEquals(Code.QUOTA, refusal.code());
      assertTrue(refusal.retryAfterMs() > 0);
      assertTrue(refusal.getMessage().startsWith("RESOURCE_EXHAUSTED"), refusal.getMessage());
      WorkerAddress other = WorkerAddress.of("localhost:" + strict.port(), keys.addClient(folder.resolve("other")));
      SplitSession.open(TinyModels.deepModel(), other, options).close();
      first.close();
      Eventually.await("the session is over", () -> strict.sessionCount() == 0);
      SplitSession.open(TinyModels.deepModel(), address, options).close();
    }
  }

  @Test
  void silenceEndsStreamsAndThenSessions() {
    try (Worker brisk = Worker.start(SplitFixture.workerOptions().layers(LayerRange.of(2, 0))
            .idle(Duration.ofMillis(50)).lease(Duration.ofMillis(50)).build());
        RawClient client = new RawClient(SplitFixture.address(brisk));
        RawClient mute = new RawClient(SplitFixture.address(brisk))) {
      mute.start();
      assertEquals(Code.IDLE, mute.end().code());
      client.open(1, 1, 1);
      assertEquals(Code.IDLE, client.end().code());
      Eventually.await("the session is forgotten", () -> brisk.sessionCount() == 0);
    }
  }

  @Test
  void aMessageThatCannotBeReadEndsTheStreamAtOnce() {
    Worker patient =
        Worker.start(SplitFixture.workerOptions().idle(Duration.ofHours(1)).lease(Duration.ZERO).build());
    try (RawClient client = new RawClient(SplitFixture.address(patient))) {
      client.open(1, 1, 1);
      client.send(new byte[] {-1, -1, -1});
      client.end();
      Eventually.await("the session is forgotten", () -> patient.sessionCount() == 0);
    } finally {
      patient.close();
    }
  }

  @Test
  void versionsAreNegotiated() {
    ManagedChannel channel = OkHttpChannelBuilder.forAddress("127.0.0.1", worker.port()).usePlaintext().build();
    try {
      SplitInferenceGrpc.SplitInferenceBlockingStub stub = SplitInferenceGrpc.newBlockingStub(channel);
      assertEquals(1, stub.describe(
          DescribeRequest.newBuilder().setProtocolMin(1).setProtocolMax(9).build()).getProtocol());
      StatusRuntimeException e = assertThrows(StatusRuntimeException.class, () -> stub.describe(
          DescribeRequest.newBuilder().setProtocolMin(2).setProtocolMax(9).build()));
      assertEquals(Status.Code.FAILED_PRECONDITION, e.getStatus().getCode());
      assertEquals(Code.PROTOCOL, ProtocolException.of(e).code());
      assertFalse(ProtocolException.of(e).passes());
    } finally {
      channel.shutdownNow();
    }
  }

  @Test
  void healthTellsWhenItGoesDown() {
    ManagedChannel channel = OkHttpChannelBuilder.forAddress("127.0.0.1", worker.port()).usePlaintext().build();
    try {
      HealthGrpc.HealthBlockingStub stub = HealthGrpc.newBlockingStub(channel);
      assertEquals(ServingStatus.SERVING, stub.check(HealthCheckRequest.getDefaultInstance()).getStatus());
      StatusRuntimeException unknown = assertThrows(StatusRuntimeException.class,
          () -> stub.check(HealthCheckRequest.newBuilder().setService("other").build()));
      assertEquals(Status.Code.NOT_FOUND, unknown.getStatus().getCode());
      Iterator<HealthCheckResponse> watch = stub.withDeadlineAfter(60, TimeUnit.SECONDS).watch(
          HealthCheckRequest.newBuilder().setService(SplitInferenceGrpc.SERVICE_NAME).build());
      assertEquals(ServingStatus.SERVING, watch.next().getStatus());
      worker.drain(Duration.ofSeconds(5));
      assertEquals(ServingStatus.NOT_SERVING, watch.next().getStatus());
      assertFalse(watch.hasNext());
    } finally {
      channel.shutdownNow();
    }
  }
}
