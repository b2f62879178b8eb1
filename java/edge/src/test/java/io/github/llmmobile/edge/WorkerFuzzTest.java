package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.github.llmmobile.edge.proto.ClientBody;
import io.github.llmmobile.edge.proto.ClientFrame;
import io.github.llmmobile.edge.proto.Close;
import io.github.llmmobile.edge.proto.Ping;
import io.github.llmmobile.edge.proto.Rewind;
import io.github.llmmobile.edge.proto.Sealed;
import io.github.llmmobile.edge.proto.SplitInferenceGrpc;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Locale;
import java.util.Random;
import java.util.function.IntConsumer;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Changed bytes, at every height of the protocol, for a worker that lives on: it takes nothing, keeps nothing, and answers
 * afterwards as it did before. {@code -Dllmm.edge.fuzz=100000} for the long form, and with a worker process the memory of that
 * is looked at as well: {@code ci/edge-fuzz}.
 */
@Timeout(14400)
class WorkerFuzzTest {
  private static final int EACH = Integer.getInteger("llmm.edge.fuzz", 400) / 4;
  private static final int WARM_UP = EACH / 5;
  private static final int CONNECTIONS = 64;
  /**
   * After thousands of streams that ended with a reset a connection was gone while the worker ran on: gRPC's client limits
   * its control frames.
   */
  private static final int CHANGES_PER_CONNECTION = 1000;
  private static final double MB = 1 << 20;
  private static final long SESSION = 1;
  private static final long OWNER = 1;

  /** To gRPC a message that cannot be read is worth a stack trace. Held, since the setting goes with it. */
  private static final Logger GRPC_LOG = Logger.getLogger("io.grpc");

  private final Random random = new Random(3);
  private LiveWorker worker;
  private RawClient client;
  private int epoch;
  private final Deque<Socket> connections = new ArrayDeque<>();

  @BeforeEach
  void start() {
    GRPC_LOG.setLevel(Level.OFF);
    WorkerOptions options = SplitFixture.workerOptions().lease(Duration.ofSeconds(0)).build();
    worker = LiveWorker.start(options);
    client = new RawClient(worker.address());
  }

  @AfterEach
  void stop() {
    hangUp();
    client.close();
    worker.close();
    GRPC_LOG.setLevel(null);
  }

  private void hangUp() {
    try {
      for (Socket socket : connections) {
        socket.close();
      }
      connections.clear();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private byte[] mutate(byte[] bytes) {
    byte[] changed = bytes.clone();
    for (int n = 1 + random.nextInt(4); n > 0; n--) {
      changed[random.nextInt(changed.length)] ^= (byte) (1 + random.nextInt(255));
    }
    return changed;
  }

  /** What a sound session gets, which is always the same. */
  private ByteString candidates() {
    client.open(100 + ++epoch, 1, OWNER);
    client.send(RawClient.body(RawClient.step(0, 5, 3)));
    ByteString candidates = client.body().getResult().getCandidates();
    client.send(ClientBody.newBuilder().setClose(Close.getDefaultInstance()).build());
    client.end();
    return candidates;
  }

  /** So many of one kind; none of them may lead to a step. */
  private void refusesAll(String kind, IntConsumer mutation) {
    long steps = worker.counter("steps_total");
    run(kind, mutation);
    assertEquals(steps, worker.counter("steps_total"), kind);
  }

  private void run(String kind, IntConsumer mutation) {
    long began = System.nanoTime();
    long early = 0;
    for (int i = 0; i < EACH; i++) {
      if (i % CHANGES_PER_CONNECTION == CHANGES_PER_CONNECTION - 1) {
        client.close();
        client = new RawClient(worker.address());
      }
      try {
        mutation.accept(i);
      } catch (AssertionError e) {
        throw new AssertionError(kind + ", change " + i + " of " + EACH + "; the worker: " + worker.state(), e);
      }
      early = i == WARM_UP ? resident() : early;
    }
    Eventually.await("all sessions are forgotten", () -> worker.counter("sessions") == 0);
    assertEquals(0, worker.counter("session_bytes"));
    if (worker instanceof WorkerProcess) {
      long late = resident();
      System.out.printf(Locale.ROOT, "%s: %d in %.0f s, resident %.1f MB after %d, %.1f MB at the end%n", kind, EACH,
          (System.nanoTime() - began) / 1e9, early / MB, WARM_UP, late / MB);
      assertTrue(late <= 1.1 * early + 16 * MB, kind + ": " + late + " bytes instead of " + early);
    }
  }

  private long resident() {
    return worker instanceof WorkerProcess ? ((WorkerProcess) worker).residentBytes() : 0;
  }

  private Sealed junk() {
    return Sealed.newBuilder().setSeq(9).setCiphertext(ByteString.copyFrom(new byte[40])).build();
  }

  @Test
  void changedBytesAreRefusedAndForgotten() {
    ByteString before = candidates();
    byte[] open = opening();
    refusesAll("frames that open a stream", i -> {
      client.start();
      client.send(mutate(open));
      // Where the change has hit nothing that counts, as in an unknown field, this is the end.
      client.sendSealed(junk());
      client.end();
    });
    refusesAll("sealed frames", i -> {
      client.open(SESSION, ++epoch, OWNER);
      byte[] frame = frame(client.seal(RawClient.body(RawClient.step(0, 2, 1))));
      byte[] changed = mutate(frame);
      if (!same(frame, changed)) {
        client.send(changed);
        client.end();
      }
    });
    // A member that says nonsense under good keys may be answered; the next frame ends it in any case.
    run("messages within sealed frames", i -> {
      client.open(SESSION, ++epoch, OWNER);
      client.sendSealed(Sealed.newBuilder().setSeq(0)
          .setCiphertext(ByteString.copyFrom(client.up.seal(mutate(message(i).toByteArray())))).build());
      client.sendSealed(junk());
      client.end();
    });
    // What is mutated would be taken if it were whole.
    byte[] connection = connection(opening(), frame(junk()));
    long opened = worker.counter("sessions_opened_total");
    say(connection);
    Eventually.await("a whole one opens a session", () -> worker.counter("sessions_opened_total") == opened + 1);
    refusesAll("connections", i -> {
      say(mutate(connection));
      if (i == EACH - 1) {
        hangUp();
      }
    });
    assertEquals(before, candidates());
  }

  private byte[] opening() {
    byte[] open = client.wrap(client.soundOpen(SESSION, Integer.MAX_VALUE), OWNER);
    return ClientFrame.newBuilder().setOpen(ByteString.copyFrom(open)).build().toByteArray();
  }

  private static byte[] frame(Sealed sealed) {
    return ClientFrame.newBuilder().setSealed(sealed).build().toByteArray();
  }

  private static ClientBody message(int i) {
    switch (i % 3) {
      case 0:
        return RawClient.body(RawClient.step(0, 2, 1));
      case 1:
        return ClientBody.newBuilder().setRewind(Rewind.newBuilder().setPosition(0)).build();
      default:
        return ClientBody.newBuilder().setPing(Ping.newBuilder().setClientTime(i)).build();
    }
  }

  private static boolean same(byte[] frame, byte[] changed) {
    try {
      Sealed was = ClientFrame.parseFrom(frame).getSealed();
      Sealed is = ClientFrame.parseFrom(changed).getSealed();
      return was.getSeq() == is.getSeq() && was.getCiphertext().equals(is.getCiphertext());
    } catch (InvalidProtocolBufferException e) {
      return false;
    }
  }

  /** All bytes of a connection of HTTP/2 with one call that sends messages (RFC 9113, RFC 7541 without a table). */
  private static byte[] connection(byte[]... messages) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    httpFrame(out, 4, 0, 0, new byte[0]);
    ByteArrayOutputStream headers = new ByteArrayOutputStream();
    for (String[] header : new String[][] {{":method", "POST"}, {":scheme", "http"},
        {":path", "/" + SplitInferenceGrpc.getSessionMethod().getFullMethodName()}, {":authority", "localhost"},
        {"content-type", "application/grpc"}, {"te", "trailers"}}) {
      headers.write(0);
      for (String text : header) {
        headers.write(text.length());
        headers.writeBytes(text.getBytes(StandardCharsets.US_ASCII));
      }
    }
    httpFrame(out, 1, 4, 1, headers.toByteArray());
    for (byte[] message : messages) {
      httpFrame(out, 0, 0, 1, ByteBuffer.allocate(5 + message.length).put((byte) 0).putInt(message.length).put(message)
          .array());
    }
    return out.toByteArray();
  }

  private static void httpFrame(ByteArrayOutputStream out, int type, int flags, int stream, byte[] payload) {
    out.writeBytes(ByteBuffer.allocate(9 + payload.length).put((byte) (payload.length >> 16)).putShort((short) payload.length)
        .put((byte) type).put((byte) flags).putInt(stream).put(payload).array());
  }

  /** Says all of it. A connection is ended when so many others have come that the worker has long had the time to read it. */
  private void say(byte[] connection) {
    try {
      Socket socket = new Socket(InetAddress.getLoopbackAddress(), worker.port());
      connections.add(socket);
      if (connections.size() > CONNECTIONS) {
        connections.remove().close();
      }
      socket.getOutputStream().write(connection);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
