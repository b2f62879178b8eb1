package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.llmmobile.testing.Forced;
import io.github.llmmobile.testing.Models;
import io.github.llmmobile.testing.TinyModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GenerateTest {
  private static final Prompt PROMPT = Prompt.text("hello world and the");

  private final LlmModel model = Models.tiny();
  private final LlmSession session = model.newSession(Models.tinySession());

  @AfterEach
  void close() {
    session.close();
  }

  private static GenerationOptions.Builder greedy(int maxTokens) {
    return GenerationOptions.greedy().toBuilder().maxTokens(maxTokens).ignoreEos(true);
  }

  @Test
  void greedyAnswersAreTheSameEveryTime() {
    GenerationResult first = session.generate(PROMPT, greedy(20).build());
    assertEquals(20, first.tokens().length);
    assertEquals(StopReason.MAX_TOKENS, first.stopReason());
    assertArrayEquals(first.tokens(), session.generate(PROMPT, greedy(20).build()).tokens());
    try (LlmSession other = model.newSession(Models.tinySession())) {
      assertArrayEquals(first.tokens(), other.generate(PROMPT, greedy(20).build()).tokens());
    }
  }

  @Test
  void aSeedRepeatsAnAnswerAndAnotherChangesIt() {
    GenerationOptions.Builder wild = greedy(20).temperature(2).topK(0).topP(1).minP(0);
    int[] first = session.generate(PROMPT, wild.seed(1).build()).tokens();
    assertArrayEquals(first, session.generate(PROMPT, wild.seed(1).build()).tokens());
    assertFalse(Arrays.equals(first, session.generate(PROMPT, wild.seed(2).build()).tokens()));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 64})
  void theListenerHearsEveryTokenAndAllTheText(int tokensPerCallback) {
    List<Token> heard = new ArrayList<>();
    GenerationOptions options = greedy(30).tokensPerCallback(tokensPerCallback).build();
    GenerationResult result = session.generate(PROMPT, options, heard::add);
    assertEquals(result.text(), heard.stream().map(Token::text).collect(Collectors.joining()));
    assertArrayEquals(result.tokens(),
        heard.stream().mapToInt(Token::id).filter(id -> id != Token.NO_ID).toArray());
    assertTrue(heard.stream().allMatch(token -> token.logprob().isEmpty()));
  }

  @Test
  void draftsChangeNothingButCounters() {
    GenerationResult plain = session.generate(PROMPT, greedy(120).build());
    GenerationResult drafted = session.generate(PROMPT, greedy(120).draftTokens(8).build());
    assertArrayEquals(plain.tokens(), drafted.tokens());
    assertEquals(plain.text(), drafted.text());
    assertEquals(0, plain.stats().draftSteps());
    assertTrue(drafted.stats().draftAccepted() <= drafted.stats().draftProposed(), drafted.stats()::toString);
  }

  @Test
  void charactersOfSeveralBytesAndTokensComeWhole() {
    String text = "\u65e5\u672c \u00e9\u00df \ud83c\udf89\ud83d\ude80 end";
    List<String> pieces = new ArrayList<>();
    GenerationResult result =
        session.generate(PROMPT, Forced.text(text).build(), token -> pieces.add(token.text()));
    assertEquals(text, result.text());
    assertEquals(text, String.join("", pieces));
    // The emoji have no tokens of their own: four bytes, three of them silent.
    assertTrue(pieces.stream().filter(String::isEmpty).count() >= 6, pieces::toString);
    for (String piece : pieces) {
      assertFalse(piece.contains("\ufffd"), pieces::toString);
      assertTrue(piece.isEmpty() || !Character.isLowSurrogate(piece.charAt(0)), pieces::toString);
    }
    assertEquals(StopReason.END, result.stopReason());
  }

  @Test
  void aStopStringEndsTheAnswerAndIsNotPartOfIt() {
    List<String> pieces = new ArrayList<>();
    GenerationOptions options = Forced.text("hello stop world").stop(List.of("nothing", "stop")).build();
    GenerationResult result = session.generate(PROMPT, options, token -> pieces.add(token.text()));
    assertEquals("hello ", result.text());
    assertEquals("hello ", String.join("", pieces));
    assertEquals(StopReason.STOP_STRING, result.stopReason());
  }

  @Test
  void textHeldBackAsAPossibleStopStringComesOutAtTheEnd() {
    List<Token> heard = new ArrayList<>();
    GenerationOptions options = Forced.text("hello sto").stop(List.of("stop")).build();
    GenerationResult result = session.generate(PROMPT, options, heard::add);
    assertEquals("hello sto", result.text());
    Token last = heard.get(heard.size() - 1);
    assertEquals(Token.NO_ID, last.id());
    assertTrue("hello sto".endsWith(last.text()) && !last.text().isEmpty(), last::toString);
    assertFalse(Arrays.stream(result.tokens()).anyMatch(id -> id == Token.NO_ID));
  }

  @Test
  void noTokensAreGeneratedIfNoneAreWanted() {
    GenerationResult result = session.generate(PROMPT, greedy(0).build());
    assertEquals("", result.text());
    assertEquals(0, result.tokens().length);
    assertEquals(StopReason.MAX_TOKENS, result.stopReason());
    assertEquals(result.promptTokens(), session.tokenCount());
  }

  @Test
  void withoutALimitTheAnswerFillsTheContext() {
    GenerationResult result = session.generate(PROMPT, greedy(-1).build());
    assertEquals(StopReason.CONTEXT_FULL, result.stopReason());
    assertEquals(TinyModel.CONTEXT, session.tokenCount());
    assertEquals(TinyModel.CONTEXT, result.promptTokens() + result.tokens().length);
  }

  @Test
  void logprobsBelongToTheTokens() {
    List<Token> heard = new ArrayList<>();
    GenerationResult result = session.generate(PROMPT, greedy(8).logprobs(true).build(), heard::add);
    List<TokenLogprob> logprobs = result.logprobs().orElseThrow();
    assertArrayEquals(result.tokens(), logprobs.stream().mapToInt(TokenLogprob::token).toArray());
    for (int i = 0; i < logprobs.size(); i++) {
      assertTrue(logprobs.get(i).logprob() <= 0, logprobs::toString);
      assertEquals(logprobs.get(i).logprob(), heard.get(i).logprob().orElseThrow());
    }
    session.rewind(result.promptTokens());
    TokenLogprob top = session.topLogprobs(1).get(0);
    assertEquals(logprobs.get(0).token(), top.token());
    assertEquals(logprobs.get(0).logprob(), top.logprob(), 1e-5);
    assertTrue(session.generate(PROMPT, greedy(1).build()).logprobs().isEmpty());
  }

  @Test
  void aForbiddenTokenDoesNotAppear() {
    int favourite = session.generate(PROMPT, greedy(1).build()).tokens()[0];
    GenerationOptions without =
        greedy(1).logitBias(Map.of(favourite, Double.NEGATIVE_INFINITY)).build();
    assertNotEquals(favourite, session.generate(PROMPT, without).tokens()[0]);
  }

  @Test
  void aJsonSchemaGivesJson() {
    String schema = "{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}},\"required\":[\"ok\"],"
        + "\"additionalProperties\":false}";
    GenerationResult result =
        session.generate(PROMPT, GenerationOptions.greedy().toBuilder().jsonSchema(schema).maxTokens(200).build());
    if (result.stopReason() == StopReason.END) {
      assertTrue(JsonParser.parseString(result.text()).getAsJsonObject().get("ok").isJsonPrimitive());
    } else {
      // A model of random weights may prefer the white space that JSON allows without end.
      assertTrue(result.text().startsWith("{"), result::text);
    }
  }

  @Test
  void statsCountThisGenerationAlone() {
    session.generate(PROMPT, greedy(5).build());
    GenerationResult second = session.generate(Prompt.text("stop and the world"), greedy(7).build());
    assertEquals(7, second.stats().generatedTokens());
    assertEquals(second.promptTokens(), second.stats().promptTokens() + second.stats().reusedTokens());
    assertEquals(12, session.stats().generatedTokens());
    session.resetStats();
    assertEquals(0, session.stats().generatedTokens());
    assertTrue(session.stats().kvBytes() > 0);
  }

  @Test
  void theTemplateDecidesWhatTheModelReads() {
    session.generate(Prompt.user("hello"), greedy(0).build());
    String read = model.detokenize(session.tokens(), true);
    assertEquals("<s><|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", read);
    session.generate(Prompt.text("<|im_start|>"), greedy(0).build());
    assertTrue(session.tokenCount() > 2, "control tokens in plain text stay text");
  }

  @Test
  void badOptionsAndPromptsChangeNothing() {
    session.generate(PROMPT, greedy(3).build());
    int[] before = session.tokens();
    Prompt other = Prompt.text("stop");
    fails(ErrorCode.GRAMMAR, () -> session.generate(other, greedy(3).grammar("root ::= (").build()));
    fails(ErrorCode.GRAMMAR, () -> session.generate(other, greedy(3).grammar("no root here").build()));
    fails(ErrorCode.GRAMMAR,
        () -> session.generate(other, greedy(3).jsonSchema("{\"type\":\"nonsense\"}").build()));
    fails(ErrorCode.JSON, () -> session.generate(other, greedy(3).jsonSchema("{").build()));
    fails(ErrorCode.RANGE, () -> session.generate(other, greedy(3).logitBias(Map.of(1 << 20, 1.0)).build()));
    fails(ErrorCode.ENCODING, () -> session.generate(Prompt.text("\ud800"), greedy(3).build()));
    fails(ErrorCode.ENCODING, () -> session.generate(Prompt.user("\udc00"), greedy(3).build()));
    fails(ErrorCode.ENCODING, () -> session.generate(other, greedy(3).stop(List.of("\ud800")).build()));
    fails(ErrorCode.ENCODING, () -> session.generate(other, greedy(3).grammar("\ud800").build()));
    fails(ErrorCode.INVALID_ARGUMENT, () -> session.generate(Prompt.tokens(), greedy(3).build()));
    fails(ErrorCode.RANGE, () -> session.generate(Prompt.tokens(1, 1 << 20), greedy(3).build()));
    fails(ErrorCode.RANGE, () -> session.generate(Prompt.tokens(-1), greedy(3).build()));
    fails(ErrorCode.TEMPLATE,
        () -> session.generate(Prompt.chat(List.of(ChatMessage.of("forbidden", "x"))), greedy(3).build()));
    assertArrayEquals(before, session.tokens());
    assertEquals(3, session.generate(PROMPT, greedy(3).build()).tokens().length);
  }

  @Test
  void aPromptThatIsTooLongSaysBothLengths() {
    int[] tokens = new int[TinyModel.CONTEXT + 1];
    Arrays.fill(tokens, TinyModel.FIRST_BYTE + 'a');
    String message =
        fails(ErrorCode.CONTEXT_FULL, () -> session.generate(Prompt.tokens(tokens), greedy(3).build()));
    assertTrue(message.contains("513") && message.contains("512"), message);
    assertEquals(0, session.tokenCount());
  }

  @Test
  void anEmptyTextIsThePromptOfTheStartToken() {
    GenerationResult result = session.generate(Prompt.text(""), greedy(2).build());
    assertEquals(1, result.promptTokens());
    try (LlmSession plain = Models.plain().newSession(Models.tinySession())) {
      assertEquals("prompt: has no tokens",
          fails(ErrorCode.INVALID_ARGUMENT, () -> plain.generate(Prompt.text(""), greedy(2).build())));
      assertEquals(2, plain.generate(Prompt.text("a"), greedy(2).build()).tokens().length);
    }
  }

  @Test
  void aModelWithoutATemplateRefusesChats() {
    try (LlmSession plain = Models.plain().newSession(Models.tinySession())) {
      fails(ErrorCode.TEMPLATE, () -> plain.generate(Prompt.user("hello"), greedy(2).build()));
      ChatRequest own = ChatRequest.builder().messages(List.of(ChatMessage.user("hello")))
          .template("{{ messages[0]['content'] }}").build();
      assertEquals(2, plain.generate(Prompt.chat(own), greedy(2).build()).tokens().length);
      assertEquals("hello", Models.plain().renderChat(own));
    }
  }
}
