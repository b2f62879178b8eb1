package io.github.llmmobile.cli.compress;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.TensorType;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntToDoubleFunction;

/** Which rank takes the place of which matrix. */
final class RankPlan {
  private RankPlan() {}

  /**
   * One matrix and what its ranks cost.
   *
   * @param weight the matrix
   * @param type how it or its factors are stored
   * @param loss share of what it puts out that is lost at a rank, 0 to 1
   */
  record Subject(GgufTensor weight, TensorType type, IntToDoubleFunction loss) {
    long denseBytes() {
      return type.rowBytes(inputs()) * outputs();
    }

    long bytes(int rank) {
      return rank == 0 ? denseBytes() : type.rowBytes(inputs()) * rank + type.rowBytes(rank) * outputs();
    }

    /** Ranks come in whole blocks, because one of the factors has rows of that length. */
    int step() {
      return Math.max(8, type.blockElements());
    }

    /** The largest rank whose factors take less than the matrix; 0 if there is none. */
    int most() {
      int most = mostBelowBreakEven(inputs(), outputs());
      return most - most % step();
    }

    private int inputs() {
      return Math.toIntExact(weight.shape().get(0));
    }

    private int outputs() {
      return Math.toIntExact(weight.shape().get(1));
    }
  }

  /** The largest r with r (n + m) < n m. */
  static int mostBelowBreakEven(long n, long m) {
    return (int) ((n * m - 1) / (n + m));
  }

  private record Option(int rank, long bytes, double loss) {}

  /** A step from one option of a matrix to a smaller one. */
  private record Move(int subject, Option to, long saved, double price) {}

  /**
   * Ranks under a limit of size: of all steps to smaller factors those come first that lose least per byte.
   *
   * @param subjects the matrices
   * @param limit bytes that they may take together
   * @return a rank for each; 0 for a matrix that stays
   * @throws LlmException RANGE if the limit cannot be reached
   */
  static int[] within(List<Subject> subjects, long limit) {
    List<Move> moves = new ArrayList<>();
    long bytes = 0;
    for (int i = 0; i < subjects.size(); i++) {
      List<Option> hull = hull(options(subjects.get(i)));
      bytes += hull.get(0).bytes;
      for (int k = 1; k < hull.size(); k++) {
        long saved = hull.get(k - 1).bytes - hull.get(k).bytes;
        moves.add(new Move(i, hull.get(k), saved, (hull.get(k).loss - hull.get(k - 1).loss) / saved));
      }
    }
    // Along a hull prices rise, so that sorting keeps the order of each matrix's moves.
    moves.sort(Comparator.comparingDouble(Move::price));
    int[] ranks = new int[subjects.size()];
    for (Move move : moves) {
      if (bytes <= limit) {
        return ranks;
      }
      ranks[move.subject] = move.to.rank;
      bytes -= move.saved;
    }
    if (bytes > limit) {
      throw new LlmException(ErrorCode.RANGE, "--target-size cannot be reached: the smallest factors take " + bytes
          + " bytes, " + limit + " are left for them");
    }
    return ranks;
  }

  /** The matrix itself, then its factors, the largest first. */
  private static List<Option> options(Subject subject) {
    List<Option> options = new ArrayList<>();
    options.add(new Option(0, subject.denseBytes(), 0));
    for (int rank = subject.most(); rank > 0; rank -= subject.step()) {
      if (subject.bytes(rank) < subject.denseBytes()) {
        options.add(new Option(rank, subject.bytes(rank), subject.loss.applyAsDouble(rank)));
      }
    }
    return options;
  }

  /** Those options that no mixture of two others beats: prices rise from one to the next. */
  private static List<Option> hull(List<Option> options) {
    List<Option> hull = new ArrayList<>();
    for (Option next : options) {
      while (hull.size() > 1 && price(hull.get(hull.size() - 2), hull.get(hull.size() - 1))
          >= price(hull.get(hull.size() - 2), next)) {
        hull.remove(hull.size() - 1);
      }
      hull.add(next);
    }
    return hull;
  }

  private static double price(Option from, Option to) {
    return (to.loss - from.loss) / (from.bytes - to.bytes);
  }
}
