package io.github.llmmobile.config;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KeysTest {
  @ParameterizedTest
  @CsvSource({"'','',0", "a,'',1", "'',abc,3", "kitten,sitting,3", "page_sise,page_size,1", "ab,ba,2", "same,same,0"})
  void distanceCountsLetters(String a, String b, int distance) {
    assertEquals(distance, Keys.distance(a, b));
    assertEquals(distance, Keys.distance(b, a));
  }

  @Test
  void distanceAgreesWithTheRecursiveDefinition() {
    for (int seed = 0; seed < 300; seed++) {
      Random random = new Random(seed);
      String a = word(random);
      String b = word(random);
      assertEquals(recursive(a, b), Keys.distance(a, b), "seed " + seed + ": " + a + ", " + b);
    }
  }

  @Test
  void ofTwoNearKeysTheNearerIsNamed() {
    assertEquals("did you mean top_p?", Keys.hint("top_pp", List.of("top_k", "top_p")));
  }

  @Test
  void withNothingNearAllAreNamed() {
    assertEquals("known keys are one, two", Keys.hint("something", List.of("one", "two")));
  }

  private static String word(Random random) {
    StringBuilder word = new StringBuilder();
    for (int i = random.nextInt(6); i > 0; i--) {
      word.append((char) ('a' + random.nextInt(3)));
    }
    return word.toString();
  }

  private static int recursive(String a, String b) {
    if (a.isEmpty() || b.isEmpty()) {
      return a.length() + b.length();
    }
    int change = recursive(a.substring(1), b.substring(1)) + (a.charAt(0) == b.charAt(0) ? 0 : 1);
    return Math.min(change, 1 + Math.min(recursive(a.substring(1), b), recursive(a, b.substring(1))));
  }
}
