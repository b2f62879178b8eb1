package io.github.llmmobile.internal;

/** What quantised pages do to a model: divergences from pages as stored (Kullback-Leibler, nats). Immutable. */
public final class KvProbe {
  final Quantization safe;
  final double fourBit;
  final double smallest;
  final double noise;
  final double limit;

  KvProbe(Quantization safe, double fourBit, double smallest, double noise, double limit) {
    this.safe = safe;
    this.fourBit = fourBit;
    this.smallest = smallest;
    this.noise = noise;
    this.limit = limit;
  }

  /**
   * The smallest format that changes predictions no more than {@link #limit()}.
   *
   * @return F16, FOUR_BIT or SMALLEST
   */
  public Quantization safe() {
    return safe;
  }

  /**
   * The divergence of a format.
   *
   * @param format the format
   * @return nats; 0 for F16; that of 4 bits for ADAPTIVE
   */
  public double divergence(Quantization format) {
    switch (format) {
      case F16:
        return 0;
      case SMALLEST:
        return smallest;
      default:
        return fourBit;
    }
  }

  /**
   * The most that counts as safe.
   *
   * @return nats
   */
  public double limit() {
    return limit;
  }
}
