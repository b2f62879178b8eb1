package io.github.llmmobile.internal;

/** How older pages are kept; each takes less memory than the one before. In the order of the native numbers. */
public enum Quantization {
  /** As they were stored. */
  F16,
  /** 4 bits per element. */
  FOUR_BIT,
  /** 4 bits; values in 2 bits where the budget presses. */
  ADAPTIVE,
  /** Keys in 4 bits, values in 2. */
  SMALLEST;

  /**
   * The less daring of two.
   *
   * @param other another
   * @return the one that takes more memory
   */
  public Quantization atMost(Quantization other) {
    return compareTo(other) <= 0 ? this : other;
  }
}
