package io.github.llmmobile.cli.calibrate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.function.ToDoubleFunction;

/**
 * Says before a step what it will cost to leave parts out. Fitted to one text, judged by another.
 *
 * @param name what it goes by
 * @param cost the lower, the sooner parts are left out
 */
record StepGate(String name, ToDoubleFunction<Step> cost) {
  /** The last one knows what a step will cost: no gate can do better. */
  static final List<String> NAMES = List.of("random", "entropy", "top-1 probability", "top-1 margin",
      "surprise of the token", "similarity of hidden states", "learned from these", "learned from hidden states too",
      "oracle");

  /** Ranges of one sign have so many steps in common. */
  private static final int RANGES = 8;

  /** All of them, the best possible one last. */
  static List<StepGate> fit(List<Step> steps) {
    Random random = new Random(1);
    List<ToDoubleFunction<Step>> costs = List.of(step -> random.nextDouble(),
        byRanges(step -> step.before().entropy(), steps),
        byRanges(step -> step.before().first(), steps),
        byRanges(step -> step.before().first() - step.before().second(), steps),
        byRanges(Step::surprise, steps),
        byRanges(Step::similarity, steps),
        RidgeRegression.fit(steps, StepGate::signs),
        RidgeRegression.fit(steps, StepGate::signsAndStates),
        Step::divergence);
    List<StepGate> gates = new ArrayList<>();
    for (int i = 0; i < costs.size(); i++) {
      gates.add(new StepGate(NAMES.get(i), costs.get(i)));
    }
    return gates;
  }

  /** What the steps cost on average that lie in the same range of a sign, whatever the direction. */
  private static ToDoubleFunction<Step> byRanges(ToDoubleFunction<Step> sign, List<Step> steps) {
    double[] sorted = steps.stream().mapToDouble(sign).sorted().toArray();
    double[] edges = new double[RANGES - 1];
    Arrays.setAll(edges, i -> sorted[(i + 1) * sorted.length / RANGES]);
    double[] sums = new double[RANGES];
    int[] counts = new int[RANGES];
    for (Step step : steps) {
      int range = range(edges, sign.applyAsDouble(step));
      sums[range] += step.divergence();
      counts[range]++;
    }
    return step -> {
      int range = range(edges, sign.applyAsDouble(step));
      return sums[range] / Math.max(1, counts[range]);
    };
  }

  private static int range(double[] edges, double value) {
    int range = 0;
    while (range < edges.length && value >= edges[range]) {
      range++;
    }
    return range;
  }

  private static double[] signs(Step step) {
    double entropy = step.before().entropy();
    double surprise = step.surprise();
    double first = step.before().first();
    return new double[] {entropy, entropy * entropy, first, Math.log(first), first - step.before().second(), surprise,
      Math.sqrt(Math.max(0, surprise)), step.similarity()};
  }

  private static double[] signsAndStates(Step step) {
    double[] signs = signs(step);
    int width = step.state().length;
    double[] all = Arrays.copyOf(signs, signs.length + 2 * width);
    for (int i = 0; i < width; i++) {
      all[signs.length + i] = step.state()[i];
      all[signs.length + width + i] = step.word()[i];
    }
    return all;
  }

  /** What it costs to leave parts out of a share of the steps: those that it thinks cheapest. */
  TrialLog.Outcome cost(List<Step> steps, double share) {
    record Judged(Step step, double cost) {}
    List<Judged> judged = new ArrayList<>();
    steps.forEach(step -> judged.add(new Judged(step, cost.applyAsDouble(step))));
    // Stable: what costs the same goes in the order of the text.
    judged.sort(Comparator.comparingDouble(Judged::cost));
    int skipped = (int) Math.round(share * steps.size());
    double divergence = 0;
    double loss = 0;
    for (int i = 0; i < judged.size(); i++) {
      Step step = judged.get(i).step();
      divergence += i < skipped ? step.divergence() : 0;
      loss += i < skipped ? step.lossWithout() : step.loss();
    }
    return new TrialLog.Outcome(divergence / steps.size(), Math.exp(loss / steps.size()), skipped / (double) steps.size());
  }
}
