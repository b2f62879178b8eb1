package io.github.llmmobile.edge.worker;

import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.wire.ProtocolException;
import java.util.HashMap;
import java.util.Map;

/**
 * Room for sessions: a number of them, of all clients and of each, and bytes for what they hold. What a session may need is taken when it is opened, so
 * that no session fails later because others have come. Threads: any.
 */
final class Admission {
  private final int maxSessions;
  private final int maxPerClient;
  private final long maxBytes;
  private final int retryAfterMs;
  private final Map<String, Integer> ofClients = new HashMap<>();
  private int sessions;
  private long bytes;

  /**
   * Nobody is in yet.
   *
   * @param maxSessions sessions at once
   * @param maxPerClient sessions of one client at once; 0 for no bound
   * @param maxBytes bytes of all sessions together; 0 for no bound
   * @param retryAfterMs what those are told who do not get in
   */
  Admission(int maxSessions, int maxPerClient, long maxBytes, int retryAfterMs) {
    this.maxSessions = maxSessions;
    this.maxPerClient = maxPerClient;
    this.maxBytes = maxBytes;
    this.retryAfterMs = retryAfterMs;
  }

  /** Takes room for a session of a client. */
  synchronized void enter(String client, long sessionBytes) throws ProtocolException {
    int own = ofClients.getOrDefault(client, 0);
    if (maxPerClient > 0 && own >= maxPerClient) {
      throw new ProtocolException(
          Code.QUOTA, "this client has " + own + " sessions, as many as one may have", retryAfterMs);
    }
    if (sessions == maxSessions) {
      throw new ProtocolException(
          Code.NO_SPACE, "the worker has " + sessions + " sessions, as many as it takes", retryAfterMs);
    }
    if (maxBytes > 0 && bytes + sessionBytes > maxBytes) {
      throw new ProtocolException(Code.NO_SPACE, "the session needs " + sessionBytes + " bytes, and "
          + (maxBytes - bytes) + " of the worker's " + maxBytes + " are free", retryAfterMs);
    }
    sessions++;
    ofClients.put(client, own + 1);
    bytes += sessionBytes;
  }

  /** Gives the room of a session back. */
  synchronized void leave(String client, long sessionBytes) {
    sessions--;
    ofClients.computeIfPresent(client, (name, own) -> own == 1 ? null : own - 1);
    bytes -= sessionBytes;
  }

  synchronized int sessions() {
    return sessions;
  }

  synchronized long bytes() {
    return bytes;
  }
}
