package io.github.llmmobile.cli.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;
import org.junit.jupiter.api.Test;

class BenchRunnerTest {
  private final long[] clock = new long[1];
  private final List<FakeSubject> subjects = new ArrayList<>();
  private final List<Double> fractions = new ArrayList<>();

  private List<BenchResult> run(BenchPlan plan) {
    return run(plan, List.of(context -> open(context, 1)));
  }

  private List<BenchResult> run(BenchPlan plan, List<IntFunction<BenchSubject>> contenders) {
    return new BenchRunner(plan, BenchTokens.random(1, FakeSubject.VOCABULARY), contenders, () -> clock[0],
        (what, fraction) -> fractions.add(fraction)).run();
  }

  private FakeSubject open(int context, long slowness) {
    subjects.add(new FakeSubject(context, clock, slowness));
    return subjects.get(subjects.size() - 1);
  }

  @Test
  void rowsComeByDepthWithPrefillFirst() {
    List<BenchResult> results = run(new BenchPlan(List.of(0, 700), 64, 8, 3));
    assertEquals(List.of("pp64@0", "tg8@0", "pp64@700", "tg8@700"),
        results.stream().map(result -> result.test() + "@" + result.depth()).toList());
    results.forEach(result -> assertEquals(3, result.tokensPerSecond().length));
  }

  @Test
  void onlyTheMeasuredTokensCount() {
    List<BenchResult> results = run(new BenchPlan(List.of(700), 64, 8, 2));
    double prefill = 1e9 / FakeSubject.PREFILL_NANOS;
    double decode = 1e9 / FakeSubject.DECODE_NANOS;
    assertArrayEquals(new double[] {prefill, prefill}, results.get(0).tokensPerSecond(), 1e-3);
    assertArrayEquals(new double[] {decode, decode}, results.get(1).tokensPerSecond(), 1e-3);
  }

  @Test
  void warmUpComesFirstAndTheCacheIsFilledOnce() {
    run(new BenchPlan(List.of(700), 64, 8, 2));
    assertEquals(List.of("eval 64", "rewind 0", "generate 2 after 1", "rewind 0", "eval 512", "eval 188",
        "eval 64", "rewind 700", "eval 64", "rewind 700",
        "generate 9 after 700", "rewind 700", "generate 9 after 700", "rewind 700"), subjects.get(0).calls);
  }

  @Test
  void testsThatAreLeftOutDoNothing() {
    run(new BenchPlan(List.of(0), 0, 4, 1));
    assertEquals(List.of("generate 2 after 1", "rewind 0", "generate 5 after 1", "rewind 0"), subjects.get(0).calls);
    subjects.clear();
    run(new BenchPlan(List.of(0), 16, 0, 1));
    assertEquals(List.of("eval 16", "rewind 0", "eval 16", "rewind 0"), subjects.get(0).calls);
  }

  @Test
  void eachDepthHasItsOwnSubjectWithJustEnoughRoom() {
    List<BenchResult> results = run(new BenchPlan(List.of(0, 700), 64, 8, 1));
    assertEquals(List.of(64, 764), subjects.stream().map(subject -> subject.contextTokens).toList());
    assertTrue(subjects.stream().allMatch(subject -> subject.closed));
    assertEquals(4096L * 764, results.get(3).cache().bytes());
  }

  @Test
  void aBaselineDoesTheSameInTurn() {
    List<BenchResult> results = run(new BenchPlan(List.of(700), 64, 8, 2),
        List.of(context -> open(context, 1), context -> open(context, 3)));
    assertEquals(subjects.get(0).calls, subjects.get(1).calls);
    assertTrue(subjects.stream().allMatch(subject -> subject.closed));
    for (BenchResult result : results) {
      assertArrayEquals(new double[] {3, 3}, result.ratios(), 1e-9);
      assertEquals(result.median() / 3, result.baseline()[0], 1e-3);
    }
  }

  @Test
  void theSecondRepetitionBeginsWithTheBaseline() {
    List<String> order = new ArrayList<>();
    run(new BenchPlan(List.of(0), 0, 8, 3), List.of(noting("ours", order), noting("base", order)));
    assertEquals(List.of("ours", "base", "ours", "base", "base", "ours", "ours", "base"), order, "a warm-up comes first");
  }

  private IntFunction<BenchSubject> noting(String name, List<String> order) {
    return context -> new FakeSubject(context, clock) {
      @Override
      public void generate(int[] history, int tokens, Runnable onToken) {
        order.add(name);
        super.generate(history, tokens, onToken);
      }
    };
  }

  @Test
  void aTextBeginsAgainAtItsEnd() {
    IntFunction<int[]> text = BenchTokens.of(new int[] {1, 2, 3});
    assertArrayEquals(new int[] {1, 2}, text.apply(2));
    assertArrayEquals(new int[] {3, 1, 2}, text.apply(3));
  }

  @Test
  void progressNeverGoesBack() {
    run(new BenchPlan(List.of(0, 700, 1500), 64, 8, 3));
    for (int i = 1; i < fractions.size(); i++) {
      assertTrue(fractions.get(i) >= fractions.get(i - 1), fractions.toString());
    }
    assertTrue(fractions.get(fractions.size() - 1) < 1, fractions.toString());
  }

  @Test
  void subjectIsClosedWhenAMeasurementFails() {
    List<FakeSubject> opened = new ArrayList<>();
    BenchRunner runner = new BenchRunner(new BenchPlan(List.of(0), 64, 8, 1), BenchTokens.of(new int[1]), List.of(context -> {
      opened.add(new FakeSubject(10, clock));
      return opened.get(0);
    }), () -> clock[0], (what, fraction) -> {});
    assertThrows(AssertionError.class, runner::run);
    assertTrue(opened.get(0).closed);
  }

  @Test
  void generationThatEndsEarlyIsAnErrorAndNotASpeed() {
    BenchSubject lazy = new BenchSubject() {
      @Override
      public void eval(int[] tokens) {}

      @Override
      public void rewind(int tokens) {}

      @Override
      public void generate(int[] history, int tokens, Runnable onToken) {
        onToken.run();
      }

      @Override
      public CacheUse cache() {
        return new CacheUse(0, "", new JsonObject());
      }

      @Override
      public void close() {}
    };
    BenchRunner runner = new BenchRunner(new BenchPlan(List.of(0), 0, 8, 1), BenchTokens.of(new int[1]),
        List.of(context -> lazy), System::nanoTime, (what, fraction) -> {});
    IllegalStateException e = assertThrows(IllegalStateException.class, runner::run);
    assertEquals("1 of 9 tokens were generated", e.getMessage());
  }
}
