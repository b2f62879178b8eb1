package io.github.llmmobile.edge.worker;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.github.llmmobile.edge.RowFormat;
import io.github.llmmobile.edge.SplitPages;
import io.github.llmmobile.edge.keys.KeyWrap;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Open;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Sha256;
import io.github.llmmobile.edge.wire.Wire;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The sessions of a worker, with and without a stream at the moment. Threads: any. */
final class Sessions implements AutoCloseable {
  private final Engine engine;
  private final StepQueue queue;
  private final Admission admission;
  private final KeyWrap.KeyPair keys;
  private final int keyId;
  private final WorkerMetrics metrics;
  private final Map<ByteString, Entry> entries = new HashMap<>();
  private boolean draining;

  Sessions(Engine engine, StepQueue queue, Admission admission, KeyWrap.KeyPair keys, WorkerMetrics metrics) {
    this.engine = engine;
    this.queue = queue;
    this.admission = admission;
    this.keys = keys;
    this.metrics = metrics;
    keyId = KeyWrap.keyId(keys.publicKey());
  }

  /** One session, whichever stream it is on. */
  static final class Entry {
    private final ByteString id;
    private final byte[] ownerDigest;
    private final Open first;
    private final String client;
    private final long bytes;
    final StepQueue.Lane lane;
    final WorkerSession session;
    // The three below are guarded by the Sessions.
    private int epoch;
    private @Nullable SessionStream stream;
    private long detachedNanos;

    Entry(Open open, byte[] ownerDigest, String client, long bytes, StepQueue.Lane lane, WorkerSession session) {
      id = open.getSessionId();
      first = open;
      this.ownerDigest = ownerDigest;
      this.client = client;
      this.bytes = bytes;
      this.lane = lane;
      this.session = session;
    }
  }

  /** What a stream was opened for. */
  static final class Opening {
    final Open open;
    final RowFormat format;
    final byte[] secret;
    final Entry entry;

    Opening(Open open, RowFormat format, byte[] secret, Entry entry) {
      this.open = open;
      this.format = format;
      this.secret = secret;
      this.entry = entry;
    }
  }

  /** Checks an Open and gives its session to a stream; the stream that had it before ends. */
  Opening open(SessionStream stream, String client, byte[] bytes) throws ProtocolException {
    Open open;
    try {
      open = Open.parseFrom(bytes);
    } catch (InvalidProtocolBufferException e) {
      throw new ProtocolException(Code.PROTOCOL, "the first frame is no Open");
    }
    RowFormat format = check(open);
    byte[] secrets = unwrap(open);
    byte[] secret = Arrays.copyOf(secrets, Wire.SECRET_BYTES);
    byte[] owner = Sha256.of(Arrays.copyOfRange(secrets, Wire.SECRET_BYTES, secrets.length));
    Arrays.fill(secrets, (byte) 0);
    SessionStream former;
    Entry entry;
    synchronized (this) {
      if (draining) {
        throw new ProtocolException(Code.DRAINING, "the worker is going down");
      }
      entry = entries.get(open.getSessionId());
      if (entry == null) {
        SplitPages pages = engine.pages(open);
        long sessionBytes = engine.sessionBytes(open.getLayerBegin(), open.getMaxPositions(), pages);
        admission.enter(client, sessionBytes);
        entry = new Entry(open, owner, client, sessionBytes, queue.lane(),
            new WorkerSession(engine, open.getLayerBegin(), open.getMaxPositions(), pages));
        entries.put(entry.id, entry);
        metrics.opened.increment();
      } else {
        checkContinues(entry, open, owner);
        metrics.resumed.increment();
      }
      former = entry.stream;
      entry.epoch = open.getEpoch();
      entry.stream = stream;
    }
    if (former != null) {
      former.end(new ProtocolException(Code.TAKEN_OVER, "a later epoch of the session was opened"));
    }
    return new Opening(open, format, secret, entry);
  }

  private RowFormat check(Open open) throws ProtocolException {
    if (open.getProtocol() < Wire.PROTOCOL_MIN || open.getProtocol() > Wire.PROTOCOL_MAX) {
      throw new ProtocolException(Code.PROTOCOL, "this worker speaks versions " + Wire.PROTOCOL_MIN + " to "
          + Wire.PROTOCOL_MAX + " of the protocol, not " + open.getProtocol());
    }
    if (!open.getModel().equals(engine.info().fingerprint())) {
      throw new ProtocolException(Code.MODEL_MISMATCH,
          "this worker has the model " + engine.info().fingerprint() + ", the client " + open.getModel());
    }
    int layers = engine.info().layers();
    if (open.getLayerEnd() != layers || open.getLayerBegin() < engine.layerBegin() || open.getLayerBegin() >= layers) {
      throw new ProtocolException(Code.MODEL_MISMATCH, "this worker has layers " + engine.layerBegin() + ":" + layers
          + ", which " + open.getLayerBegin() + ":" + open.getLayerEnd() + " does not end");
    }
    if (open.getSessionId().size() != Wire.SESSION_ID_BYTES || open.getEpoch() < 1) {
      throw new ProtocolException(Code.SHAPE, "a session has 16 bytes of name and an epoch of 1 and more");
    }
    if (open.getMaxPositions() < 1 || open.getMaxPositions() > engine.maxPositions()) {
      throw new ProtocolException(Code.CONTEXT_FULL, "this worker's sessions hold up to " + engine.maxPositions()
          + " tokens, not " + open.getMaxPositions());
    }
    return engine.format(open);
  }

  private byte[] unwrap(Open open) throws ProtocolException {
    if (open.getKeyId() == keyId) {
      try {
        byte[] secrets = KeyWrap.open(keys, open.getHpke().toByteArray(), Wire.hpkeInfo(open));
        if (secrets.length == 2 * Wire.SECRET_BYTES) {
          return secrets;
        }
      } catch (GeneralSecurityException e) {
        throw new ProtocolException(Code.KEY_UNKNOWN, "the session key was not wrapped for this worker");
      }
    }
    throw new ProtocolException(Code.KEY_UNKNOWN, "the session key was not wrapped for this worker");
  }

  private static void checkContinues(Entry entry, Open open, byte[] owner) throws ProtocolException {
    if (!MessageDigest.isEqual(entry.ownerDigest, owner)) {
      throw new ProtocolException(Code.SEAL, "the session is somebody else's");
    }
    if (Integer.compareUnsigned(open.getEpoch(), entry.epoch) <= 0) {
      throw new ProtocolException(
          Code.STALE_EPOCH, "epoch " + open.getEpoch() + " does not follow " + entry.epoch);
    }
    if (open.getLayerBegin() != entry.first.getLayerBegin()
        || open.getMaxPositions() != entry.first.getMaxPositions() || open.getCodec() != entry.first.getCodec()
        || open.getKeepDims() != entry.first.getKeepDims() || !open.getPages().equals(entry.first.getPages())) {
      throw new ProtocolException(
          Code.MODEL_MISMATCH, "the session was begun with other layers, another length, codec, reduction or other pages");
    }
  }

  /** Whether a stream still has its session. */
  synchronized boolean has(SessionStream stream, Entry entry) {
    return entry.stream == stream;
  }

  /** A stream has ended; its session waits for the next one. */
  synchronized void detach(SessionStream stream, Entry entry) {
    if (entry.stream == stream) {
      entry.stream = null;
      entry.detachedNanos = System.nanoTime();
    }
  }

  /** A session is over. */
  void forget(Entry entry) {
    synchronized (this) {
      // Under its name there may be another by now.
      if (!entries.remove(entry.id, entry)) {
        return;
      }
    }
    free(entry);
  }

  private void free(Entry entry) {
    entry.lane.add(() -> {
      entry.session.close();
      admission.leave(entry.client, entry.bytes);
    });
  }

  /** Forgets the sessions that have been without a stream for too long. */
  void expire(long leaseNanos) {
    long now = System.nanoTime();
    List<Entry> expired = new ArrayList<>();
    synchronized (this) {
      // At once: what is found here cannot get a stream any more.
      entries.values().removeIf(entry -> {
        boolean over = entry.stream == null && now - entry.detachedNanos >= leaseNanos;
        return over && expired.add(entry);
      });
    }
    expired.forEach(this::free);
  }

  /** Takes no more sessions. */
  synchronized void drain() {
    draining = true;
  }

  synchronized boolean draining() {
    return draining;
  }

  /** Frees all sessions, once nothing runs on their lanes any more. */
  @Override
  public synchronized void close() {
    for (Entry entry : entries.values()) {
      entry.session.close();
      admission.leave(entry.client, entry.bytes);
    }
    entries.clear();
  }
}
