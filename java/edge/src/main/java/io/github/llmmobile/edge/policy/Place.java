package io.github.llmmobile.edge.policy;

import java.util.Locale;

/** Where a token comes from. */
public enum Place {
  /** All of it from the device. */
  LOCAL,
  /** The first layers from the device, the others from a worker. */
  SPLIT,
  /** From a larger model behind an endpoint. */
  REMOTE;

  /**
   * The name in JSON.
   *
   * @return the constant's name in lower case (never null)
   */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }
}
