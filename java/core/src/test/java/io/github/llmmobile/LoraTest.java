package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.LayerCompressionConfig;
import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
  void aPartOfTheRankIsTakenAndTold() throws IOException {
    Path file = adapter(1);
    try (LoraAdapter whole = model.openAdapter(file);
        LoraAdapter three = model.openAdapter(file, AdapterOptions.builder().rank(3).build())) {
      assertEquals(4, whole.info().rank());
      assertEquals(3, three.info().rank());
      assertEquals(4, three.info().fileRank());
      assertEquals(whole.info().matrices(), three.info().matrices());
      assertTrue(three.info().bytes() < whole.info().bytes());
      assertEquals(Optional.empty(), three.info().base());
      assertEquals(whole.info().fingerprint(), three.info().fingerprint());
      session.setAdapters(Map.of(whole, 1f));
      float[] all = logits();
      session.setAdapters(Map.of(three, 1f));
      assertFalse(Arrays.equals(all, logits()));
    }
    String tooHigh = fails(ErrorCode.RANGE, () -> model.openAdapter(file, AdapterOptions.builder().rank(5).build()));
    assertTrue(tooHigh.contains("4"), tooHigh);
  }

  @Test
  void llamaCppsOwnStepsGiveTheSameWithinRounding() throws IOException {
    Path file = adapter(1);
    AdapterOptions exactly = AdapterOptions.builder().exact(true).build();
    try (LoraAdapter ours = model.openAdapter(file);
        LoraAdapter exact = model.openAdapter(file, exactly)) {
      assertFalse(ours.info().exact());
      assertTrue(exact.info().exact());
      session.setAdapters(Map.of(ours, 1f));
      float[] expected = logits();
      session.setAdapters(Map.of(exact, 1f));
      assertArrayEquals(expected, logits(), 2e-2f);
    }
    assertEquals(exactly.toString(), exactly.toBuilder().build().toString());
    fails(ErrorCode.RANGE, () -> AdapterOptions.builder().rank(-1).build());
    fails(ErrorCode.INVALID_ARGUMENT, () -> AdapterOptions.builder().rank(1).exact(true).build());
  }

  private static TechniqueReport layers(LlmSession session) {
    return session.techniques().stream().filter(report -> report.technique().equals(Techniques.LAYERS)).findFirst()
        .orElseThrow();
  }

  private static InferenceConfig factors(Path file, int rank) {
    return InferenceConfig.builder()
        .layerCompression(LayerCompressionConfig.builder().factors(file).compressionRank(rank).build()).build();
  }

  private static float[] logits(LlmSession of) {
    of.rewind(0);
    of.eval(70, 71, 72, 73);
    return of.logits();
  }

  @Test
  void aConfigurationTakesWhatItsFactorsOffer() throws IOException {
    Path file = Files.write(folder.resolve("factors"), TinyModel.factorBytes(model.info().fingerprint()));
    float[] plain = logits();
    float[] full;
    try (LoraAdapter adapter = model.openAdapter(file)) {
      assertEquals(Optional.of(model.info().fingerprint()), adapter.info().base());
      session.setAdapters(Map.of(adapter, 1f));
      full = logits();
    }
    try (LlmSession three = model.newSession(Models.tinySession(), factors(file, 3));
        LlmSession all = model.newSession(Models.tinySession(), factors(file, 8));
        LlmSession none = model.newSession(Models.tinySession(), factors(file, 0))) {
      assertEquals(TechniqueReport.Status.ACTIVE, layers(three).status());
      assertTrue(layers(three).detail().startsWith("factors of rank 3 of 4 for "), layers(three).detail());
      assertTrue(layers(all).detail().startsWith("factors of rank 4 for "), layers(all).detail());
      assertEquals(TechniqueReport.Status.OFF, layers(none).status());
      assertArrayEquals(full, logits(all));
      assertArrayEquals(plain, logits(none));
      assertFalse(Arrays.equals(full, logits(three)));
      // They stay in force beside adapters, and in forks.
      all.setAdapters(Map.of());
      assertArrayEquals(full, logits(all));
      try (LoraAdapter more = model.openAdapter(adapter(1), AdapterOptions.builder().rank(1).build());
          LlmSession fork = all.fork()) {
        all.setAdapters(Map.of(more, 0.5f));
        assertFalse(Arrays.equals(full, logits(all)));
        assertArrayEquals(full, logits(fork));
        fork.setAdapters(Map.of());
        assertArrayEquals(full, logits(fork));
      }
    }
    InferenceConfig strict = factors(file, 8).toBuilder().strict(true).build();
    try (LlmSession session = model.newSession(Models.tinySession(), strict)) {
      assertTrue(layers(session).detail().startsWith("factors of rank 4 for "), layers(session).detail());
    }
  }

  @Test
  void factorsThatCannotBeUsedAreReported() throws IOException {
    Path foreign = Files.write(folder.resolve("foreign"), TinyModel.factorBytes("0123456789abcdef"));
    float[] plain = logits();
    for (Path file : List.of(foreign, folder.resolve("missing"), Files.write(folder.resolve("noise"), new byte[99]))) {
      try (LlmSession ignored = model.newSession(Models.tinySession(), factors(file, 2))) {
        assertEquals(TechniqueReport.Status.NOT_AVAILABLE, layers(ignored).status());
        assertTrue(layers(ignored).detail().contains(file.toString()), layers(ignored).detail());
        assertArrayEquals(plain, logits(ignored));
      }
      InferenceConfig strict = factors(file, 2).toBuilder().strict(true).build();
      fails(ErrorCode.NOT_AVAILABLE, () -> model.newSession(Models.tinySession(), strict).close());
    }
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
