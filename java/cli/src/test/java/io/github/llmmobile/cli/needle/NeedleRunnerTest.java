package io.github.llmmobile.cli.needle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class NeedleRunnerTest {
  private final List<FakeEngine> engines = new ArrayList<>();
  private final List<Double> fractions = new ArrayList<>();
  private final List<NeedleResult> results = new ArrayList<>();

  private static NeedlePrompt prompt(int depth, int[][] keyTokens) {
    return new NeedlePrompt("essay", depth, 70, new int[700], new int[] {1, 2}, new int[] {3, 3, 3}, new int[] {4, 5},
        List.of("100", "200", "300"), keyTokens);
  }

  private void run(List<NeedlePrompt> prompts, double... logprobs) {
    new NeedleRunner(prompts, needed -> {
      engines.add(new FakeEngine(needed, logprobs));
      return engines.get(engines.size() - 1);
    }, (what, fraction) -> fractions.add(fraction)).run(results::add);
  }

  @Test
  void marginIsAgainstTheBestWrongKey() {
    run(List.of(prompt(10, new int[][] {{0, 1}, {2, 1}, {3, 1}})), -1, -0.25, -5, -2);
    NeedleResult result = results.get(0);
    assertEquals(-1.25, result.keyLogprob());
    assertEquals("300", result.bestWrong());
    assertEquals(-2.25, result.bestWrongLogprob());
    assertEquals(1, result.margin());
    assertTrue(result.found());
    assertEquals("100", result.key());
    assertEquals(2, result.keyTokens());
    assertEquals(70, result.position());
  }

  @Test
  void aWrongKeyAtLeastAsProbableMeansLost() {
    run(List.of(prompt(10, new int[][] {{0}, {1}, {2}})), -3, -2, -9);
    assertEquals(-1, results.get(0).margin());
    assertFalse(results.get(0).found());
    results.clear();
    run(List.of(prompt(10, new int[][] {{0}, {1}, {2}})), -3, -3, -9);
    assertFalse(results.get(0).found());
    results.clear();
    run(List.of(prompt(10, new int[][] {{0}, {1}, {2}})), Double.NaN, -3, -9);
    assertFalse(results.get(0).found());
  }

  @Test
  void contextIsReadOnceAndKeysTokenByToken() {
    run(List.of(prompt(10, new int[][] {{0, 1, 2}, {1, 2, 3}, {3, 2, 1}})), -1, -1, -1, -1);
    assertEquals(List.of("eval 700", "token 1", "token 2", "eval 3", "token 4", "token 5",
        "branch", "token 0", "token 1", "branch", "token 1", "token 2", "branch", "token 3", "token 2"),
        engines.get(0).calls);
  }

  @Test
  void keysOfOneTokenNeedNoBranch() {
    run(List.of(prompt(10, new int[][] {{0}, {1}, {2}})), -1, -2, -3);
    assertFalse(engines.get(0).calls.contains("branch"));
  }

  @Test
  void eachPromptHasItsOwnEngineWithJustEnoughRoom() {
    run(List.of(prompt(10, new int[][] {{0}, {1}, {2}}), prompt(90, new int[][] {{0}, {1}, {2}})), -1, -2, -3);
    assertEquals(List.of(10, 90), results.stream().map(NeedleResult::depth).toList());
    assertEquals(List.of(708, 708), engines.stream().map(engine -> engine.contextTokens).toList());
    assertTrue(engines.stream().allMatch(engine -> engine.closed));
    assertEquals(8L * 707, results.get(0).cache().bytes());
  }

  @Test
  void progressNeverGoesBack() {
    run(List.of(prompt(10, new int[][] {{0, 1}, {1, 1}, {2, 1}}), prompt(90, new int[][] {{0, 1}, {1, 1}, {2, 1}})),
        -1, -2, -3);
    for (int i = 1; i < fractions.size(); i++) {
      assertTrue(fractions.get(i) >= fractions.get(i - 1), fractions.toString());
    }
    assertTrue(fractions.get(fractions.size() - 1) < 1, fractions.toString());
    assertTrue(fractions.get(fractions.size() - 1) > 0.9, fractions.toString());
  }

  @Test
  void whatWasFoundBeforeAStopIsThere() {
    NeedlePrompt prompt = prompt(10, new int[][] {{0, 1}, {1, 1}, {2, 1}});
    NeedleRunner runner = new NeedleRunner(List.of(prompt, prompt, prompt), needed -> {
      engines.add(new FakeEngine(needed, -1, -2, -3));
      return engines.get(engines.size() - 1);
    }, (what, fraction) -> {
      if (engines.size() == 3) {
        throw new IllegalStateException("stopped");
      }
    });
    assertThrows(IllegalStateException.class, () -> runner.run(results::add));
    assertEquals(2, results.size());
    assertTrue(engines.stream().allMatch(engine -> engine.closed));
  }
}
