package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Forced;
import io.github.llmmobile.testing.Models;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a session has evaluated already is not evaluated again, and the statistics say so. */
class PrefixReuseTest {
  private static final GenerationOptions NONE = GenerationOptions.greedy().toBuilder().maxTokens(0).build();
  private static final TokenListener SILENT = token -> {};

  private final LlmModel model = Models.tiny();
  private final LlmSession session = model.newSession(Models.tinySession());

  @AfterEach
  void close() {
    session.close();
  }

  @Test
  void aLongerPromptEvaluatesOnlyItsEnd() {
    int[] beginning = model.tokenize("hello world", true, false);
    int[] whole = model.tokenize("hello world and the stop", true, false);
    GenerationResult first = session.generate(Prompt.tokens(beginning), NONE);
    assertEquals(0, first.reusedTokens());
    assertEquals(beginning.length, first.stats().promptTokens());
    GenerationResult second = session.generate(Prompt.tokens(whole), NONE);
    assertEquals(beginning.length, second.reusedTokens());
    assertEquals(whole.length, second.promptTokens());
    assertEquals(whole.length - beginning.length, second.stats().promptTokens());
    assertEquals(beginning.length, second.stats().reusedTokens());
  }

  @Test
  void anotherPromptKeepsTheCommonBeginningOnly() {
    session.generate(Prompt.tokens(1, 70, 71, 72, 73), NONE);
    GenerationResult other = session.generate(Prompt.tokens(1, 70, 99, 98), NONE);
    assertEquals(2, other.reusedTokens());
    assertArrayEquals(new int[] {1, 70, 99, 98}, session.tokens());
  }

  @Test
  void reuseDoesNotChangeTheAnswer() {
    GenerationOptions options = GenerationOptions.greedy().toBuilder().maxTokens(20).ignoreEos(true).build();
    session.generate(Prompt.text("hello world"), options);
    int[] reused = session.generate(Prompt.text("hello world and the"), options).tokens();
    try (LlmSession fresh = model.newSession(Models.tinySession())) {
      assertArrayEquals(fresh.generate(Prompt.text("hello world and the"), options).tokens(), reused);
    }
  }

  @Test
  void theSecondTurnOfAConversationEvaluatesOnlyWhatIsNew() {
    Conversation conversation = new Conversation(session, List.of(ChatMessage.system("the stop")));
    GenerationResult first = conversation.send("hello", Forced.text("world").build(), SILENT);
    assertEquals("world", first.text());
    GenerationResult second = conversation.send("and the", Forced.text("stop").build(), SILENT);
    assertTrue(second.reusedTokens() >= first.promptTokens(), second.reusedTokens() + " reused");
    assertEquals(second.promptTokens() - second.reusedTokens(), second.stats().promptTokens());
    assertTrue(second.stats().promptTokens() < second.promptTokens() / 2, () -> second.stats().toString());
    assertEquals(List.of("system", "user", "assistant", "user", "assistant"),
        conversation.messages().stream().map(ChatMessage::role).collect(Collectors.toList()));
    conversation.reset();
    assertEquals(List.of(ChatMessage.system("the stop")), conversation.messages());
  }

  @Test
  void aFailedTurnLeavesTheConversationAsItWas() {
    Conversation conversation = new Conversation(session);
    conversation.send("hello", Forced.text("world").build(), SILENT);
    List<ChatMessage> before = conversation.messages();
    StringBuilder tooLong = new StringBuilder();
    while (tooLong.length() < 2000) {
      tooLong.append('x');
    }
    try {
      conversation.send(tooLong.toString(), NONE, SILENT);
    } catch (ContextFullException expected) {
      assertEquals(before, conversation.messages());
      return;
    }
    throw new AssertionError("the message must not fit");
  }

  @Test
  void aCancelledAnswerStaysAsFarAsItCame() {
    Conversation conversation = new Conversation(session);
    CancellationToken cancellation = new CancellationToken();
    List<String> heard = new ArrayList<>();
    GenerationResult result =
        conversation.send("hello", Forced.text("hello world and the stop").build(), token -> {
          heard.add(token.text());
          cancellation.cancel();
        }, cancellation);
    assertEquals(StopReason.CANCELLED, result.stopReason());
    assertEquals(1, heard.size());
    assertEquals(ChatMessage.assistant(heard.get(0)), conversation.messages().get(1));
  }
}
