package io.github.llmmobile.edge.policy;

import java.util.Locale;

/** Why a {@link Place} was chosen. */
public enum Reason {
  /** The device's model is sure enough. */
  EASY("the device's model is sure enough"),
  /** The device's model is unsure. */
  HARD("the device's model is unsure"),
  /** The token is hard, but the share of remote tokens is used up for now. */
  SHARE_USED_UP("hard, but the remote share is used up"),
  /** Whoever asked wants nothing to leave the device. */
  LOCAL_ONLY("nothing may leave the device"),
  /** There is no network. */
  OFFLINE("no network"),
  /** The endpoint has failed too often, or cannot be used. */
  ENDPOINT_DOWN("the endpoint has failed"),
  /** What it may cost is used up. */
  COST("the cost limit is reached"),
  /** Bytes cost money here. */
  METERED("the network is metered"),
  /** The link carries less than {@code bandwidth_threshold}, or nobody knows what it carries. */
  BANDWIDTH("the link is below bandwidth_threshold"),
  /** The device is hot, and others can do the work. */
  THERMAL("the device is hot"),
  /** The battery is low, and others can do the work. */
  BATTERY("the battery is low"),
  /** Whoever asked has fixed the split. */
  FIXED("the split is fixed"),
  /** The application's gate says no. */
  GATE("the application says no"),
  /** It takes less time this way. */
  FASTER("this is faster"),
  /** It takes no less time another way. */
  NOT_FASTER("nothing else is faster"),
  /** The device cannot hold the model or the prompt. */
  DOES_NOT_FIT("the device cannot hold it"),
  /** A remote step failed or was late; the device goes on. */
  REMOTE_FAILED("the remote step failed or was late");

  private final String text;

  Reason(String text) {
    this.text = text;
  }

  /**
   * The reason in a few words.
   *
   * @return text for people (never null)
   */
  public String text() {
    return text;
  }

  /**
   * The name in JSON.
   *
   * @return the constant's name in lower case (never null)
   */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
