package io.github.llmmobile.cli.compress;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.cli.algebra.LinearAlgebra;
import io.github.llmmobile.cli.algebra.Matrix;
import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import io.github.llmmobile.gguf.GgufWriter;
import io.github.llmmobile.gguf.TensorType;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Low-rank factors in the place of matrices (SVD-LLM, arXiv 2403.07378, without its update of the weights). */
public final class Replacement {
  /** Ends of the names of the factors: {@code <weight>.lr_a} reads the inputs, {@code <weight>.lr_b} writes the outputs. */
  public static final String FACTOR_A = ".lr_a";

  /** The other factor. */
  public static final String FACTOR_B = ".lr_b";

  private final GgufFile original;
  private final List<GgufTensor> weights;
  private final Moments moments;
  private final @Nullable TensorType type;

  /**
   * Factors of some matrices.
   *
   * @param original the model (required)
   * @param weights its matrices that may be replaced (required)
   * @param calibration the inputs of these matrices (required)
   * @param type how these matrices and their factors are stored; null for the type that each matrix has
   */
  public Replacement(GgufFile original, List<GgufTensor> weights, Calibration calibration, @Nullable TensorType type) {
    this.original = original;
    this.weights = List.copyOf(weights);
    this.moments = new Moments(calibration);
    this.type = type;
  }

  private TensorType typeOf(GgufTensor weight) {
    return type != null ? type : weight.type();
  }

  /**
   * One rank for all matrices that become smaller with it; the others stay.
   *
   * @param rank 1 or more, a multiple of the block of the type
   * @return a rank for each matrix; 0 for one that stays (never null)
   * @throws LlmException RANGE if no matrix becomes smaller, NOT_AVAILABLE if the rank is not whole blocks
   */
  public int[] uniform(int rank) {
    int[] ranks = new int[weights.size()];
    int limit = 0;
    for (int i = 0; i < ranks.length; i++) {
      GgufTensor weight = weights.get(i);
      int block = typeOf(weight).blockElements();
      if (rank < 1 || rank % block != 0) {
        throw new LlmException(ErrorCode.NOT_AVAILABLE, "--rank " + rank + ": factors of " + weight
            + " have rows of that length, and " + typeOf(weight) + " needs a multiple of " + block);
      }
      int most = RankPlan.mostBelowBreakEven(weight.shape().get(0), weight.shape().get(1));
      limit = Math.max(limit, most);
      ranks[i] = rank <= most ? rank : 0;
    }
    if (Arrays.stream(ranks).allMatch(r -> r == 0)) {
      throw new LlmException(ErrorCode.RANGE, "--rank " + rank + " saves nothing: factors of a matrix of n by m take"
          + " less only below n m / (n + m), which is at most " + limit + " here");
    }
    return ranks;
  }

  /**
   * Ranks by what each matrix loses, so that the whole file has a certain size.
   *
   * @param target share of the file's size before, 0 to 1
   * @param work hears of each matrix (required)
   * @return a rank for each matrix; 0 for one that stays (never null)
   * @throws LlmException RANGE if the target cannot be reached
   */
  public int[] within(double target, Work work) {
    List<RankPlan.Subject> subjects = new ArrayList<>();
    long others = originalBytes();
    long limit = (long) (target * others);
    for (int i = 0; i < weights.size(); i++) {
      GgufTensor weight = weights.get(i);
      work.onStep(weight.name(), i / (double) weights.size());
      others -= weight.bytes();
      Matrix w = Weights.read(original, weight);
      LowRank factors = LowRank.nearest(w, moments.of(weight), 1);
      double energy = Math.max(factors.energy(), Double.MIN_NORMAL);
      subjects.add(new RankPlan.Subject(weight, typeOf(weight), rank -> factors.lossAt(rank) / energy));
    }
    return RankPlan.within(subjects, limit - others);
  }

  /**
   * How large the file is with factors of these ranks.
   *
   * @param ranks as of {@link #uniform} or {@link #within} (required)
   * @return bytes
   */
  public long bytes(int[] ranks) {
    long bytes = originalBytes();
    for (int i = 0; i < ranks.length; i++) {
      GgufTensor weight = weights.get(i);
      bytes += new RankPlan.Subject(weight, typeOf(weight), rank -> 0).bytes(ranks[i]) - weight.bytes();
    }
    return bytes;
  }

  private long originalBytes() {
    return original.dataOffset() + original.tensors().stream().mapToLong(GgufTensor::bytes).sum();
  }

  /**
   * Writes the model with factors in the place of matrices.
   *
   * @param target the file (required)
   * @param ranks as of {@link #uniform} or {@link #within} (required)
   * @param work hears of each tensor (required)
   * @return share of what the replaced matrices put out that is lost, as a mean over them
   */
  public double writeFactors(Path target, int[] ranks, Work work) {
    return write(target, ranks, false, work);
  }

  /**
   * Writes the model with the factors multiplied out again: ordinary matrices that predict as the factors do but for
   * rounding, and are no smaller.
   *
   * @param target the file (required)
   * @param ranks as of {@link #uniform} or {@link #within} (required)
   * @param work hears of each tensor (required)
   * @return share of what the replaced matrices put out that is lost, as a mean over them
   */
  public double writeDense(Path target, int[] ranks, Work work) {
    return write(target, ranks, true, work);
  }

  private double write(Path target, int[] ranks, boolean dense, Work work) {
    Map<String, Integer> rankOf = new LinkedHashMap<>();
    for (int i = 0; i < ranks.length; i++) {
      rankOf.put(weights.get(i).name(), ranks[i]);
    }
    List<GgufTensor> tensors = new ArrayList<>();
    for (GgufTensor tensor : original.tensors()) {
      int rank = rankOf.getOrDefault(tensor.name(), -1);
      if (rank < 0) {
        tensors.add(tensor);
      } else if (rank == 0 || dense) {
        tensors.add(shaped(tensor.name(), tensor, tensor.shape().get(0), tensor.shape().get(1)));
      } else {
        tensors.add(shaped(tensor.name() + FACTOR_A, tensor, tensor.shape().get(0), rank));
        tensors.add(shaped(tensor.name() + FACTOR_B, tensor, rank, tensor.shape().get(1)));
      }
    }
    Map<String, GgufValue> metadata =
        type == null ? original.metadata() : Weights.metadataOfOtherTypes(original);
    double lost = 0;
    int replaced = 0;
    try (GgufWriter writer = GgufWriter.create(target, metadata, tensors)) {
      int done = 0;
      for (GgufTensor tensor : original.tensors()) {
        work.onStep(tensor.name(), done++ / (double) original.tensors().size());
        int rank = rankOf.getOrDefault(tensor.name(), -1);
        if (rank > 0) {
          replaced++;
          lost += replace(writer, tensor, rank, dense);
        } else if (rank == 0 && typeOf(tensor) != tensor.type()) {
          writer.write(Weights.encode(typeOf(tensor), Weights.read(original, tensor)));
        } else {
          writer.copy(original, tensor);
        }
      }
      writer.commit();
    }
    return replaced == 0 ? 0 : lost / replaced;
  }

  private GgufTensor shaped(String name, GgufTensor weight, long cols, long rows) {
    return GgufTensor.of(name, typeOf(weight), cols, rows);
  }

  /** Writes the factors of one matrix, and returns which share of what it puts out is lost, rounding included. */
  private double replace(GgufWriter writer, GgufTensor weight, int rank, boolean dense) {
    TensorType stored = typeOf(weight);
    Matrix w = Weights.read(original, weight);
    Matrix moment = moments.of(weight);
    byte[] storedA = Weights.encode(stored, LowRank.nearest(w, moment, rank).a());
    Matrix a = Weights.matrix(shaped(FACTOR_A, weight, w.cols(), rank), ByteBuffer.wrap(storedA));
    byte[] storedB = Weights.encode(stored, LowRank.nearestLeft(w, moment, a));
    Matrix b = Weights.matrix(shaped(FACTOR_B, weight, rank, w.rows()), ByteBuffer.wrap(storedB));
    Matrix product = LinearAlgebra.product(b, a);
    if (dense) {
      writer.write(Weights.encode(stored, product));
    } else {
      writer.write(storedA);
      writer.write(storedB);
    }
    return LinearAlgebra.energy(w.minus(product), moment)
        / Math.max(LinearAlgebra.energy(w, moment), Double.MIN_NORMAL);
  }
}
