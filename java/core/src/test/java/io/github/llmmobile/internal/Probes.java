package io.github.llmmobile.internal;

/** Makes and looks into values of this package for tests of others. */
public final class Probes {
  private Probes() {}

  public static KvProbe of(Quantization safe, double fourBit, double smallest, double limit) {
    return new KvProbe(safe, fourBit, smallest, 0, limit);
  }

  public static Quantization quantization(PageSettings settings) {
    return settings.quantization;
  }
}
