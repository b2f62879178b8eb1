package io.github.llmmobile.cli.compress;

/** Numbers in 16 bits (IEEE 754 binary16). */
final class Half {
  private static final float LARGEST = 65504;
  private static final float SMALLEST_NORMAL = 0x1p-14f;

  private Half() {}

  /** The nearest such number; the largest one in place of larger ones. */
  static float rounded(float value) {
    float size = Math.min(Math.abs(value), LARGEST);
    float unit = size < SMALLEST_NORMAL ? 0x1p-24f : Math.ulp(size) * 0x1p13f;
    return Math.copySign((float) Math.rint((double) size / unit) * unit, value);
  }

  /** The bits of a number that is {@link #rounded}. */
  static short bits(float value) {
    float size = Math.abs(value);
    int sign = Float.floatToRawIntBits(value) >>> 16 & 0x8000;
    if (size < SMALLEST_NORMAL) {
      return (short) (sign | (int) (size * 0x1p24f));
    }
    int bits = Float.floatToRawIntBits(size);
    return (short) (sign | (bits >>> 23) - 112 << 10 | bits >>> 13 & 0x3FF);
  }
}
