package io.github.llmmobile.cli.calibrate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.cli.algebra.LinearAlgebra;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class StepGateTest {
  private static final int WIDTH = 12;

  @BeforeAll
  static void prepare() {
    LinearAlgebra.prepare(1);
  }

  /** Steps whose costs fall with the entropy and grow with one number of the hidden state. */
  private static List<Step> steps(long seed, int count) {
    Random random = new Random(seed);
    List<Step> steps = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      float[] state = noise(random);
      double entropy = 5 * random.nextDouble();
      double cost = Math.exp(-3 - entropy / 3 + 1.5 * state[4] + 0.3 * random.nextGaussian());
      steps.add(new Step(new Step.Sureness(entropy, random.nextDouble(), 0), 5 * random.nextDouble(), state,
          noise(random), noise(random), cost, 2, 2 + cost));
    }
    return steps;
  }

  private static float[] noise(Random random) {
    float[] values = new float[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static Map<String, Double> costs(double share) {
    List<Step> heldOut = steps(2, 2000);
    Map<String, Double> costs = new TreeMap<>();
    StepGate.fit(steps(1, 1000)).forEach(gate -> costs.put(gate.name(), gate.cost(heldOut, share).divergence()));
    return costs;
  }

  @Test
  void gatesFindWhatCostsDependOn() {
    Map<String, Double> costs = costs(0.5);
    assertEquals(StepGate.NAMES.stream().sorted().toList(), List.copyOf(costs.keySet()));
    double random = costs.get("random");
    assertEquals(1, costs.get("top-1 probability") / random, 0.2, "it says nothing here");
    assertTrue(costs.get("entropy") < 0.85 * random, costs::toString);
    assertTrue(costs.get("learned from these") < 0.85 * random, costs::toString);
    assertTrue(costs.get("learned from hidden states too") < 0.6 * costs.get("entropy"), costs::toString);
    costs.forEach((name, cost) -> assertTrue(cost >= costs.get("oracle"), name));
  }

  @Test
  void everyStepCostsTheSameWhateverTheGate() {
    Map<String, Double> all = costs(1);
    all.forEach((name, cost) -> assertEquals(all.get("oracle"), cost, 1e-12, name));
    costs(0).forEach((name, cost) -> assertEquals(0, cost, name));
  }

  @Test
  void lossesAreThoseOfTheStepsAsTheyAreEvaluated() {
    List<Step> steps = steps(3, 4);
    TrialLog.Outcome none = new StepGate("any", Step::divergence).cost(steps, 0);
    assertEquals(Math.exp(2), none.perplexity(), 1e-9);
    TrialLog.Outcome all = new StepGate("any", Step::divergence).cost(steps, 1);
    assertEquals(Math.exp(2 + all.divergence()), all.perplexity(), 1e-9);
    assertEquals(1, all.share());
  }
}
