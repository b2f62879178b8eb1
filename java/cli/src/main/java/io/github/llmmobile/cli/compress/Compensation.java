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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Low-rank factors that add what a base model has lost by quantising (LQER, arXiv 2402.02446; EoRA, arXiv 2410.21271),
 * written as a LoRA adapter of the base model.
 */
public final class Compensation {
  /** Metadata of an adapter: the fingerprint of the only model that it fits. */
  public static final String BASE_FINGERPRINT = "llmm.base.fingerprint";

  private final GgufFile original;
  private final List<GgufTensor> weights;
  private final Moments moments;
  private final int rank;
  private final int matrices;
  private final List<Factors> factors = new ArrayList<>();

  /**
   * The factors of one matrix.
   *
   * @param gain what they take away of the error in its outputs, as a share of the outputs
   * @param left share of that error that is left
   */
  private record Factors(GgufTensor tensorA, byte[] a, GgufTensor tensorB, byte[] b, double gain, double left) {}

  /**
   * What a model of one file has lost.
   *
   * @param original the model before (required)
   * @param weights its matrices that are to be corrected (required)
   * @param calibration the inputs of these matrices (required)
   * @param rank of the factors, 1 or more
   * @param matrices how many matrices get factors, those that gain most; more than there are for all
   * @throws LlmException RANGE if the rank is larger than a matrix, or matrices is less than 1
   */
  public Compensation(GgufFile original, List<GgufTensor> weights, Calibration calibration, int rank, int matrices) {
    this.original = original;
    this.weights = List.copyOf(weights);
    this.moments = new Moments(calibration);
    this.rank = rank;
    this.matrices = matrices;
    if (matrices < 1) {
      throw new LlmException(ErrorCode.RANGE, "--matrices must be at least 1, but is " + matrices);
    }
    for (GgufTensor weight : weights) {
      long most = Math.min(weight.shape().get(0), weight.shape().get(1));
      if (rank < 1 || rank > most) {
        throw new LlmException(ErrorCode.RANGE, "--rank must be from 1 to " + most + " for " + weight + ", but is "
            + rank);
      }
    }
  }

  /**
   * Writes the base model, the original with its matrices in another type, and finds the factors of what it loses.
   *
   * @param target the file (required)
   * @param type the type of the matrices (required)
   * @param calibrated whether numbers are rounded so that outputs change least, where that is known for the type;
   *     otherwise each goes to the nearest one
   * @param givenFactorType type of the factors, or null for Q8_0 where the rank allows it, else F16
   * @param work hears of each tensor (required)
   * @throws LlmException NOT_AVAILABLE if a matrix or its factors cannot be stored in that type
   */
  public void writeBase(Path target, TensorType type, boolean calibrated, @Nullable TensorType givenFactorType,
      Work work) {
    Map<String, GgufTensor> changed = new LinkedHashMap<>();
    for (GgufTensor weight : weights) {
      changed.put(weight.name(), GgufTensor.of(weight.name(), type, weight.shape().get(0), weight.shape().get(1)));
    }
    List<GgufTensor> tensors = new ArrayList<>();
    original.tensors().forEach(tensor -> tensors.add(changed.getOrDefault(tensor.name(), tensor)));
    TensorType factorType = givenFactorType != null ? givenFactorType : defaultFactorType();
    for (GgufTensor weight : weights) {
      tensorA(weight, factorType);
      tensorB(weight, factorType);
    }
    factors.clear();
    try (GgufWriter writer = GgufWriter.create(target, Weights.metadataOfOtherTypes(original), tensors)) {
      int done = 0;
      for (GgufTensor tensor : original.tensors()) {
        work.onStep(tensor.name(), done++ / (double) tensors.size());
        GgufTensor stored = changed.get(tensor.name());
        if (stored == null) {
          writer.copy(original, tensor);
        } else {
          writeRounded(writer, tensor, stored, calibrated, factorType);
        }
      }
      writer.commit();
    }
    keepTheBest();
  }

  private GgufTensor tensorA(GgufTensor weight, TensorType type) {
    return GgufTensor.of(weight.name() + ".lora_a", type, weight.shape().get(0), rank);
  }

  private GgufTensor tensorB(GgufTensor weight, TensorType type) {
    return GgufTensor.of(weight.name() + ".lora_b", type, rank, weight.shape().get(1));
  }

  /** Each matrix with factors costs the same number of steps when the model runs, whatever its size. */
  private void keepTheBest() {
    double[] gains = factors.stream().mapToDouble(Factors::gain).sorted().toArray();
    double least = matrices < gains.length ? gains[gains.length - matrices] : Double.NEGATIVE_INFINITY;
    factors.removeIf(one -> one.gain() < least);
  }

  /** Writes one matrix and keeps the factors of what it loses. */
  private void writeRounded(GgufWriter writer, GgufTensor weight, GgufTensor stored, boolean calibrated,
      TensorType factorType) {
    Matrix w = Weights.read(original, weight);
    Matrix moment = moments.of(weight);
    byte[] bytes = weight.type() == stored.type()
        ? Weights.bytes(original, weight)
        : (calibrated ? CalibratedRounding.to(stored.type()) : Optional.<CalibratedRounding>empty())
            .map(rounding -> rounding.round(w, moment)).orElseGet(() -> Weights.encode(stored.type(), w));
    writer.write(bytes);
    LowRank found = LowRank.nearest(w.minus(Weights.matrix(stored, ByteBuffer.wrap(bytes))), moment, rank);
    double lost = found.energy();
    double left = found.lossAt(rank);
    double outputs = Math.max(LinearAlgebra.energy(w, moment), Double.MIN_NORMAL);
    factors.add(new Factors(tensorA(weight, factorType), Weights.encode(factorType, found.a()),
        tensorB(weight, factorType), Weights.encode(factorType, found.b()), (lost - left) / outputs,
        lost > 0 ? left / lost : 0));
  }

  /**
   * Writes the adapter of the base model that was written before.
   *
   * @param target the file (required)
   * @param baseFingerprint the base model's fingerprint (required)
   */
  public void writeAdapter(Path target, String baseFingerprint) {
    List<GgufTensor> tensors = new ArrayList<>();
    factors.forEach(one -> tensors.addAll(List.of(one.tensorA(), one.tensorB())));
    try (GgufWriter writer = GgufWriter.create(target, adapterMetadata(baseFingerprint), tensors)) {
      for (Factors one : factors) {
        writer.write(one.a());
        writer.write(one.b());
      }
      writer.commit();
    }
  }

  /**
   * How much of what the matrices with factors put out wrongly in the base model is left.
   *
   * @return a share, the mean over these matrices
   */
  public double remainingError() {
    return factors.stream().mapToDouble(Factors::left).average().orElse(1);
  }

  /**
   * What the factors take.
   *
   * @return bytes
   */
  public long factorBytes() {
    return factors.stream().mapToLong(one -> one.tensorA().bytes() + one.tensorB().bytes()).sum();
  }

  /** Eight bits are enough for a correction, but llama.cpp needs rows of 32 for them, in both factors. */
  private TensorType defaultFactorType() {
    int block = TensorType.Q8_0.blockElements();
    return rank % block == 0 && weights.stream().allMatch(weight -> weight.shape().get(0) % block == 0)
        ? TensorType.Q8_0 : TensorType.F16;
  }

  private Map<String, GgufValue> adapterMetadata(String baseFingerprint) {
    Map<String, GgufValue> metadata = new LinkedHashMap<>();
    GgufValue architecture = original.metadata().get("general.architecture");
    if (architecture == null) {
      throw new LlmException(ErrorCode.MODEL_INVALID, "the model has no general.architecture");
    }
    metadata.put("general.architecture", architecture);
    metadata.put("general.type", GgufValue.text("adapter"));
    metadata.put("general.name", GgufValue.text("low-rank compensation"));
    metadata.put("adapter.type", GgufValue.text("lora"));
    // 0: the strength is the caller's alone, whatever the rank.
    metadata.put("adapter.lora.alpha", GgufValue.float32(0));
    metadata.put(BASE_FINGERPRINT, GgufValue.text(baseFingerprint));
    metadata.put("llmm.compensation.rank", GgufValue.uint32(rank));
    return metadata;
  }
}
