package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Options of models, sessions, measurements and chats. Those of generations have a test of their own. */
class OptionsTest {
  @Test
  void modelDefaultsAreTheDocumentedOnes() {
    ModelOptions o = ModelOptions.of(Path.of("x.gguf"));
    assertEquals(Path.of("x.gguf"), o.path());
    assertTrue(o.useMmap());
    assertFalse(o.useMlock());
    assertFalse(o.checkTensors());
    assertFalse(o.vocabOnly());
    assertTrue(o.repack());
    assertTrue(o.progress().isEmpty());
  }

  @Test
  void modelOptionsSurviveToBuilder() {
    ProgressListener listener = fraction -> true;
    ModelOptions o = ModelOptions.builder().path(Path.of("x")).useMmap(false).useMlock(true).checkTensors(true)
        .vocabOnly(true).repack(false).layers(LayerRange.of(1, 3)).progress(listener).build();
    ModelOptions copy = o.toBuilder().build();
    assertEquals(o.toString(), copy.toString());
    assertEquals(listener, copy.progress().orElseThrow());
    assertEquals("ModelOptions[path=x, useMmap=false, useMlock=true, checkTensors=true, vocabOnly=true, repack=false,"
        + " layers=1:3]", copy.toString());
  }

  @Test
  void aModelNeedsAPath() {
    assertEquals("path: is required", fails(ErrorCode.INVALID_ARGUMENT, () -> ModelOptions.builder().build()));
  }

  @Test
  void aPathInsideAnArchiveIsRefused(@TempDir Path folder) throws IOException {
    URI archive = URI.create("jar:" + folder.resolve("a.zip").toUri());
    try (FileSystem zip = FileSystems.newFileSystem(archive, Map.of("create", "true"))) {
      assertEquals("path: /model.gguf is not on the default file system",
          fails(ErrorCode.INVALID_ARGUMENT, () -> ModelOptions.of(zip.getPath("/model.gguf"))));
    }
  }

  @Test
  void sessionDefaultsAreTheDocumentedOnes() {
    SessionOptions o = SessionOptions.defaults();
    assertEquals(0, o.contextTokens());
    assertEquals(512, o.batchTokens());
    assertEquals(0, o.threads());
    assertEquals(0, o.batchThreads());
    assertEquals(FlashAttention.AUTO, o.flashAttention());
    assertEquals(LayerRange.ALL, o.layers());
    assertEquals(LayerRange.of(1, 3), o.toBuilder().layers(LayerRange.of(1, 3)).build().toBuilder().build().layers());
    assertEquals(o, o.toBuilder().build());
  }

  @Test
  void sessionRangesAreChecked() {
    assertEquals("contextTokens: must be from 0 to 134217728, but is -1",
        fails(ErrorCode.RANGE, () -> SessionOptions.builder().contextTokens(-1).build()));
    assertEquals("batchTokens: must be from 1 to 4096, but is 0",
        fails(ErrorCode.RANGE, () -> SessionOptions.builder().batchTokens(0).build()));
    assertEquals("threads: must be from 0 to 512, but is 513",
        fails(ErrorCode.RANGE, () -> SessionOptions.builder().threads(513).build()));
    assertEquals("batchThreads: must be from 0 to 512, but is -1",
        fails(ErrorCode.RANGE, () -> SessionOptions.builder().batchThreads(-1).build()));
    assertThrows(NullPointerException.class, () -> SessionOptions.builder().flashAttention(null));
  }

  @Test
  void embeddingOptionsAreChecked() {
    EmbeddingOptions o = EmbeddingOptions.defaults();
    assertEquals(Pooling.MEAN, o.pooling());
    assertTrue(o.normalize());
    assertEquals("threads: must be from 0 to 512, but is -1",
        fails(ErrorCode.RANGE, () -> EmbeddingOptions.builder().threads(-1).build()));
    EmbeddingOptions changed = EmbeddingOptions.builder().pooling(Pooling.CLS).normalize(false).threads(3).build();
    assertEquals(changed.toString(), changed.toBuilder().build().toString());
  }

  @Test
  void perplexityOptionsAreChecked() {
    PerplexityOptions o = PerplexityOptions.defaults();
    assertEquals(0, o.contextTokens());
    assertEquals(-1, o.chunks());
    assertEquals(0, o.decodeTokens());
    assertEquals("decodeTokens: must be at least 0, but is -1",
        fails(ErrorCode.RANGE, () -> PerplexityOptions.builder().decodeTokens(-1).build()));
    assertTrue(o.savePath().isEmpty());
    assertTrue(o.againstPath().isEmpty());
    assertEquals("chunks: must be -1 or at least 1, but is 0",
        fails(ErrorCode.RANGE, () -> PerplexityOptions.builder().chunks(0).build()));
    assertEquals("contextTokens: must be at least 0, but is -1",
        fails(ErrorCode.RANGE, () -> PerplexityOptions.builder().contextTokens(-1).build()));
    PerplexityOptions changed = PerplexityOptions.builder().contextTokens(256).chunks(2).decodeTokens(8).savePath(Path.of("a"))
        .againstPath(Path.of("b")).progress(fraction -> true).build();
    assertEquals(changed.toString(), changed.toBuilder().build().toString());
    assertTrue(changed.toBuilder().build().progress().isPresent());
  }

  @Test
  void aChatNeedsAMessage() {
    assertEquals("messages: must hold at least one message",
        fails(ErrorCode.INVALID_ARGUMENT, () -> Prompt.chat(List.of())));
    assertEquals("role: must not be empty", fails(ErrorCode.INVALID_ARGUMENT, () -> ChatMessage.of("", "x")));
  }

  @Test
  void chatRequestsSurviveToBuilder() {
    ChatRequest request = ChatRequest.builder().messages(List.of(ChatMessage.tool("4"))).toolsJson("[]")
        .template("t").addGenerationPrompt(false).kwarg("a", true).kwarg("b", 1).kwarg("c", "d").build();
    ChatRequest copy = request.toBuilder().build();
    assertEquals(request.messages(), copy.messages());
    assertEquals(request.toolsJson(), copy.toolsJson());
    assertEquals(request.template(), copy.template());
    assertEquals(request.addGenerationPrompt(), copy.addGenerationPrompt());
    assertEquals(Map.of("a", true, "b", 1, "c", "d"), copy.kwargs());
    assertEquals("kwargs.e: must be a boolean, number or text, but is a Object",
        fails(ErrorCode.INVALID_ARGUMENT, () -> ChatRequest.builder().kwarg("e", new Object())));
  }

  @Test
  void whatPeopleSayStaysOutOfToString() {
    ChatMessage secret = ChatMessage.user("secret");
    assertFalse(secret.toString().contains("secret"));
    assertFalse(ChatRequest.of(List.of(secret)).toString().contains("secret"));
    assertFalse(Prompt.text("secret").toString().contains("secret"));
    assertFalse(Prompt.user("secret").toString().contains("secret"));
  }

  @Test
  void aPromptOfTokensIsACopy() {
    int[] tokens = {1, 2};
    Prompt prompt = Prompt.tokens(tokens);
    tokens[0] = 9;
    assertEquals("Prompt[2 tokens]", prompt.toString());
    assertEquals(1, prompt.resolve(null)[0]);
  }
}
