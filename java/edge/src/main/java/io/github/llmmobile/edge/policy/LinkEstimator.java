package io.github.llmmobile.edge.policy;

import java.util.ArrayDeque;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.LongSupplier;

/**
 * What the way to the cloud carries, and whether that is enough. The measure is goodput: bytes of the application that
 * arrived, by the time from the first to the last arrival, so that the round trip does not count.
 *
 * <p>Two moving averages with time constants of 2 s and 10 s take each sample; the smaller one counts, so that the
 * estimate falls fast and rises slowly. The gate opens above 1.25 times the threshold, closes below 0.8 times, and keeps
 * its state for at least 10 s: a link that hovers at the threshold does not make the plan flicker. Threads: any.
 */
public final class LinkEstimator {
  /** What the bandwidth threshold says. */
  public enum Gate {
    /** Remote work is allowed. */
    OPEN,
    /** The link is too slow: nothing is sent. */
    CLOSED,
    /** Nothing is known yet; a probe must come before anything large is sent. */
    UNKNOWN
  }

  /** A sample of fewer bytes says more about latency than about bandwidth. */
  public static final int LEAST_SAMPLE_BYTES = 16 * 1024;

  private static final double FAST_SECONDS = 2;
  private static final double SLOW_SECONDS = 10;
  private static final double LEAVE = 0.8;
  private static final double ENTER = 1.25;
  private static final long DWELL_NANOS = 10_000_000_000L;
  private static final long PROBE_NANOS = 5_000_000_000L;
  private static final long METERED_PROBE_NANOS = 30_000_000_000L;
  private static final long RTT_WINDOW_NANOS = 30_000_000_000L;
  private static final double RTT_WEIGHT = 1.0 / 8;

  private final double thresholdMbps;
  private final LongSupplier nanoClock;

  private boolean sampled;
  private boolean hinted;
  private double fastMbps;
  private double slowMbps;
  private long sampledAt;
  private boolean outage;
  private boolean probed;
  private long probedAt;
  private Gate gate;
  private long flippedAt;
  private double rttNanos = -1;
  /** Round trips of the last 30 s, each smaller than all after it: the first is the least. */
  private final ArrayDeque<long[]> leastRtts = new ArrayDeque<>();

  /**
   * Knows nothing yet.
   *
   * @param thresholdMbps {@code bandwidth_threshold}: megabits (10^6 bits) per second, finite, at least 0; 0 lets
   *     everything pass
   * @param nanoClock a clock such as {@link System#nanoTime} (required)
   */
  public LinkEstimator(double thresholdMbps, LongSupplier nanoClock) {
    if (!(thresholdMbps >= 0 && thresholdMbps <= Double.MAX_VALUE)) {
      throw new IllegalArgumentException("thresholdMbps must be finite and at least 0, but is " + thresholdMbps);
    }
    this.thresholdMbps = thresholdMbps;
    this.nanoClock = Objects.requireNonNull(nanoClock, "nanoClock");
    gate = thresholdMbps == 0 ? Gate.OPEN : Gate.UNKNOWN;
  }

  /**
   * Takes the measurement of one transfer. One of fewer than {@link #LEAST_SAMPLE_BYTES} is ignored.
   *
   * @param bytes bytes after the first arrival
   * @param spanNanos from the first to the last arrival, above 0; measured where they arrive
   */
  public synchronized void sample(long bytes, long spanNanos) {
    if (bytes < LEAST_SAMPLE_BYTES || spanNanos <= 0) {
      return;
    }
    long now = nanoClock.getAsLong();
    double mbps = bytes * 8e3 / spanNanos;
    if (!sampled || outage) {
      fastMbps = mbps;
      slowMbps = mbps;
    } else {
      double seconds = (now - sampledAt) / 1e9;
      fastMbps = average(fastMbps, mbps, seconds / FAST_SECONDS);
      slowMbps = average(slowMbps, mbps, seconds / SLOW_SECONDS);
    }
    sampled = true;
    hinted = false;
    outage = false;
    sampledAt = now;
    decide(now);
  }

  private static double average(double old, double sample, double age) {
    double keep = Math.exp(-age);
    return old * keep + sample * (1 - keep);
  }

  /**
   * Takes what the platform thinks of the link. It counts only until the first sample.
   *
   * @param mbps megabits per second, above 0
   */
  public synchronized void hint(double mbps) {
    if (!sampled && mbps > 0 && mbps <= Double.MAX_VALUE) {
      fastMbps = mbps;
      slowMbps = mbps;
      hinted = true;
      decide(nanoClock.getAsLong());
    }
  }

  /**
   * Takes the time that a small step spent on the way.
   *
   * @param nanos elapsed time less queueing and computing on the other side, at least 0
   */
  public synchronized void roundTrip(long nanos) {
    if (nanos < 0) {
      return;
    }
    rttNanos = rttNanos < 0 ? nanos : rttNanos + RTT_WEIGHT * (nanos - rttNanos);
    long now = nanoClock.getAsLong();
    while (!leastRtts.isEmpty() && leastRtts.peekLast()[1] >= nanos) {
      leastRtts.removeLast();
    }
    leastRtts.addLast(new long[] {now, nanos});
    forgetOldRtts(now);
  }

  private void forgetOldRtts(long now) {
    while (leastRtts.size() > 1 && now - leastRtts.peekFirst()[0] > RTT_WINDOW_NANOS) {
      leastRtts.removeFirst();
    }
  }

  /** The connection was lost: what was measured before says nothing about the next one. The next sample starts anew. */
  public synchronized void outage() {
    outage = true;
    probed = false;
  }

  /**
   * Application bytes that the link carries.
   *
   * @return megabits (10^6 bits) per second, the smaller of both averages; empty without sample and hint (never null)
   */
  public synchronized OptionalDouble goodputMbps() {
    return sampled || hinted ? OptionalDouble.of(Math.min(fastMbps, slowMbps)) : OptionalDouble.empty();
  }

  /**
   * Moving average of the round trips.
   *
   * @return nanoseconds; empty without a measurement (never null)
   */
  public synchronized OptionalLong rttNanos() {
    return rttNanos < 0 ? OptionalLong.empty() : OptionalLong.of(Math.round(rttNanos));
  }

  /**
   * The least round trip of the last 30 s, or the last one there was.
   *
   * @return nanoseconds; empty without a measurement (never null)
   */
  public synchronized OptionalLong leastRttNanos() {
    forgetOldRtts(nanoClock.getAsLong());
    return leastRtts.isEmpty() ? OptionalLong.empty() : OptionalLong.of(leastRtts.peekFirst()[1]);
  }

  /**
   * Whether the link is good enough.
   *
   * @return the state, as of the last sample or of now if the time to keep a state has passed since (never null)
   */
  public synchronized Gate gate() {
    decide(nanoClock.getAsLong());
    return gate;
  }

  private void decide(long now) {
    if (thresholdMbps == 0 || !(sampled || hinted)) {
      return;
    }
    double mbps = Math.min(fastMbps, slowMbps);
    Gate wanted;
    if (gate == Gate.UNKNOWN) {
      wanted = mbps >= thresholdMbps ? Gate.OPEN : Gate.CLOSED;
    } else if (gate == Gate.OPEN) {
      wanted = mbps < LEAVE * thresholdMbps ? Gate.CLOSED : Gate.OPEN;
    } else {
      wanted = mbps > ENTER * thresholdMbps ? Gate.OPEN : Gate.CLOSED;
    }
    if (wanted != gate && (gate == Gate.UNKNOWN || now - flippedAt >= DWELL_NANOS)) {
      gate = wanted;
      flippedAt = now;
    }
  }

  /**
   * Whether a turn that wants remote work should measure the link now: at once if nothing is known or after an outage,
   * later every 5 s, or every 30 s where bytes cost money.
   *
   * @param metered whether bytes cost money
   * @return true to measure, and to say so with {@link #probed()}
   */
  public synchronized boolean wantsProbe(boolean metered) {
    return thresholdMbps > 0 && stale(metered);
  }

  /**
   * Whether what is known of the link is too little or too old, at the same intervals, whatever the threshold.
   *
   * @param metered whether bytes cost money
   * @return true if a measurement would tell something new
   */
  public synchronized boolean stale(boolean metered) {
    long now = nanoClock.getAsLong();
    long interval = metered ? METERED_PROBE_NANOS : PROBE_NANOS;
    boolean soon = probed && now - probedAt < interval;
    boolean fresh = sampled && !outage && now - sampledAt < interval;
    return !soon && !fresh;
  }

  /** A probe is on its way, whatever comes of it. */
  public synchronized void probed() {
    probed = true;
    probedAt = nanoClock.getAsLong();
  }

  @Override
  public synchronized String toString() {
    return "LinkEstimator[goodput=" + goodputMbps() + " Mbps, rtt=" + rttNanos() + " ns, gate=" + gate + "]";
  }
}
