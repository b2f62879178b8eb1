package io.github.llmmobile.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.llmmobile.internal.jni.Llmm;
import org.junit.jupiter.api.Test;

class QuantizationTest {
  @Test
  void theOrderIsTheNativeOne() {
    assertEquals(Llmm.LLMM_KV_F16, Quantization.F16.ordinal());
    assertEquals(Llmm.LLMM_KV_4BIT, Quantization.FOUR_BIT.ordinal());
    assertEquals(Llmm.LLMM_KV_ADAPTIVE, Quantization.ADAPTIVE.ordinal());
    assertEquals(Llmm.LLMM_KV_SMALLEST, Quantization.SMALLEST.ordinal());
  }

  @Test
  void theLessDaringOfTwoTakesMoreMemory() {
    assertEquals(Quantization.F16, Quantization.SMALLEST.atMost(Quantization.F16));
    assertEquals(Quantization.FOUR_BIT, Quantization.FOUR_BIT.atMost(Quantization.SMALLEST));
    assertEquals(Quantization.ADAPTIVE, Quantization.ADAPTIVE.atMost(Quantization.ADAPTIVE));
  }
}
