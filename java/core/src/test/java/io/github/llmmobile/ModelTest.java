package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ModelTest {
  private final LlmModel model = Models.tiny();

  @Test
  void infoIsWhatTheFileSays() {
    ModelInfo info = model.info();
    assertEquals("llama", info.architecture());
    assertEquals(Optional.of("tiny model"), info.name());
    assertEquals(Optional.of("apache-2.0"), info.license());
    assertEquals(TinyModel.CONTEXT, info.contextTrain());
    assertEquals(64, info.embedding());
    assertEquals(2, info.layers());
    assertEquals(4, info.heads());
    assertEquals(2, info.headsKv());
    assertEquals(OptionalInt.of(16), info.headDimK());
    assertEquals(OptionalInt.of(16), info.headDimV());
    assertEquals(OptionalInt.of(1), info.bos());
    assertEquals(OptionalInt.of(2), info.eos());
    assertArrayEquals(new int[] {2, 260}, info.endTokens());
    assertTrue(info.addBos());
    assertFalse(info.addEos());
    assertFalse(info.recurrent());
    assertFalse(info.hybrid());
    assertFalse(info.encoder());
    assertTrue(info.decoder());
    assertEquals(0, info.slidingWindow());
    assertTrue(info.vocabulary() > 300);
    assertTrue(info.parameters() > 100_000);
    assertTrue(info.sizeBytes() >= 4 * info.parameters());
    assertTrue(info.quantization().isPresent());
    assertTrue(info.description().isPresent());
    assertTrue(info.ropeType().isPresent());
    assertTrue(info.chatTemplate().orElseThrow().contains("im_start"));
    assertFalse(info.fingerprint().isEmpty());
    assertNotEquals(info.fingerprint(), Models.other().info().fingerprint());
    assertEquals(info, model.info());
    assertTrue(JsonParser.parseString(info.toJson()).isJsonObject());
    assertTrue(Models.plain().info().chatTemplate().isEmpty());
  }

  @Test
  void inspectReadsTheHeaderAlone() {
    GgufInfo info = LlmModel.inspect(Models.tinyPath());
    assertEquals(3, info.version());
    assertEquals(Models.tinyPath().toFile().length(), info.sizeBytes());
    assertEquals(21, info.tensorCount());
    assertEquals(21, info.tensors().size());
    assertEquals(model.info().parameters(), info.parameters());
    assertTrue(info.dataOffset() > 0 && info.dataOffset() < info.sizeBytes());
    Map<String, Object> metadata = info.metadata();
    assertEquals("llama", metadata.get("general.architecture"));
    assertEquals(64L, metadata.get("llama.embedding_length"));
    assertEquals(true, metadata.get("tokenizer.ggml.add_bos_token"));
    assertEquals(1e-5, (double) metadata.get("llama.attention.layer_norm_rms_epsilon"), 1e-10);
    Map<?, ?> tokens = (Map<?, ?>) metadata.get("tokenizer.ggml.tokens");
    assertEquals((long) model.info().vocabulary(), tokens.get("length"));
    GgufInfo.Tensor query = info.tensors().stream()
        .filter(tensor -> tensor.name().equals("blk.0.attn_q.weight")).findFirst().orElseThrow();
    assertEquals(List.of(64L, 64L), query.shape());
    assertEquals("F32", query.type());
    assertEquals(4 * 64 * 64, query.bytes());
    assertTrue(JsonParser.parseString(info.toJson()).isJsonObject());
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "", "hello world", "\u65e5\u672c \u00e9\u00df", "\ud83c\udf89", "tab\tand\nline", "  spaces  ", "a\0b"})
  void textSurvivesTokensAndBack(String text) {
    int[] tokens = model.tokenize(text, false, false);
    assertEquals(text, model.detokenize(tokens, false));
  }

  @Test
  void specialTokensAreAddedAndParsedWhenAsked() {
    assertEquals(1, model.tokenize("a", true, false)[0]);
    assertEquals(1, model.tokenize("<|im_start|>", false, true).length);
    assertTrue(model.tokenize("<|im_start|>", false, false).length > 1);
    int[] start = model.tokenize("<|im_start|>", false, true);
    assertEquals("<|im_start|>", model.detokenize(start, true));
    assertEquals("", model.detokenize(start, false));
    assertEquals("", model.detokenize(new int[0], false));
  }

  @Test
  void brokenBytesBecomeReplacementCharacters() {
    assertEquals("\ufffd", model.detokenize(new int[] {TinyModel.FIRST_BYTE + 0xF0}, false));
  }

  @Test
  void badTextAndTokensAreRefused() {
    fails(ErrorCode.ENCODING, () -> model.tokenize("x\ud800", true, false));
    fails(ErrorCode.RANGE, () -> model.detokenize(new int[] {1 << 20}, false));
    fails(ErrorCode.RANGE, () -> model.detokenize(new int[] {-1}, false));
    assertArrayEquals(model.tokenize("a", true, false), model.tokenize("a", true, false));
  }

  @Test
  void chatsAreRenderedWithTheTemplate() {
    List<ChatMessage> messages = List.of(ChatMessage.system("s"), ChatMessage.user("u\u65e5"));
    assertEquals("<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu\u65e5<|im_end|>\n<|im_start|>assistant\n",
        model.renderChat(messages));
    ChatRequest request = ChatRequest.builder().messages(messages).addGenerationPrompt(false)
        .kwarg("mood", "merry").build();
    assertEquals("<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu\u65e5<|im_end|>\n"
        + "<|im_start|>mood\nmerry<|im_end|>\n", model.renderChat(request));
    assertEquals("own: s", model.renderChat(
        ChatRequest.builder().messages(messages).template("own: {{ messages[0]['content'] }}").build()));
    fails(ErrorCode.TEMPLATE, () -> model.renderChat(List.of(ChatMessage.of("forbidden", "x"))));
    fails(ErrorCode.TEMPLATE, () -> model.renderChat(
        ChatRequest.builder().messages(messages).template("{% broken").build()));
    fails(ErrorCode.ENCODING, () -> model.renderChat(List.of(ChatMessage.user("\udfff"))));
    fails(ErrorCode.JSON, () -> model.renderChat(
        ChatRequest.builder().messages(messages).toolsJson("{}").build()));
  }

  @Test
  void aVocabularyAloneTokenisesButHasNoSessions() {
    ModelOptions options = ModelOptions.builder().path(Models.tinyPath()).vocabOnly(true).build();
    try (LlmModel vocabulary = LlmModel.load(options)) {
      assertArrayEquals(model.tokenize("hello", true, false), vocabulary.tokenize("hello", true, false));
      assertEquals(model.info().vocabulary(), vocabulary.info().vocabulary());
      fails(ErrorCode.NOT_AVAILABLE, vocabulary::newSession);
      fails(ErrorCode.NOT_AVAILABLE, () -> vocabulary.embed("hello", EmbeddingOptions.defaults()));
    }
  }

  @Test
  void waysOfLoadingDoNotChangePredictions() {
    float[] expected = logits(model);
    ModelOptions options = ModelOptions.of(Models.tinyPath());
    for (ModelOptions other : List.of(
        options.toBuilder().useMmap(false).build(), options.toBuilder().repack(false).build(),
        options.toBuilder().checkTensors(true).build())) {
      try (LlmModel loaded = LlmModel.load(other)) {
        assertArrayEquals(expected, logits(loaded), 1e-4f, other::toString);
      }
    }
  }

  private static float[] logits(LlmModel model) {
    try (LlmSession session = model.newSession(Models.tinySession())) {
      session.eval(model.tokenize("hello world", true, false));
      return session.logits();
    }
  }

  @Test
  void contextsAreRoundedUpAndDefaultToTheModels() {
    try (LlmSession odd = model.newSession(SessionOptions.builder().contextTokens(300).build());
        LlmSession usual = model.newSession()) {
      assertEquals(512, odd.contextTokens());
      assertEquals(TinyModel.CONTEXT, usual.contextTokens());
      assertEquals(LlmMobile.physicalCores(), usual.stats().threads());
    }
  }

  @Test
  void attentionKernelsAgree() {
    int[] tokens = model.tokenize("hello world and the stop", true, false);
    float[] expected = null;
    for (FlashAttention kernel : FlashAttention.values()) {
      SessionOptions options = Models.tinySession().toBuilder().flashAttention(kernel).build();
      try (LlmSession session = model.newSession(options)) {
        session.eval(tokens);
        if (expected == null) {
          expected = session.logits();
        }
        assertArrayEquals(expected, session.logits(), 0.05f, kernel.name());
      }
    }
  }

  @Test
  void embeddingsAreUnitVectorsThatTellTextsApart() {
    float[] a = model.embed("hello world", EmbeddingOptions.defaults());
    float[] b = model.embed("stop and the", EmbeddingOptions.defaults());
    assertEquals(64, a.length);
    assertEquals(1, dot(a, a), 1e-5);
    assertArrayEquals(a, model.embed("hello world", EmbeddingOptions.defaults()), 1e-6f);
    assertTrue(dot(a, b) < 0.999, () -> "cosine " + dot(a, b));
    float[] last = model.embed("hello world", EmbeddingOptions.builder().pooling(Pooling.LAST).build());
    float[] first = model.embed("hello world", EmbeddingOptions.builder().pooling(Pooling.CLS).build());
    assertTrue(dot(last, first) < 0.999);
    float[] raw = model.embed("hello world", EmbeddingOptions.builder().normalize(false).build());
    assertEquals(1, dot(raw, a) / Math.sqrt(dot(raw, raw)), 1e-5);
    assertNotEquals(1, dot(raw, raw), 1e-3);
    fails(ErrorCode.ENCODING, () -> model.embed("\ud800", EmbeddingOptions.defaults()));
    fails(ErrorCode.INVALID_ARGUMENT, () -> Models.plain().embed("", EmbeddingOptions.defaults()));
  }

  private static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }

  @Test
  void aPathWithAnyCharactersWorks() {
    Path file = TinyModel.file("m \u00e9 \u65e5\u672c '\"%.gguf", TinyModel.plainBytes());
    try (LlmModel loaded = LlmModel.load(ModelOptions.of(file))) {
      assertEquals("llama", loaded.info().architecture());
    }
  }
}
