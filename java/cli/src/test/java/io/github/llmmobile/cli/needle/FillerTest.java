package io.github.llmmobile.cli.needle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FillerTest {
  private static List<String> take(Filler filler, long seed, int count) {
    Filler.Source source = filler.sentences(seed);
    List<String> sentences = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      sentences.add(source.next());
    }
    return sentences;
  }

  @ParameterizedTest
  @ValueSource(strings = {"essay", "noise", "repeat"})
  void fillersGiveNothingAway(String name) {
    for (String sentence : take(Filler.builtIn(name), 3, 500)) {
      assertTrue(sentence.matches("[A-Z][a-zA-Z ,:;'-]*\\."), sentence);
      assertFalse(sentence.matches("(?i).*\\b(secret|code|harbour|remember)\\b.*"), sentence);
    }
  }

  @Test
  void essayVariesFromRoundToRound() {
    List<String> sentences = take(Filler.builtIn("essay"), 3, 200);
    assertTrue(new HashSet<>(sentences).size() > 70, sentences.toString());
    assertEquals(sentences, take(Filler.builtIn("essay"), 3, 200));
    assertFalse(sentences.equals(take(Filler.builtIn("essay"), 4, 200)));
  }

  @Test
  void repeatRepeats() {
    List<String> sentences = take(Filler.builtIn("repeat"), 3, 10);
    assertEquals(sentences.subList(0, 5), sentences.subList(5, 10));
  }

  @Test
  void fileIsCutIntoSentencesAndStartsOver() {
    Filler filler = Filler.of("a.txt", "One  two.\nThree four? Five\n");
    assertEquals("a.txt", filler.name());
    assertEquals(List.of("One two.", "Three four?", "Five", "One two."), take(filler, 1, 4));
  }

  @Test
  void longSentencesAreCut() {
    assertEquals(30, take(Filler.of("a.txt", "word ".repeat(100)), 1, 1).get(0).split(" ").length);
  }

  @Test
  void fileWithoutWordsAndUnknownNamesAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> Filler.of("a.txt", " \n "));
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> Filler.builtIn("song"));
    assertEquals("--filler must be of essay, noise, repeat, but is song", e.getMessage());
  }
}
