package io.github.llmmobile.edge.policy;

import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * What the device knows of itself, asked at each decision. An Android application fills it from its system services;
 * on a desktop {@link #desktop()} knows nothing and forbids nothing. Implementations answer at once, from any thread.
 */
public interface DeviceState {
  /** How hot the device is, in the steps of Android's {@code PowerManager}. */
  enum Thermal {
    /** Not warm. */
    NONE,
    /** A little warm; nothing is slowed down. */
    LIGHT,
    /** Warm; the system begins to slow down. */
    MODERATE,
    /** Hot; much is slowed down. */
    SEVERE,
    /** Too hot to work: the system stops what it can. */
    CRITICAL
  }

  /**
   * Charge of the battery.
   *
   * @return percent, 0 to 100; empty without a battery (never null)
   */
  OptionalInt batteryPercent();

  /**
   * Whether power comes from outside.
   *
   * @return true also without a battery
   */
  boolean charging();

  /**
   * How hot it is.
   *
   * @return the step (never null)
   */
  Thermal thermal();

  /**
   * How near the device will be to {@link Thermal#SEVERE} in about ten seconds.
   *
   * @return 1 is there; empty if the system makes no forecast (never null)
   */
  OptionalDouble thermalHeadroom();

  /**
   * Memory that the process may still take.
   *
   * @return bytes; empty if unknown (never null)
   */
  OptionalLong freeMemoryBytes();

  /**
   * Whether there is any network.
   *
   * @return false only if the system is sure that there is none
   */
  boolean online();

  /**
   * Whether bytes cost money, or the user saves data.
   *
   * @return true to spare them
   */
  boolean metered();

  /**
   * What the system thinks the uplink carries.
   *
   * @return megabits per second; empty if it does not know (never null)
   */
  OptionalDouble uplinkHintMbps();

  /**
   * A device on mains power that is never hot and has a network that costs nothing.
   *
   * @return the state (never null)
   */
  static DeviceState desktop() {
    return DesktopState.INSTANCE;
  }
}
