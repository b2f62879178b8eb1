package io.github.llmmobile.edge.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TokenRouterTest {
  private static final int BURST = 8;

  /** Routes so many tokens; each hard one brings a burst. */
  private static TokenRouter route(TokenRouter router, int tokens, DoubleSupplier uncertainty) {
    for (int i = 0; i < tokens; ) {
      if (router.decide(uncertainty.getAsDouble()) == Reason.HARD) {
        router.remote(BURST);
        i += BURST;
      } else {
        router.local();
        i++;
      }
    }
    return router;
  }

  /** Spread as those of a small model are: many sure tokens, some hopeless ones. */
  private static DoubleSupplier small(Random random) {
    return () -> 1 - Math.pow(random.nextDouble(), 0.7);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.05, 0.12, 0.3, 0.5, 0.8, 0.95})
  void shareOfTokensComesOutAsAskedFor(double share) {
    TokenRouter router = route(new TokenRouter(share, BURST), 40_000, small(new Random(1)));
    assertEquals(share, router.shareSoFar(), 0.1 * share + 0.005, router::toString);
  }

  @Test
  void shareHoldsWhenTheModelIsMuchSurerThanWasThought() {
    Random random = new Random(2);
    TokenRouter router = route(new TokenRouter(0.12, BURST), 40_000, () -> 0.4 * random.nextDouble());
    assertEquals(0.12, router.shareSoFar(), 0.015, router::toString);
  }

  /** A text that goes round in circles: the least sure token is no less sure than the one a round before. */
  @Test
  void shareHoldsWhereUncertaintiesRepeatThemselves() {
    double[] circle = {0.3, 0.62, 0.1, 0.62, 0.5};
    int[] at = new int[1];
    TokenRouter router = route(new TokenRouter(0.12, 2), 5000, () -> circle[at[0]++ % circle.length]);
    assertEquals(0.12, router.shareSoFar(), 0.03, router::toString);
  }

  @Test
  void noneAndAllAreExact() {
    assertEquals(0, route(new TokenRouter(0, BURST), 1000, () -> 1).shareSoFar());
    assertEquals(1, route(new TokenRouter(1, BURST), 1000, () -> 0).shareSoFar());
  }

  @Test
  void sureTokensStayWhateverTheShare() {
    assertEquals(0, route(new TokenRouter(0.5, BURST), 10_000, () -> 0.05).shareSoFar());
  }

  @Test
  void theLeastSureTokensAreTheHardOnes() {
    TokenRouter router = route(new TokenRouter(0.12, BURST), 10_000, small(new Random(3)));
    double sum = 0;
    int hard = 0;
    Random random = new Random(4);
    DoubleSupplier source = small(random);
    double all = 0;
    int n = 20_000;
    for (int i = 0; i < n; i++) {
      double u = source.getAsDouble();
      all += u;
      if (router.decide(u) == Reason.HARD) {
        sum += u;
        hard++;
        router.remote(BURST);
      } else {
        router.local();
      }
    }
    assertTrue(hard > 100, hard + " hard tokens");
    assertTrue(sum / hard > all / n + 0.3, sum / hard + " against " + all / n);
  }

  @Test
  void hardTokensInARowAllGoAway() {
    TokenRouter router = route(new TokenRouter(0.3, BURST), 2000, small(new Random(8)));
    for (int i = 0; i < 3; i++) {
      assertEquals(Reason.HARD, router.decide(0.9999));
      router.remote(BURST);
    }
  }

  /** A hard passage may not use up more than its part: 20 % over 256 tokens. */
  @Test
  void aHardPassageEmptiesTheBucket() {
    TokenRouter router = route(new TokenRouter(0.12, BURST), 2000, small(new Random(7)));
    int usedUp = 0;
    int remote = 0;
    for (int i = 0; i < 256; i++) {
      Reason reason = router.decide(0.999 + 1e-6 * i);
      if (reason == Reason.HARD) {
        router.remote(BURST);
        remote += BURST;
        i += BURST - 1;
      } else {
        router.local();
        usedUp += reason == Reason.SHARE_USED_UP ? 1 : 0;
      }
    }
    assertTrue(usedUp > 0, "the bucket was never empty");
    assertTrue(remote <= 2 * 0.2 * 256 + BURST, remote + " remote tokens");
  }

  @Test
  void aRouterGoesOnWhereAnotherStopped() {
    TokenRouter first = route(new TokenRouter(0.12, BURST), 5000, small(new Random(5)));
    TokenRouter second = new TokenRouter(0.12, BURST, first.learned());
    assertEquals(first.threshold(), second.threshold(), 0.05);
    TokenRouter warm = route(second, 3000, small(new Random(6)));
    assertEquals(0.12, warm.shareSoFar(), 0.03, warm::toString);
  }

  @Test
  void numbersOutOfRangeAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new TokenRouter(1.1, BURST));
    assertThrows(IllegalArgumentException.class, () -> new TokenRouter(Double.NaN, BURST));
    assertThrows(IllegalArgumentException.class, () -> new TokenRouter(0.1, 0));
    assertThrows(IllegalArgumentException.class, () -> new TokenRouter(0.1, 1, new double[] {1.5}));
    assertThrows(IllegalArgumentException.class, () -> new TokenRouter(0.1, 1, new double[1025]));
  }
}
