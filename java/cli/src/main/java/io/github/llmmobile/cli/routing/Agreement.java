package io.github.llmmobile.cli.routing;

import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.TokenRouter;
import java.util.List;
import java.util.Random;

/**
 * What routing would do on texts that the larger model wrote alone. At each place the device's model is asked what it
 * would have said; a token that is routed away agrees by itself.
 */
public final class Agreement {
  private Agreement() {}

  /**
   * A place in such a text.
   *
   * @param uncertainty of the device's model, 0 to 1
   * @param agrees whether its most probable token is what the larger model said
   */
  public record Place(double uncertainty, boolean agrees) {}

  /**
   * What came out.
   *
   * @param share of the places that were routed away
   * @param agreement share of the places where the text stays that of the larger model
   */
  public record Outcome(double share, double agreement) {}

  /**
   * The device's model alone.
   *
   * @param places at least one (required)
   * @return share of the places at which it agrees
   */
  public static double alone(List<Place> places) {
    return (double) places.stream().filter(Place::agrees).count() / places.size();
  }

  /**
   * Routes by uncertainty, as {@code run} does.
   *
   * @param places in the order of the texts (required)
   * @param share aimed at
   * @param burst places that a hard one takes along
   * @return the outcome (never null)
   */
  public static Outcome routed(List<Place> places, double share, int burst) {
    double[] uncertainties = places.stream().mapToDouble(Place::uncertainty).toArray();
    return route(places, uncertainties, share, burst);
  }

  /**
   * Routes at random with the same router, so with the same share, bursts and pauses; the mean of several goes.
   *
   * @param places in the order of the texts (required)
   * @param share aimed at
   * @param burst places that a chosen one takes along
   * @param goes how many
   * @return the outcome (never null)
   */
  public static Outcome random(List<Place> places, double share, int burst, int goes) {
    double sumShare = 0;
    double sumAgreement = 0;
    for (int go = 0; go < goes; go++) {
      Random random = new Random(go);
      Outcome outcome = route(places, random.doubles(places.size()).toArray(), share, burst);
      sumShare += outcome.share();
      sumAgreement += outcome.agreement();
    }
    return new Outcome(sumShare / goes, sumAgreement / goes);
  }

  private static Outcome route(List<Place> places, double[] uncertainties, double share, int burst) {
    TokenRouter router = new TokenRouter(share, burst);
    int agreed = 0;
    int remote = 0;
    for (int i = 0; i < places.size(); ) {
      if (router.decide(uncertainties[i]) == Reason.HARD) {
        int n = Math.min(burst, places.size() - i);
        router.remote(n);
        agreed += n;
        remote += n;
        i += n;
      } else {
        router.local();
        agreed += places.get(i).agrees() ? 1 : 0;
        i++;
      }
    }
    return new Outcome((double) remote / places.size(), (double) agreed / places.size());
  }

  /**
   * How much of two texts is the same: F1 of the words of their longest common subsequence (ROUGE-L, Lin 2004).
   *
   * @param a a text (required)
   * @param b another (required)
   * @return from 0 to 1; 1 for two texts without words
   */
  public static double rougeL(String a, String b) {
    String[] as = a.strip().split("\\s+");
    String[] bs = b.strip().split("\\s+");
    if (a.isBlank() || b.isBlank()) {
      return a.isBlank() && b.isBlank() ? 1 : 0;
    }
    int[] row = new int[bs.length + 1];
    for (String word : as) {
      int diagonal = 0;
      for (int j = 1; j <= bs.length; j++) {
        int above = row[j];
        row[j] = word.equals(bs[j - 1]) ? diagonal + 1 : Math.max(above, row[j - 1]);
        diagonal = above;
      }
    }
    return 2.0 * row[bs.length] / (as.length + bs.length);
  }
}
