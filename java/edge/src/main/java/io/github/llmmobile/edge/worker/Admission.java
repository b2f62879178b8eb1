package io.github.llmmobile.edge.worker;

import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.wire.ProtocolException;

/**
 * Room for sessions: a number of them, and bytes for what they hold. What a session may need is taken when it is opened, so
 * that no session fails later because others have come. Threads: any.
 */
final class Admission {
  private final int maxSessions;
  private final long maxBytes;
  private final int retryAfterMs;
  private int sessions;
  private long bytes;

  /**
   * Nobody is in yet.
   *
   * @param maxSessions sessions at once
   * @param maxBytes bytes of all sessions together; 0 for no bound
   * @param retryAfterMs what those are told who do not get in
   */
  Admission(int maxSessions, long maxBytes, int retryAfterMs) {
    this.maxSessions = maxSessions;
    this.maxBytes = maxBytes;
    this.retryAfterMs = retryAfterMs;
  }

  /** Takes room for a session. */
  synchronized void enter(long sessionBytes) throws ProtocolException {
    if (sessions == maxSessions) {
      throw new ProtocolException(
          Code.NO_SPACE, "the worker has " + sessions + " sessions, as many as it takes", retryAfterMs);
    }
    if (maxBytes > 0 && bytes + sessionBytes > maxBytes) {
      throw new ProtocolException(Code.NO_SPACE, "the session needs " + sessionBytes + " bytes, and "
          + (maxBytes - bytes) + " of the worker's " + maxBytes + " are free", retryAfterMs);
    }
    sessions++;
    bytes += sessionBytes;
  }

  /** Gives the room of a session back. */
  synchronized void leave(long sessionBytes) {
    sessions--;
    bytes -= sessionBytes;
  }

  synchronized int sessions() {
    return sessions;
  }

  synchronized long bytes() {
    return bytes;
  }
}
