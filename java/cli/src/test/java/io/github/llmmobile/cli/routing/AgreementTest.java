package io.github.llmmobile.cli.routing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.routing.Agreement.Outcome;
import io.github.llmmobile.cli.routing.Agreement.Place;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class AgreementTest {
  /** A model that knows what it does not know: it is wrong with the probability that it states. */
  private static List<Place> honest() {
    Random random = new Random(1);
    List<Place> places = new ArrayList<>();
    for (int i = 0; i < 20_000; i++) {
      double uncertainty = random.nextDouble();
      places.add(new Place(uncertainty, random.nextDouble() > uncertainty));
    }
    return places;
  }

  @Test
  void uncertaintyBeatsChance() {
    List<Place> places = honest();
    double alone = Agreement.alone(places);
    assertEquals(0.5, alone, 0.02);
    Outcome routed = Agreement.routed(places, 0.3, 1);
    Outcome random = Agreement.random(places, 0.3, 1, 5);
    assertEquals(0.3, routed.share(), 0.02);
    assertEquals(0.3, random.share(), 0.02);
    assertEquals(0.3 + 0.7 * alone, random.agreement(), 0.02);
    assertEquals(0.3 + 0.7 * (1 - 0.35), routed.agreement(), 0.03, "the 70 % it is surest of, wrong at 35 %");
  }

  @Test
  void longBurstsTakeEasyPlacesAlong() {
    List<Place> places = honest();
    double single = Agreement.routed(places, 0.3, 1).agreement();
    double eight = Agreement.routed(places, 0.3, 8).agreement();
    double chance = Agreement.random(places, 0.3, 8, 5).agreement();
    assertTrue(single > eight && eight > chance, single + ", " + eight + ", " + chance);
  }

  @Test
  void commonWordsInOrderCount() {
    assertEquals(1, Agreement.rougeL("a b  c", "a b c\n"));
    assertEquals(0, Agreement.rougeL("a b", "c d"));
    assertEquals(2.0 * 2 / 6, Agreement.rougeL("a x b", "a b y"), 1e-12);
    assertEquals(2.0 * 1 / 4, Agreement.rougeL("a b", "b a"), 1e-12);
    assertEquals(1, Agreement.rougeL("", " "));
    assertEquals(0, Agreement.rougeL("", "a"));
  }
}
