package io.github.llmmobile.edge.policy;

import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;

/** A device whose state tests set. */
public final class FakeDevice implements DeviceState {
  public int battery = 80;
  public boolean charging;
  public Thermal thermal = Thermal.NONE;
  public double headroom = 0.3;
  public boolean online = true;
  public boolean metered;
  public OptionalDouble hint = OptionalDouble.empty();
  public OptionalLong free = OptionalLong.empty();

  @Override
  public OptionalInt batteryPercent() {
    return OptionalInt.of(battery);
  }

  @Override
  public boolean charging() {
    return charging;
  }

  @Override
  public Thermal thermal() {
    return thermal;
  }

  @Override
  public OptionalDouble thermalHeadroom() {
    return OptionalDouble.of(headroom);
  }

  @Override
  public OptionalLong freeMemoryBytes() {
    return free;
  }

  @Override
  public boolean online() {
    return online;
  }

  @Override
  public boolean metered() {
    return metered;
  }

  @Override
  public OptionalDouble uplinkHintMbps() {
    return hint;
  }
}
