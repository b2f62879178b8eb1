package io.github.llmmobile.edge.wire;

/** IEEE 754 numbers of 16 bits, rounded to the nearest and to even. Neither Java 11 nor Android 8 has them. */
final class Half {
  /** The largest finite one. */
  static final float MAX = 65504f;

  private static final int EXPONENT_MASK = 0x7C00;

  private Half() {}

  /** The nearest half; too large ones become infinite. */
  static short of(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = bits >>> 16 & 0x8000;
    int magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) {
      return (short) (sign | 0x7E00);
    }
    if (magnitude >= 0x47800000) {
      return (short) (sign | EXPONENT_MASK);
    }
    if (magnitude < 0x38800000) {
      // Below the smallest normal half: adding 0.5 leaves its lowest bit at 2^-24, and the processor rounds to even.
      float shifted = Float.intBitsToFloat(magnitude) + 0.5f;
      return (short) (sign | Float.floatToRawIntBits(shifted) - 0x3F000000);
    }
    int rounded = magnitude + 0xFFF + (magnitude >>> 13 & 1);
    return (short) (sign | rounded - (112 << 23) >>> 13);
  }

  /** The number that a half stands for, exactly. */
  static float value(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = half >>> 10 & 0x1F;
    int mantissa = half & 0x3FF;
    if (exponent == 0) {
      float value = mantissa * 0x1p-24f;
      return sign == 0 ? value : -value;
    }
    if (exponent == 0x1F) {
      return Float.intBitsToFloat(sign | 0x7F800000 | mantissa << 13);
    }
    return Float.intBitsToFloat(sign | exponent + 112 << 23 | mantissa << 13);
  }

  static boolean isFinite(short half) {
    return (half & EXPONENT_MASK) != EXPONENT_MASK;
  }
}
