package io.github.llmmobile.edge.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class HalfTest {
  @Test
  void everyHalfComesBack() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      short half = (short) bits;
      if (Half.isFinite(half)) {
        assertEquals(half, Half.of(Half.value(half)));
      }
    }
  }

  /** Between two neighbours the nearer one is taken, and in the middle the even one. */
  @Test
  void whatLiesBetweenGoesToTheNearerAndToTheEven() {
    for (int bits = 0; bits < 0x7BFF; bits++) {
      float low = Half.value((short) bits);
      float high = Half.value((short) (bits + 1));
      float middle = (low + high) / 2;
      assertEquals(bits % 2 == 0 ? bits : bits + 1, Half.of(middle));
      assertEquals(bits, Half.of(Math.nextDown(middle)));
      assertEquals(bits + 1, Half.of(Math.nextUp(middle)));
      assertEquals((short) (bits | 0x8000), Half.of(-Math.nextDown(middle)));
    }
  }

  @Test
  void whatIsTooLargeIsInfinite() {
    assertTrue(Half.isFinite(Half.of(Half.MAX)));
    assertTrue(!Half.isFinite(Half.of(65520f)));
    assertTrue(!Half.isFinite(Half.of(Float.MAX_VALUE)));
    assertTrue(!Half.isFinite(Half.of(Float.NaN)));
    assertTrue(Float.isNaN(Half.value(Half.of(Float.NaN))));
  }
}
