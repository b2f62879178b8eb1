package io.github.llmmobile.cli.needle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.needle.NeedlePlan.Opening;
import io.github.llmmobile.cli.needle.NeedlePlan.Order;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NeedlePromptsTest {
  private static final String QUESTION = "What is the secret code of the harbour?";
  private static final String FACT = "The secret code of the harbour is";

  private final WordTokenizer tokenizer = new WordTokenizer();

  private static NeedlePlan plan(List<Integer> depths, Order order, Opening opening) {
    return new NeedlePlan(1500, depths, 20, order, opening, 7);
  }

  private List<NeedlePrompt> build(NeedlePlan plan, String... fillers) {
    return NeedlePrompts.build(plan, Arrays.stream(fillers).map(Filler::builtIn).toList(), tokenizer);
  }

  private NeedlePrompt one(Order order, Opening opening) {
    return build(plan(List.of(50), order, opening), "essay").get(0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"essay", "noise", "repeat"})
  void needleIsWholeAndAtTheAskedDepth(String filler) {
    List<Integer> depths = List.of(0, 5, 35, 65, 95, 100);
    List<NeedlePrompt> prompts = build(plan(depths, Order.QUESTION_LAST, Opening.DECODED), filler);
    assertEquals(depths, prompts.stream().map(prompt -> prompt.depth).toList());
    for (NeedlePrompt prompt : prompts) {
      String needle = FACT + " " + prompt.keys.get(0) + ". Remember it.";
      assertEquals(1500, prompt.context.length);
      String text = tokenizer.text(prompt.context);
      int at = text.indexOf(needle);
      assertTrue(at >= 0, text);
      assertEquals(-1, text.indexOf("secret", at + needle.length()), text);
      assertEquals(prompt.depth / 100.0, prompt.position / 1500.0, 0.02, text);
      String behind = tokenizer.text(Arrays.copyOfRange(prompt.context, prompt.position, 1500)).strip();
      assertTrue(behind.startsWith(needle), behind);
    }
  }

  @Test
  void gapGoesOnWithTheText() {
    NeedlePrompt here = one(Order.QUESTION_LAST, Opening.DECODED);
    NeedlePlan longer = new NeedlePlan(1520, List.of(50), 0, Order.QUESTION_LAST, Opening.DECODED, 7);
    NeedlePrompt there = build(longer, "essay").get(0);
    assertEquals(20, here.gap.length);
    assertEquals(0, there.gap.length);
    assertTrue(here.gap.length > 0 && !tokenizer.text(here.gap).contains("secret"));
  }

  @Test
  void questionIsATurnAndTheOpeningIsDecoded() {
    NeedlePrompt prompt = one(Order.QUESTION_LAST, Opening.DECODED);
    assertEquals("\n\n" + QUESTION, tokenizer.text(prompt.question));
    assertEquals(" " + FACT, tokenizer.text(prompt.opening));
    assertFalse(tokenizer.text(prompt.context).contains(QUESTION));
  }

  @Test
  void openingMayBePartOfTheTurn() {
    NeedlePrompt prompt = one(Order.QUESTION_LAST, Opening.PROMPT);
    assertEquals("\n\n" + QUESTION + " " + FACT, tokenizer.text(prompt.question));
    assertEquals(0, prompt.opening.length);
  }

  @Test
  void awareReadersGetTheQuestionFirst() {
    NeedlePrompt prompt = one(Order.QUESTION_AWARE, Opening.DECODED);
    assertTrue(tokenizer.text(prompt.context).startsWith("<s>" + QUESTION), tokenizer.text(prompt.context));
    assertEquals("\n\n" + QUESTION, tokenizer.text(prompt.question));
    assertEquals(1500, prompt.context.length);
  }

  @Test
  void keysAreTenAndOfTheSameLengthInTokens() {
    for (NeedlePrompt prompt : build(plan(List.of(10, 90), Order.QUESTION_LAST, Opening.DECODED), "essay", "noise")) {
      assertEquals(10, new HashSet<>(prompt.keys).size());
      for (int i = 0; i < 10; i++) {
        assertEquals(5, prompt.keyTokens[i].length);
        assertEquals(" " + prompt.keys.get(i), tokenizer.text(prompt.keyTokens[i]));
      }
    }
  }

  @Test
  void keysOfAnotherLengthAreLeftOut() {
    // Numbers with a 7 take a token more.
    Tokenizer uneven = (text, start) -> tokenizer.tokenize(text.replaceAll("7(?=[0-9]*$)", "7#"), start);
    for (NeedlePrompt prompt : NeedlePrompts.build(plan(List.of(10, 50, 90), Order.QUESTION_LAST, Opening.DECODED),
        List.of(Filler.builtIn("essay")), uneven)) {
      assertEquals(1, Arrays.stream(prompt.keyTokens).map(key -> key.length).distinct().count());
    }
  }

  @Test
  void modelsWithoutEnoughNumbersAreRefused() {
    int[] calls = new int[1];
    Tokenizer odd = (text, start) -> text.matches("(?s).*[0-9]") ? new int[++calls[0]] : tokenizer.tokenize(text, start);
    assertThrows(IllegalArgumentException.class,
        () -> NeedlePrompts.build(plan(List.of(10), Order.QUESTION_LAST, Opening.DECODED),
            List.of(Filler.builtIn("essay")), odd));
  }

  @Test
  void seedDecidesTextAndKeys() {
    NeedlePrompt first = one(Order.QUESTION_LAST, Opening.DECODED);
    NeedlePrompt second = one(Order.QUESTION_LAST, Opening.DECODED);
    assertEquals(tokenizer.text(first.context), tokenizer.text(second.context));
    assertEquals(first.keys, second.keys);
    NeedlePlan other = new NeedlePlan(1500, List.of(50), 20, Order.QUESTION_LAST, Opening.DECODED, 8);
    NeedlePrompt third = build(other, "essay").get(0);
    assertFalse(first.keys.equals(third.keys));
    assertFalse(tokenizer.text(first.context).equals(tokenizer.text(third.context)));
  }

  @Test
  void needlesDifferFromDepthToDepth() {
    List<NeedlePrompt> prompts = build(plan(List.of(10, 20), Order.QUESTION_LAST, Opening.DECODED), "essay", "noise");
    assertEquals(4, prompts.stream().map(prompt -> prompt.keys.get(0)).distinct().count());
  }

  @Test
  void textWithoutRoomForTheNeedleIsRefused() {
    NeedlePlan small = new NeedlePlan(10, List.of(50), 0, Order.QUESTION_LAST, Opening.DECODED, 7);
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> build(small, "essay"));
    assertEquals("--tokens has no room for the needle: 10", e.getMessage());
  }

  @Test
  void roomOfASessionIsTheWholePrompt() {
    NeedlePrompt prompt = one(Order.QUESTION_LAST, Opening.DECODED);
    assertEquals(1500 + 20 + prompt.question.length + 7 + 5, prompt.contextTokens());
  }
}
