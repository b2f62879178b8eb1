package io.github.llmmobile.edge.policy;

import java.util.Objects;
import java.util.Optional;

/**
 * Whether anything may leave the device now, and whether a whole request should. The first rule that applies decides:
 * the user's wish, network and endpoint, cost, metered network, bandwidth; then what does not fit the device, heat, an
 * empty battery, and how hard the request is. Threads: any.
 */
public final class RemotePolicy {
  private static final double HOT_HEADROOM = 0.85;
  private static final int LOW_BATTERY_PERCENT = 15;

  private final DeviceState device;
  private final LinkEstimator link;
  private final CircuitBreaker breaker;
  private final boolean localOnly;
  private final boolean allowMetered;
  private final long tokenLimit;
  private final double requestShare;
  private final OnlineQuantile hardRequests;
  private long tokensSpent;

  private RemotePolicy(Builder b) {
    device = b.device;
    link = b.link;
    breaker = b.breaker;
    localOnly = b.localOnly;
    allowMetered = b.allowMetered;
    tokenLimit = b.tokenLimit;
    requestShare = b.requestShare;
    hardRequests = new OnlineQuantile(new double[0]);
    device.uplinkHintMbps().ifPresent(link::hint);
  }

  /**
   * Starts a policy.
   *
   * @param device the device (required)
   * @param link the link to the endpoint (required)
   * @param breaker the endpoint's breaker (required)
   * @return a builder (never null)
   */
  public static Builder builder(DeviceState device, LinkEstimator link, CircuitBreaker breaker) {
    return new Builder(device, link, breaker);
  }

  /**
   * Whether something forbids remote work now.
   *
   * @return the first reason that does; empty if nothing does (never null)
   */
  public synchronized Optional<Reason> forbids() {
    if (localOnly) {
      return Optional.of(Reason.LOCAL_ONLY);
    }
    if (!device.online()) {
      return Optional.of(Reason.OFFLINE);
    }
    CircuitBreaker.State state = breaker.state();
    if (state == CircuitBreaker.State.DISABLED) {
      return Optional.of(Reason.ENDPOINT_DOWN);
    }
    if (tokenLimit >= 0 && tokensSpent >= tokenLimit) {
      return Optional.of(Reason.COST);
    }
    if (device.metered() && !allowMetered) {
      return Optional.of(Reason.METERED);
    }
    return link.gate() == LinkEstimator.Gate.OPEN ? Optional.empty() : Optional.of(Reason.BANDWIDTH);
  }

  /**
   * Whether the link should be measured before anything is sent: nothing else forbids remote work, and what is known of
   * the link is too little or too old.
   *
   * @return true to measure
   */
  public synchronized boolean wantsProbe() {
    Reason forbidden = forbids().orElse(Reason.BANDWIDTH);
    return forbidden == Reason.BANDWIDTH && link.wantsProbe(device.metered());
  }

  /**
   * Whether the device would rather not work.
   *
   * @return {@link Reason#THERMAL} or {@link Reason#BATTERY}; empty if it is fit (never null)
   */
  public Optional<Reason> spares() {
    if (device.thermal().compareTo(DeviceState.Thermal.MODERATE) >= 0
        || device.thermalHeadroom().orElse(0) > HOT_HEADROOM) {
      return Optional.of(Reason.THERMAL);
    }
    if (!device.charging() && device.batteryPercent().orElse(100) < LOW_BATTERY_PERCENT) {
      return Optional.of(Reason.BATTERY);
    }
    return Optional.empty();
  }

  /**
   * Chooses for a whole request, before it starts.
   *
   * @param fitsDevice whether model and prompt fit the device
   * @param uncertainty of the device's model of the first token, 0 to 1; NaN if nobody looked
   * @return the choice (never null)
   */
  public synchronized Choice chooseRequest(boolean fitsDevice, double uncertainty) {
    // The threshold learns from every request, whoever answers it.
    boolean hard = !Double.isNaN(uncertainty) && hardRequests.above(uncertainty, requestShare);
    Optional<Reason> forbidden = forbids();
    if (forbidden.isPresent()) {
      return new Choice(Place.LOCAL, forbidden.get());
    }
    if (!fitsDevice) {
      return new Choice(Place.REMOTE, Reason.DOES_NOT_FIT);
    }
    Optional<Reason> spares = spares();
    if (spares.isPresent()) {
      return new Choice(Place.REMOTE, spares.get());
    }
    return hard || requestShare == 1
        ? new Choice(Place.REMOTE, Reason.HARD)
        : new Choice(Place.LOCAL, Reason.EASY);
  }

  /**
   * Counts what the endpoint was asked for.
   *
   * @param tokens of prompt and answer, at least 0
   */
  public synchronized void spent(long tokens) {
    tokensSpent += tokens;
  }

  /** A place and why. */
  public static final class Choice {
    private final Place place;
    private final Reason reason;

    private Choice(Place place, Reason reason) {
      this.place = place;
      this.reason = reason;
    }

    /**
     * Where the answer comes from.
     *
     * @return the place (never null)
     */
    public Place place() {
      return place;
    }

    /**
     * Why.
     *
     * @return the reason (never null)
     */
    public Reason reason() {
      return reason;
    }

    @Override
    public String toString() {
      return place + " (" + reason + ")";
    }
  }

  /** Collects a {@link RemotePolicy}. Not for use by several threads at once. */
  public static final class Builder {
    private final DeviceState device;
    private final LinkEstimator link;
    private final CircuitBreaker breaker;
    private boolean localOnly;
    private boolean allowMetered;
    private long tokenLimit = -1;
    private double requestShare = TokenRouter.DEFAULT_SHARE;

    private Builder(DeviceState device, LinkEstimator link, CircuitBreaker breaker) {
      this.device = Objects.requireNonNull(device, "device");
      this.link = Objects.requireNonNull(link, "link");
      this.breaker = Objects.requireNonNull(breaker, "breaker");
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
     * Whether remote work may use a network whose bytes cost money. Default: false.
     *
     * @param value whether it may
     * @return this
     */
    public Builder allowMetered(boolean value) {
      allowMetered = value;
      return this;
    }

    /**
     * The most tokens, of prompts and answers, that the endpoint may be asked for. Default: -1, no limit.
     *
     * @param value tokens, at least -1
     * @return this
     */
    public Builder tokenLimit(long value) {
      tokenLimit = value;
      return this;
    }

    /**
     * The share of requests that go away as a whole because they are hard. Default: {@link
     * TokenRouter#DEFAULT_SHARE}.
     *
     * @param value from 0 to 1
     * @return this
     */
    public Builder requestShare(double value) {
      requestShare = value;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the policy (never null)
     * @throws IllegalArgumentException if a number is out of range
     */
    public RemotePolicy build() {
      if (!(requestShare >= 0 && requestShare <= 1) || tokenLimit < -1) {
        throw new IllegalArgumentException("requestShare must be from 0 to 1, but is " + requestShare
            + "; tokenLimit must be at least -1, but is " + tokenLimit);
      }
      return new RemotePolicy(this);
    }
  }
}
