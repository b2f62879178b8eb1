package io.github.llmmobile.cli.compress;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.TensorType;
import java.util.List;
import org.junit.jupiter.api.Test;

class RankPlanTest {
  private static RankPlan.Subject subject(double decay) {
    return new RankPlan.Subject(GgufTensor.of("w", TensorType.F16, 128, 128), TensorType.F16,
        rank -> Math.exp(-decay * rank));
  }

  @Test
  void breakEvenIsThatOfTheFormula() {
    assertEquals(418, RankPlan.mostBelowBreakEven(576, 1536));
    assertEquals(143, RankPlan.mostBelowBreakEven(576, 192));
    assertEquals(63, RankPlan.mostBelowBreakEven(128, 128));
    assertEquals(56, subject(1).most());
    assertTrue(subject(1).bytes(56) < subject(1).denseBytes());
  }

  @Test
  void whatLosesLeastGoesFirst() {
    List<RankPlan.Subject> subjects = List.of(subject(0.01), subject(0.5), subject(0.05));
    long all = 3 * subjects.get(0).denseBytes();
    assertArrayEquals(new int[3], RankPlan.within(subjects, all));
    int[] some = RankPlan.within(subjects, (long) (0.85 * all));
    assertEquals(0, some[0]);
    assertTrue(some[1] > 0 && some[2] == 0, some[1] + " " + some[2]);
    for (double share : new double[] {0.9, 0.7, 0.5, 0.3, 0.2}) {
      int[] ranks = RankPlan.within(subjects, (long) (share * all));
      long bytes = 0;
      for (int i = 0; i < 3; i++) {
        assertEquals(0, ranks[i] % 8);
        bytes += subjects.get(i).bytes(ranks[i]);
      }
      assertTrue(bytes <= share * all, share + ": " + bytes);
    }
  }

  @Test
  void whatCannotBeReachedIsRefused() {
    LlmException e = assertThrows(LlmException.class, () -> RankPlan.within(List.of(subject(1)), 100));
    assertEquals(ErrorCode.RANGE, e.code());
  }

  @Test
  void ranksComeInWholeBlocks() {
    RankPlan.Subject subject = new RankPlan.Subject(GgufTensor.of("w", TensorType.Q2_0, 576, 1536), TensorType.Q2_0,
        rank -> 1);
    assertEquals(384, subject.most());
  }
}
