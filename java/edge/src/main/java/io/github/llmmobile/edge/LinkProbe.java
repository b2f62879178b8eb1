package io.github.llmmobile.edge;

import io.github.llmmobile.edge.policy.LinkEstimator;
import io.github.llmmobile.edge.policy.SplitPolicy;
import io.github.llmmobile.edge.wire.ProtocolException;
import java.util.concurrent.TimeUnit;

/**
 * Measures the way to a worker: by how much longer it takes to describe itself with 16 KiB of padding than without. No
 * session is needed for that, and none is disturbed. 24 KiB in all.
 */
final class LinkProbe {
  /** TCP sends little at first. What has come through before lets the measured bytes go at once. */
  private static final int WARM_UP_BYTES = 8 * 1024;
  private static final int SMALL_TRIES = 2;

  private LinkProbe() {}

  /**
   * Measures, and tells the policy.
   *
   * @param channel a connection to the worker
   * @param timeoutMs how long each part may take
   * @return what the worker said last
   * @throws ProtocolException if it does not answer; a link that was too slow to answer has been told of as such
   */
  static WorkerInfo run(WorkerChannel channel, SplitPolicy policy, long timeoutMs) throws ProtocolException {
    policy.link().probed();
    timed(channel, policy, timeoutMs, WARM_UP_BYTES);
    long least = Long.MAX_VALUE;
    for (int i = 0; i < SMALL_TRIES; i++) {
      long began = System.nanoTime();
      policy.queue(channel.describe(timeoutMs).queueNanos());
      least = Math.min(least, System.nanoTime() - began);
    }
    policy.link().roundTrip(least);
    return timed(channel, policy, timeoutMs, LinkEstimator.LEAST_SAMPLE_BYTES);
  }

  /** One that takes too long says something as well: that no more has come through. */
  private static WorkerInfo timed(WorkerChannel channel, SplitPolicy policy, long timeoutMs, int bytes)
      throws ProtocolException {
    long began = System.nanoTime();
    try {
      WorkerInfo info = channel.describe(timeoutMs, bytes);
      if (bytes >= LinkEstimator.LEAST_SAMPLE_BYTES) {
        policy.transferred(bytes, System.nanoTime() - began);
      }
      return info;
    } catch (ProtocolException e) {
      long took = System.nanoTime() - began;
      if (took >= TimeUnit.MILLISECONDS.toNanos(timeoutMs)) {
        policy.link().sample(LinkEstimator.LEAST_SAMPLE_BYTES, took);
      }
      throw e;
    }
  }
}
