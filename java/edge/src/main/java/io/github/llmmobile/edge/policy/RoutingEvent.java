package io.github.llmmobile.edge.policy;

import java.util.Objects;

/** One decision and what came of it: where tokens came from, why, and what that cost. Holds no text. */
public final class RoutingEvent {
  private final Place place;
  private final Reason reason;
  private final int position;
  private final int tokens;
  private final long bytesUp;
  private final long bytesDown;
  private final long nanos;
  private final double uncertainty;
  private final String detail;

  private RoutingEvent(Builder b) {
    place = b.place;
    reason = b.reason;
    position = b.position;
    tokens = b.tokens;
    bytesUp = b.bytesUp;
    bytesDown = b.bytesDown;
    nanos = b.nanos;
    uncertainty = b.uncertainty;
    detail = b.detail;
  }

  /**
   * Starts an event.
   *
   * @param place where the tokens came from (required)
   * @param reason why (required)
   * @return a builder (never null)
   */
  public static Builder of(Place place, Reason reason) {
    return new Builder(Objects.requireNonNull(place, "place"), Objects.requireNonNull(reason, "reason"));
  }

  /**
   * Where the tokens came from.
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

  /**
   * Tokens of the answer before this decision.
   *
   * @return at least 0
   */
  public int position() {
    return position;
  }

  /**
   * Tokens that it gave, those of a remote model in that model's count.
   *
   * @return at least 0
   */
  public int tokens() {
    return tokens;
  }

  /**
   * Bytes sent, without what the transport adds.
   *
   * @return at least 0
   */
  public long bytesUp() {
    return bytesUp;
  }

  /**
   * Bytes received, without what the transport adds.
   *
   * @return at least 0
   */
  public long bytesDown() {
    return bytesDown;
  }

  /**
   * Time that it took.
   *
   * @return nanoseconds
   */
  public long nanos() {
    return nanos;
  }

  /**
   * How unsure the device's model was of the next token.
   *
   * @return from 0 to 1; NaN where nobody looked
   */
  public double uncertainty() {
    return uncertainty;
  }

  /**
   * More about it, as what failed.
   *
   * @return text for people; "" for nothing to add (never null)
   */
  public String detail() {
    return detail;
  }

  @Override
  public String toString() {
    return "RoutingEvent[" + place + " " + reason + " at " + position + ", " + tokens + " tokens, " + bytesUp + "+"
        + bytesDown + " bytes, " + nanos / 1000 + " us" + (detail.isEmpty() ? "]" : ", " + detail + "]");
  }

  /** Collects a {@link RoutingEvent}. Not for use by several threads at once. */
  public static final class Builder {
    private final Place place;
    private final Reason reason;
    private int position;
    private int tokens;
    private long bytesUp;
    private long bytesDown;
    private long nanos;
    private double uncertainty = Double.NaN;
    private String detail = "";

    private Builder(Place place, Reason reason) {
      this.place = place;
      this.reason = reason;
    }

    /**
     * Sets {@link RoutingEvent#position()}.
     *
     * @param value at least 0
     * @return this
     */
    public Builder position(int value) {
      position = value;
      return this;
    }

    /**
     * Sets {@link RoutingEvent#tokens()}.
     *
     * @param value at least 0
     * @return this
     */
    public Builder tokens(int value) {
      tokens = value;
      return this;
    }

    /**
     * Sets {@link RoutingEvent#bytesUp()} and {@link RoutingEvent#bytesDown()}.
     *
     * @param up sent
     * @param down received
     * @return this
     */
    public Builder bytes(long up, long down) {
      bytesUp = up;
      bytesDown = down;
      return this;
    }

    /**
     * Sets {@link RoutingEvent#nanos()}.
     *
     * @param value nanoseconds
     * @return this
     */
    public Builder nanos(long value) {
      nanos = value;
      return this;
    }

    /**
     * Sets {@link RoutingEvent#uncertainty()}.
     *
     * @param value from 0 to 1, or NaN
     * @return this
     */
    public Builder uncertainty(double value) {
      uncertainty = value;
      return this;
    }

    /**
     * Sets {@link RoutingEvent#detail()}.
     *
     * @param value text for people, without what users or models say (required)
     * @return this
     */
    public Builder detail(String value) {
      detail = Objects.requireNonNull(value, "value");
      return this;
    }

    /**
     * Builds.
     *
     * @return the event (never null)
     */
    public RoutingEvent build() {
      return new RoutingEvent(this);
    }
  }
}
