package io.github.llmmobile.edge.remote;

import java.util.Locale;

/** Where the tokens of an answer came from, and what the remote ones cost. */
public final class RoutingStats {
  private int localTokens;
  private int remoteTokens;
  private int bursts;
  private int failures;
  private long bytesUp;
  private long bytesDown;
  private long localNanos;
  private long remoteNanos;

  RoutingStats() {}

  void local(long nanos) {
    localTokens++;
    localNanos += nanos;
  }

  /** Time of the device that came to no token of its own. */
  void deciding(long nanos) {
    localNanos += nanos;
  }

  void burst(int tokens, RemoteCall call, long nanos, boolean failed) {
    remoteTokens += tokens;
    bursts++;
    failures += failed ? 1 : 0;
    bytesUp += call.bytesUp();
    bytesDown += call.bytesDown();
    remoteNanos += nanos;
  }

  void refused() {
    failures++;
  }

  /**
   * Tokens of the device's model.
   *
   * @return at least 0
   */
  public int localTokens() {
    return localTokens;
  }

  /**
   * Tokens of the remote model, in its count.
   *
   * @return at least 0
   */
  public int remoteTokens() {
    return remoteTokens;
  }

  /**
   * The remote share.
   *
   * @return from 0 to 1; 0 for an answer without tokens
   */
  public double remoteShare() {
    int all = localTokens + remoteTokens;
    return all == 0 ? 0 : (double) remoteTokens / all;
  }

  /**
   * Times that the remote model was asked.
   *
   * @return at least 0
   */
  public int bursts() {
    return bursts;
  }

  /**
   * Times that it failed, was late, or could not be asked because of former failures.
   *
   * @return at least 0
   */
  public int failures() {
    return failures;
  }

  /**
   * Bytes of bodies sent.
   *
   * @return at least 0
   */
  public long bytesUp() {
    return bytesUp;
  }

  /**
   * Bytes of bodies received.
   *
   * @return at least 0
   */
  public long bytesDown() {
    return bytesDown;
  }

  /**
   * Time that the device's model took: for its own tokens, for reading remote ones, and for deciding.
   *
   * @return nanoseconds
   */
  public long localNanos() {
    return localNanos;
  }

  /**
   * Time spent waiting for remote tokens.
   *
   * @return nanoseconds
   */
  public long remoteNanos() {
    return remoteNanos;
  }

  @Override
  public String toString() {
    return String.format(Locale.ROOT, "%d local, %d remote tokens (%.1f %%) in %d bursts, %d failures, %d+%d bytes",
        localTokens, remoteTokens, 100 * remoteShare(), bursts, failures, bytesUp, bytesDown);
  }
}
