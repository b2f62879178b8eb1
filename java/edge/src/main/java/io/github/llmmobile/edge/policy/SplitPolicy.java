package io.github.llmmobile.edge.policy;

import java.util.Objects;
import java.util.Optional;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * When split sessions may use their worker, and where they are split: the device's state, {@code bandwidth_threshold} and
 * what was measured of the way decide. One for each worker and model; its sessions may share it, and so what it has learned.
 * Threads: any.
 */
public final class SplitPolicy {
  /** Encoding and sealing a row, and what comes back; steps that were made correct it. */
  private static final double OVERHEAD_MS = 0.5;
  /** What time on the device counts for while it is hot or its battery is low. */
  private static final double SPARING_WEIGHT = 2;
  /** So many rows of a prompt travel at once. */
  private static final int CHUNK_ROWS = 512;
  private static final int SMALL_BYTES = 4096;
  private static final long LEAST_SPAN_NANOS = 100_000;
  private static final double NANOS_PER_MILLI = 1e6;

  private final DeviceState device;
  private final LongSupplier nanoClock;
  private final LinkEstimator link;
  private final RemotePolicy remote;
  private volatile long queueNanos;
  private @Nullable LayerCosts costs;

  private SplitPolicy(Builder b) {
    device = b.device;
    nanoClock = b.nanoClock;
    costs = b.costs;
    link = new LinkEstimator(b.bandwidthThresholdMbps, nanoClock);
    remote = RemotePolicy.builder(device, link, new CircuitBreaker(nanoClock)).localOnly(b.localOnly)
        .allowMetered(b.allowMetered).build();
  }

  /**
   * Starts from the defaults.
   *
   * @return a builder (never null)
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * What is known of the way to the worker.
   *
   * @return the estimates (never null)
   */
  public LinkEstimator link() {
    return link;
  }

  /**
   * What the layers take on this device.
   *
   * @param measure measures it, if it is not known yet (required)
   * @return the costs, which are the same from now on (never null)
   */
  public synchronized LayerCosts costs(Supplier<LayerCosts> measure) {
    LayerCosts known = costs;
    if (known == null) {
      known = measure.get();
      costs = known;
    }
    return known;
  }

  /**
   * Whether something forbids that anything is sent.
   *
   * @return the reason; empty if nothing does (never null)
   */
  public Optional<Reason> forbids() {
    return remote.forbids();
  }

  /**
   * Whether the device would rather not work.
   *
   * @return {@link Reason#THERMAL} or {@link Reason#BATTERY}; empty if it is fit (never null)
   */
  public Optional<Reason> spares() {
    return remote.spares();
  }

  /**
   * Whether the device has memory for so much more.
   *
   * @param bytes what is needed
   * @return false only if it is known that it has not
   */
  public boolean fits(double bytes) {
    return device.freeMemoryBytes().orElse(Long.MAX_VALUE) >= bytes;
  }

  /**
   * Whether the way should be measured now: every 5 s while bandwidth alone forbids to send, every 30 s while nothing does or
   * bytes cost money, and never while something else forbids it.
   *
   * @param inUse whether the session's steps go to the worker
   * @param planned whether the session weighs times, so that it matters even without a threshold
   * @return true to measure, and to say so with {@link LinkEstimator#probed()}
   */
  public boolean wantsProbe(boolean inUse, boolean planned) {
    if (forbids().orElse(Reason.BANDWIDTH) != Reason.BANDWIDTH) {
      return false;
    }
    boolean seldom = device.metered() || link.gate() == LinkEstimator.Gate.OPEN;
    // What is in use is timed with every step: only the threshold needs more.
    return planned && !inUse ? link.stale(seldom) : link.wantsProbe(seldom);
  }

  /**
   * Takes the time of a frame that travelled alone.
   *
   * @param bytes its length
   * @param nanos until the answer was there, less queueing and computing at the worker
   */
  public void transferred(int bytes, long nanos) {
    if (bytes < SMALL_BYTES) {
      link.roundTrip(nanos);
    } else {
      link.sample(bytes, Math.max(LEAST_SPAN_NANOS, nanos - link.leastRttNanos().orElse(0)));
    }
  }

  /**
   * Takes how long steps wait at the worker.
   *
   * @param nanos nanoseconds
   */
  public void queue(long nanos) {
    queueNanos = nanos;
  }

  /**
   * What time on the device counts for: more than time elsewhere while it is hot or its battery is low.
   *
   * @return at least 1
   */
  double weight() {
    return spares().isPresent() ? SPARING_WEIGHT : 1;
  }

  LongSupplier nanoClock() {
    return nanoClock;
  }

  /**
   * What a step takes besides the device's layers, by what is known of way and worker.
   *
   * @param workerMs what the worker's layers take
   * @param bytesPerRow a row on the wire
   * @return milliseconds; infinite if nothing is known of the way
   */
  double remoteMs(double workerMs, double bytesPerRow) {
    return OVERHEAD_MS + bytesPerRow * 8e-3 / link.goodputMbps().orElse(0) + rttMs() + queueNanos / NANOS_PER_MILLI
        + workerMs;
  }

  private double rttMs() {
    return link.rttNanos().orElse(0) / NANOS_PER_MILLI;
  }

  /**
   * Starts a planner with what is known. Time on the device counts twice while it is hot or its battery is low.
   *
   * @param here costs of the layers on the device (required)
   * @param there costs of the layers at the worker (required)
   * @param bytesPerRow a row on the wire, framing included
   * @return the planner, which still lacks range and turn (never null)
   */
  public SplitPlanner.Builder planner(LayerCosts here, LayerCosts there, double bytesPerRow) {
    double weight = weight();
    return SplitPlanner.builder(here.layers())
        .local(k -> weight * here.lowerMs(k))
        .localPrefill((k, rows) -> weight * rows * k * here.rowMs())
        .worker((k, rows) -> there.upperMs(k))
        .workerPrefill((k, rows) -> rows * (here.layers() - k) * there.rowMs())
        .link(bytesPerRow, link.goodputMbps().orElse(0), rttMs())
        .delays(queueNanos / NANOS_PER_MILLI, OVERHEAD_MS)
        .chunk(CHUNK_ROWS);
  }

  @Override
  public String toString() {
    return "SplitPolicy[" + link + ", " + device + "]";
  }

  /** Collects a {@link SplitPolicy}. Not for use by several threads at once. */
  public static final class Builder {
    private double bandwidthThresholdMbps = 1;
    private DeviceState device = DeviceState.desktop();
    private boolean localOnly;
    private boolean allowMetered;
    private LongSupplier nanoClock = System::nanoTime;
    private @Nullable LayerCosts costs;

    private Builder() {}

    /**
     * What the layers of the model take on this device. Default: measured when the first session begins whose split is left
     * open.
     *
     * @param known the costs (required)
     * @return this
     */
    public Builder costs(LayerCosts known) {
      costs = Objects.requireNonNull(known, "known");
      return this;
    }

    /**
     * {@code bandwidth_threshold}: on a link that carries less, nothing is sent. Default: 1.
     *
     * @param mbps megabits (10^6 bits) per second, finite, at least 0; 0 lets everything pass
     * @return this
     */
    public Builder bandwidthThresholdMbps(double mbps) {
      bandwidthThresholdMbps = mbps;
      return this;
    }

    /**
     * Battery, heat, memory and network of the device. Default: {@link DeviceState#desktop()}.
     *
     * @param state asked before each step (required)
     * @return this
     */
    public Builder device(DeviceState state) {
      device = Objects.requireNonNull(state, "state");
      return this;
    }

    /**
     * Whether nothing may leave the device. Default: false.
     *
     * @param value whether that is so
     * @return this
     */
    public Builder localOnly(boolean value) {
      localOnly = value;
      return this;
    }

    /**
     * Whether a network may be used whose bytes cost money. Default: false.
     *
     * @param value whether it may
     * @return this
     */
    public Builder allowMetered(boolean value) {
      allowMetered = value;
      return this;
    }

    /**
     * What tells the time. Default: {@link System#nanoTime}.
     *
     * @param clock the clock (required)
     * @return this
     */
    public Builder nanoClock(LongSupplier clock) {
      nanoClock = Objects.requireNonNull(clock, "clock");
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the policy (never null)
     * @throws IllegalArgumentException if the threshold is out of range
     */
    public SplitPolicy build() {
      return new SplitPolicy(this);
    }
  }
}
