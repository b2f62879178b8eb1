package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoraTest {
  @TempDir Path folder;

  private final LlmModel model = Models.tiny();
  private final LlmSession session = model.newSession(Models.tinySession());

  @AfterEach
  void close() {
    session.close();
  }

  private Path adapter(double strength) throws IOException {
    return Files.write(folder.resolve("lora-" + strength), TinyModel.adapterBytes(strength));
  }

  private float[] logits() {
    session.rewind(0);
    session.eval(70, 71, 72, 73);
    return session.logits();
  }

  @Test
  void anAdapterChangesPredictionsByItsScaleUntilItIsRemoved() throws IOException {
    float[] plain = logits();
    try (LoraAdapter adapter = model.openAdapter(adapter(1))) {
      session.setAdapters(Map.of(adapter, 1f));
      float[] full = logits();
      assertFalse(Arrays.equals(plain, full));
      session.setAdapters(Map.of(adapter, 0.5f));
      float[] half = logits();
      assertFalse(Arrays.equals(full, half));
      session.setAdapters(Map.of());
      assertArrayEquals(plain, logits(), 1e-5f);
    }
  }

  @Test
  void anAdapterOfStrengthZeroChangesNothing() throws IOException {
    float[] plain = logits();
    try (LoraAdapter adapter = model.openAdapter(adapter(0))) {
      session.setAdapters(Map.of(adapter, 1f));
      assertArrayEquals(plain, logits(), 1e-5f);
    }
  }

  @Test
  void settingAnAdapterEvaluatesTheHistoryAgain() throws IOException {
    session.eval(70, 71, 72, 73);
    float[] before = session.logits();
    try (LoraAdapter adapter = model.openAdapter(adapter(1))) {
      session.setAdapters(Map.of(adapter, 1f));
      assertEquals(4, session.tokenCount());
      assertFalse(Arrays.equals(before, session.logits()));
    }
  }

  @Test
  void aSessionKeepsAClosedAdapter() throws IOException {
    LoraAdapter adapter = model.openAdapter(adapter(1));
    session.setAdapters(Map.of(adapter, 1f));
    float[] with = logits();
    adapter.close();
    adapter.close();
    assertArrayEquals(with, logits(), 1e-5f);
    assertEquals("LoraAdapter is closed",
        assertThrows(IllegalStateException.class, () -> session.setAdapters(Map.of(adapter, 1f))).getMessage());
    assertArrayEquals(with, logits(), 1e-5f);
  }

  @Test
  void closingTheModelClosesItsAdapters() throws IOException {
    LlmModel own = LlmModel.load(ModelOptions.of(Models.tinyPath()));
    LoraAdapter adapter = own.openAdapter(adapter(1));
    own.close();
    assertThrows(IllegalStateException.class, () -> session.setAdapters(Map.of(adapter, 1f)));
    adapter.close();
  }

  @Test
  void brokenAndForeignAdaptersAreRefused() throws IOException {
    byte[] noise = new byte[5000];
    new Random(5).nextBytes(noise);
    byte[] sound = TinyModel.adapterBytes(1);
    Path broken = folder.resolve("broken");
    fails(ErrorCode.MODEL_NOT_FOUND, () -> model.openAdapter(folder.resolve("missing")));
    fails(ErrorCode.MODEL_NOT_FOUND, () -> model.openAdapter(folder));
    for (byte[] bytes : new byte[][] {
      {}, noise, Arrays.copyOf(sound, 100), Arrays.copyOf(sound, sound.length - 100), TinyModel.bytes(),
      TinyModel.misfitAdapterBytes()
    }) {
      Files.write(broken, bytes);
      fails(ErrorCode.ADAPTER_INVALID, () -> model.openAdapter(broken));
    }
    assertEquals(model.info().vocabulary(), logits().length);
  }

  @Test
  void anAdapterOfAnotherModelOrABadScaleChangesNothing() throws IOException {
    float[] plain = logits();
    try (LlmModel twin = LlmModel.load(ModelOptions.of(Models.tinyPath()));
        LoraAdapter foreign = twin.openAdapter(adapter(1));
        LoraAdapter own = model.openAdapter(adapter(1))) {
      fails(ErrorCode.INVALID_ARGUMENT, () -> session.setAdapters(Map.of(foreign, 1f)));
      fails(ErrorCode.RANGE, () -> session.setAdapters(Map.of(own, Float.NaN)));
    }
    assertArrayEquals(plain, logits(), 1e-5f);
  }
}
