package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

class AnswerTokensTest {
  private static Vocabulary vocabulary(LlmModel model) {
    return new Vocabulary() {
      @Override
      public int[] tokenize(String text) {
        return model.tokenize(text, false, false);
      }

      @Override
      public String detokenize(int[] tokens) {
        return model.detokenize(tokens, false);
      }
    };
  }

  private static AnswerTokens answer(LlmModel model) {
    return new AnswerTokens(vocabulary(model), model.tokenize("hello", true, false));
  }

  private static int[] tokens(AnswerTokens answer) {
    int[] all = answer.all();
    return Arrays.copyOfRange(all, all.length - answer.size(), all.length);
  }

  @Test
  void localTokensStayAsTheyAre() {
    LlmModel model = Models.tiny();
    AnswerTokens answer = answer(model);
    int[] ids = model.tokenize("the world", false, false);
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(answer.append(id));
    }
    assertEquals("the world", text.toString());
    assertEquals("the world", answer.text());
    assertArrayEquals(ids, tokens(answer));
  }

  @Test
  void aCharacterOfSeveralTokensComesWhole() {
    LlmModel model = Models.tiny();
    AnswerTokens answer = answer(model);
    int[] ids = model.tokenize("\ud83c\udf89", false, false);
    assertEquals(4, ids.length);
    for (int i = 0; i < 3; i++) {
      assertEquals("", answer.append(ids[i]));
      assertTrue(answer.incomplete());
    }
    assertEquals("\ud83c\udf89", answer.append(ids[3]));
    assertFalse(answer.incomplete());
  }

  @Test
  void textInPlaceOfAnIncompleteCharacterTakesItsPlace() {
    LlmModel model = Models.tiny();
    AnswerTokens answer = answer(model);
    answer.append(model.tokenize("\ud83c\udf89", false, false)[0]);
    answer.append(" world");
    assertEquals(" world", answer.text());
    assertArrayEquals(model.tokenize(" world", false, false), tokens(answer));
    assertFalse(answer.incomplete());
  }

  /** "wo" of the device and "rld" from elsewhere are one word, and become the token of that word. */
  @Test
  void aWordOfBothIsTokenisedAsOne() {
    LlmModel model = Models.tiny();
    AnswerTokens answer = answer(model);
    for (int id : model.tokenize("and", false, false)) {
      answer.append(id);
    }
    for (int id : model.tokenize(" wo", false, false)) {
      answer.append(id);
    }
    answer.append("rld the");
    assertEquals("and world the", answer.text());
    assertArrayEquals(model.tokenize("and world the", false, false), tokens(answer));
  }

  @Test
  void oneThatNobodyCanSpellIsKeptAsItIs() {
    AnswerTokens answer = new AnswerTokens(new Vocabulary() {
      @Override
      public int[] tokenize(String text) {
        return text.isEmpty() ? new int[0] : new int[] {7};
      }

      @Override
      public String detokenize(int[] tokens) {
        return "?".repeat(tokens.length);
      }
    }, new int[] {1});
    answer.append("something");
    answer.append(" else");
    assertEquals("something else", answer.text());
    assertEquals(2, answer.size());
  }

  /** Local tokens and foreign texts in any order: the text is what was said, and tokens give it back. */
  private static void mixes(LlmModel model, long seed, int[] vocabularyOf) {
    Random random = new Random(seed);
    Vocabulary vocabulary = vocabulary(model);
    int[] prompt = model.tokenize("hello", true, false);
    AnswerTokens answer = new AnswerTokens(vocabulary, prompt);
    StringBuilder heard = new StringBuilder();
    String[] pieces = {" the", "rld", " ", "\n", "\n\n", "\u65e5\u672c", "\ud83c\udf89", "stop", " and so on", "llo",
        ".", " 3.14", "'s", "  two", "\t", "Wo"};
    for (int i = 0; i < 200; i++) {
      if (random.nextInt(3) > 0) {
        heard.append(answer.append(vocabularyOf[random.nextInt(vocabularyOf.length)]));
      } else {
        String piece = pieces[random.nextInt(pieces.length)];
        heard.append(piece);
        answer.append(piece);
      }
      assertEquals(heard.toString(), answer.text());
    }
    if (!answer.incomplete()) {
      String prefix = vocabulary.detokenize(prompt);
      assertEquals(prefix + heard, vocabulary.detokenize(answer.all()));
    }
  }

  @Test
  void anyMixtureOfBothGivesTheTextThatWasHeard() {
    LlmModel model = Models.tiny();
    int[] ids = model.tokenize("hello world the and stop to st \ud83c\udf89 \u00e9 \u00df ! llo rld", false, false);
    for (int seed = 0; seed < 30; seed++) {
      mixes(model, seed, ids);
    }
  }

  @Test
  @Tag("model")
  void theSameWithRealVocabularies() {
    String text = "The quick brown fox's 3.14 jumps\n\nover \ud83c\udf89 the \u65e5\u672c\u8a9e lazy dog... (really)";
    LlmModel smol = Models.smol();
    int[] smolIds = smol.tokenize(text, false, false);
    for (int seed = 0; seed < 20; seed++) {
      mixes(smol, seed, smolIds);
    }
    try (LlmModel gemma = LlmModel.load(
        ModelOptions.builder().path(Models.gemmaPath()).vocabOnly(true).build())) {
      int[] gemmaIds = gemma.tokenize(text, false, false);
      for (int seed = 0; seed < 20; seed++) {
        mixes(gemma, seed, gemmaIds);
      }
    }
  }
}
