package io.github.llmmobile.edge.policy;

import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;

/** Knows nothing and forbids nothing. */
final class DesktopState implements DeviceState {
  static final DeviceState INSTANCE = new DesktopState();

  private DesktopState() {}

  @Override
  public OptionalInt batteryPercent() {
    return OptionalInt.empty();
  }

  @Override
  public boolean charging() {
    return true;
  }

  @Override
  public Thermal thermal() {
    return Thermal.NONE;
  }

  @Override
  public OptionalDouble thermalHeadroom() {
    return OptionalDouble.empty();
  }

  @Override
  public OptionalLong freeMemoryBytes() {
    return OptionalLong.empty();
  }

  @Override
  public boolean online() {
    return true;
  }

  @Override
  public boolean metered() {
    return false;
  }

  @Override
  public OptionalDouble uplinkHintMbps() {
    return OptionalDouble.empty();
  }

  @Override
  public String toString() {
    return "DeviceState[desktop]";
  }
}
