package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Models;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LayersTest {
  private static final int[] TOKENS = {70, 80, 90, 100, 110};

  private static FloatBuffer floats(int count) {
    return ByteBuffer.allocateDirect(count * Float.BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer();
  }

  private static SessionOptions tiny(int begin, int end) {
    return Models.tinySession().toBuilder().layers(LayerRange.of(begin, end)).build();
  }

  @Test
  void twoHalvesGiveTheLogitsOfTheWhole() {
    LlmModel model = Models.tiny();
    FloatBuffer hidden = floats(TOKENS.length * model.info().embedding());
    try (LlmSession lower = model.newSession(tiny(0, 1)); LlmSession upper = model.newSession(tiny(1, 0));
        LlmSession whole = model.newSession(Models.tinySession())) {
      lower.evalHidden(TOKENS, null, hidden);
      upper.evalHidden(TOKENS, hidden, null);
      whole.eval(TOKENS);
      assertArrayEquals(whole.logits(), upper.logits());
      assertEquals(TOKENS.length, upper.tokenCount());
      fails(ErrorCode.NOT_AVAILABLE, () -> lower.eval(3));
      fails(ErrorCode.NOT_AVAILABLE, lower::logits);
      fails(ErrorCode.RANGE, () -> upper.evalHidden(new int[] {70}, hidden, null));
      fails(ErrorCode.RANGE, () -> upper.evalHidden(TOKENS, null, null));
      fails(ErrorCode.INVALID_ARGUMENT, () -> lower.evalHidden(TOKENS, null, FloatBuffer.allocate(10)));
      fails(ErrorCode.INVALID_ARGUMENT, () -> lower.evalHidden(TOKENS, null, hidden.asReadOnlyBuffer()));
      assertEquals(TOKENS.length, upper.tokenCount());
    }
  }

  @Test
  void aModelOfSomeLayersHasFewerWeights() {
    LlmModel whole = Models.tiny();
    FloatBuffer hidden = floats(TOKENS.length * whole.info().embedding());
    ModelOptions upperLayers = ModelOptions.builder().path(Models.tinyPath()).layers(LayerRange.of(1, 2)).build();
    try (LlmModel part = LlmModel.load(upperLayers); LlmSession upper = part.newSession(Models.tinySession());
        LlmSession lower = whole.newSession(tiny(0, 1)); LlmSession all = whole.newSession(Models.tinySession())) {
      lower.evalHidden(TOKENS, null, hidden);
      upper.evalHidden(TOKENS, hidden, null);
      all.eval(TOKENS);
      assertArrayEquals(all.logits(), upper.logits());
      assertTrue(upper.stats().modelBytes() < all.stats().modelBytes());
      fails(ErrorCode.RANGE, () -> part.newSession(tiny(0, 1)));
    }
    fails(ErrorCode.RANGE,
        () -> LlmModel.load(ModelOptions.builder().path(Models.tinyPath()).layers(LayerRange.of(1, 9)).build()));
  }

  @Test
  void tapsAreWhatLayersPutOut() {
    LlmModel model = Models.tiny();
    int size = TOKENS.length * model.info().embedding();
    FloatBuffer hidden = floats(size);
    FloatBuffer taps = floats(2 * size);
    try (LlmSession lower = model.newSession(tiny(0, 1)); LlmSession whole = model.newSession(Models.tinySession())) {
      lower.evalHidden(TOKENS, null, hidden);
      whole.taps(TOKENS, TapRequest.create().place(2).input("blk.1.attn_q.weight"), taps);
      for (int i = 0; i < size; i++) {
        assertEquals(hidden.get(i), taps.get(i), i + "");
      }
      fails(ErrorCode.RANGE, () -> whole.taps(TOKENS, TapRequest.create().place(99), taps));
      fails(ErrorCode.RANGE, () -> whole.taps(TOKENS, TapRequest.create().place(1), taps));
      fails(ErrorCode.INVALID_ARGUMENT, () -> whole.taps(TOKENS, TapRequest.create().input("none"), taps));
    }
  }

  @Test
  void partsOfARealModelAreLeftOutAndStoodInFor() {
    LlmModel model = Models.smol();
    int width = model.info().embedding();
    int[] prompt = model.tokenize("The capital of France is", true, false);
    try (LlmSession session = model.newSession(SessionOptions.builder().contextTokens(256).build())) {
      int[] parts = session.skippableParts();
      assertEquals(2 * 28, parts.length);
      session.eval(prompt);
      int[] next = {prompt[0]};
      session.eval(next);
      float[] dense = session.logits();
      session.rewind(prompt.length);
      session.setLayerGates(LayerGates.always(12, 14));
      session.eval(next);
      assertFalse(Arrays.equals(dense, session.logits()));
      float[] skipped = session.logits();
      session.rewind(prompt.length);
      float[] bias = new float[width];
      Arrays.fill(bias, 0.5f);
      session.setBypass(12, 1, new float[width], new float[width], bias);
      session.eval(next);
      assertFalse(Arrays.equals(skipped, session.logits()));
      session.rewind(prompt.length);
      session.setLayerGates(null);
      session.eval(next);
      assertArrayEquals(dense, session.logits());

      fails(ErrorCode.RANGE, () -> session.setLayerGates(LayerGates.always(0)));
      fails(ErrorCode.INVALID_ARGUMENT, () -> session.setLayerGates(LayerGates.always(4, 4)));
      fails(ErrorCode.INVALID_ARGUMENT,
          () -> session.setLayerGates(LayerGates.byEntropy(new int[] {4}, new float[] {2}, new int[] {1}, 0)));
      fails(ErrorCode.RANGE, () -> session.setBypass(12, 2, new float[width], new float[width], bias));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"15:30", "0:15", "2:"})
  void rangesAreWrittenAsTheyAreRead(String text) {
    assertEquals(text, LayerRange.parse(text).toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"15", "a:b", "3:2", "3:3", "-1:4", "1:2:3", ""})
  void noRanges(String text) {
    try {
      LayerRange.parse(text);
    } catch (LlmException e) {
      assertTrue(e.code() == ErrorCode.INVALID_ARGUMENT || e.code() == ErrorCode.RANGE);
      return;
    }
    throw new AssertionError(text);
  }
}
