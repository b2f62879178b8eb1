package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.testing.Models;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What tiny models of random weights cannot show: sense, and real templates and vocabularies. */
@Tag("model")
class RealModelTest {
  private static final GenerationOptions GREEDY = GenerationOptions.greedy().toBuilder().maxTokens(16).build();
  private static final SessionOptions SESSION = SessionOptions.builder().contextTokens(512).build();
  private static final TokenListener SILENT = token -> {};

  @Test
  void theModelKnowsTheCapitalOfFrance() {
    try (LlmSession session = Models.smol().newSession(SESSION)) {
      GenerationResult result =
          session.generate(Prompt.user("What is the capital of France? Answer with one word."), GREEDY);
      assertTrue(result.text().contains("Paris"), result::text);
    }
  }

  @Test
  void theSecondTurnEvaluatesOnlyTheNewMessage() {
    try (LlmSession session = Models.smol().newSession(SESSION)) {
      Conversation conversation = new Conversation(session, List.of(ChatMessage.system("Answer briefly.")));
      GenerationResult first = conversation.send("What is the capital of France?", GREEDY, SILENT);
      GenerationResult second = conversation.send("And of Italy?", GREEDY, SILENT);
      assertTrue(second.reusedTokens() >= first.promptTokens(),
          () -> second.reusedTokens() + " reused, first prompt " + first.promptTokens());
      assertEquals(second.promptTokens() - second.reusedTokens(), second.stats().promptTokens());
    }
  }

  @Test
  void aSchemaGivesJsonOfThatForm() {
    String schema = "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"maxLength\":20}},"
        + "\"required\":[\"city\"],\"additionalProperties\":false}";
    GenerationOptions options = GREEDY.toBuilder().jsonSchema(schema).maxTokens(48).build();
    try (LlmSession session = Models.smol().newSession(SESSION)) {
      GenerationResult result =
          session.generate(Prompt.user("Name the capital of France as JSON with the key city."), options);
      assertEquals(StopReason.END, result.stopReason(), result.text());
      assertTrue(result.text().matches("(?s)\\s*\\{\\s*\"city\"\\s*:\\s*\".*\"\\s*\\}\\s*"), result::text);
    }
  }

  @Test
  void emojiOfARealVocabularyComeWhole() {
    String text = "\ud83c\udf89 \u65e5\u672c\u8a9e \ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67";
    List<String> pieces = new ArrayList<>();
    try (LlmSession session = Models.smol().newSession(SESSION)) {
      GenerationOptions options = GREEDY.toBuilder().grammar("root ::= \"" + text + "\"").maxTokens(64).build();
      assertEquals(text, session.generate(Prompt.text("A party:"), options, t -> pieces.add(t.text())).text());
    }
    assertEquals(text, String.join("", pieces));
    assertTrue(pieces.stream().noneMatch(piece -> piece.contains("\ufffd")), pieces::toString);
  }

  @Test
  void anotherFamilyCountsAndRefusesForeignSessionFiles(@TempDir Path folder) {
    Path saved = folder.resolve("saved");
    try (LlmSession session = Models.smol().newSession(SESSION)) {
      session.eval(Models.smol().tokenize("The capital of France is", true, false));
      session.save(saved);
    }
    try (LlmModel gemma = LlmModel.load(ModelOptions.of(Models.gemmaPath()));
        LlmSession session = gemma.newSession(SESSION)) {
      fails(ErrorCode.STATE_MISMATCH, () -> session.load(saved));
      assertTrue(gemma.info().slidingWindow() > 0);
      GenerationResult result = session.generate(Prompt.text("1, 2, 3, 4, 5, 6,"), GREEDY);
      assertTrue(result.text().startsWith(" 7, 8, 9"), result::text);
    }
  }
}
