package io.github.llmmobile.cli.compress;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.gguf.GgufTensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas;

/**
 * The inputs of weights while the model reads a text. Moments are measured for as many weights at once as fit the memory,
 * in the order of the weights; asking in that order reads the text as seldom as possible.
 */
public final class TextCalibration implements Calibration, AutoCloseable {
  /** Weights that have the same input, so that it is measured once. */
  private static final Map<String, String> SAME_INPUT =
      Map.of("attn_k", "attn_q", "attn_v", "attn_q", "ffn_up", "ffn_gate");

  /** A buffer has no more than 2 GiB. */
  private static final long MOST_ROW_FLOATS = 1L << 28;

  private final InputRows source;
  private final int[] tokens;
  private final int windowTokens;
  private final boolean evenly;
  private final Work work;
  private final long memory;
  /** Width of the inputs by weight, without those that share another one's. */
  private final Map<String, Integer> widths = new LinkedHashMap<>();
  /** The weight whose inputs are measured for a weight. */
  private final Map<String, String> sources = new HashMap<>();
  private final Map<String, FloatPointer> sums = new HashMap<>();
  private int counted;

  /**
   * A calibration that has not begun.
   *
   * @param rows the model (required)
   * @param weights the weights that will be asked for (required)
   * @param tokens the text (required)
   * @param windowTokens how many are read together
   * @param evenly whether no token counts more than most: without, the moments of some inputs are those of the few tokens
   *     with massive activations (Sun et al., arXiv 2402.17762), which say little about all others
   * @param memory bytes for moments
   * @param work hears of each window (required)
   */
  public TextCalibration(InputRows rows, List<GgufTensor> weights, int[] tokens, int windowTokens,
      boolean evenly, long memory, Work work) {
    this.source = rows;
    this.tokens = tokens.clone();
    this.windowTokens = windowTokens;
    this.evenly = evenly;
    this.memory = memory;
    this.work = work;
    Map<String, Integer> all = new HashMap<>();
    weights.forEach(weight -> all.put(weight.name(), Math.toIntExact(weight.shape().get(0))));
    for (GgufTensor weight : weights) {
      String shared = shared(weight.name(), all);
      sources.put(weight.name(), shared);
      widths.put(shared, all.get(shared));
    }
  }

  private static String shared(String weight, Map<String, Integer> widths) {
    String[] parts = weight.split("\\.");
    String same = SAME_INPUT.get(parts[2]);
    String other = parts[0] + "." + parts[1] + "." + same + ".weight";
    return same != null && widths.getOrDefault(other, -1).equals(widths.get(weight)) ? other : weight;
  }

  @Override
  public double[] secondMoment(String weight) {
    String shared = sources.get(weight);
    if (shared == null) {
      throw new LlmException(ErrorCode.INTERNAL, weight + " is not calibrated");
    }
    if (!sums.containsKey(shared)) {
      measure(shared);
    }
    return moment(sums.get(shared), widths.get(shared));
  }

  /** Both halves of the sum of which only the upper one was added up, by the number of tokens. */
  private double[] moment(FloatPointer sum, int n) {
    float[] values = new float[n * n];
    sum.position(0).get(values);
    double[] moment = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = i; j < n; j++) {
        double value = values[i * n + j] / (double) counted;
        moment[i * n + j] = value;
        moment[j * n + i] = value;
      }
    }
    return moment;
  }

  private void measure(String first) {
    release();
    List<String> names = new ArrayList<>();
    long bytes = 0;
    long rowFloats = 0;
    boolean reached = false;
    for (Map.Entry<String, Integer> entry : widths.entrySet()) {
      reached |= entry.getKey().equals(first);
      long width = entry.getValue();
      // Besides the moment, the rows of a window are there at once.
      long more = (width * width + width * windowTokens) * Float.BYTES;
      boolean fits = bytes + more <= memory && (rowFloats + width) * windowTokens <= MOST_ROW_FLOATS;
      if (reached && (names.isEmpty() || fits)) {
        names.add(entry.getKey());
        bytes += more;
        rowFloats += width;
        FloatPointer sum = new FloatPointer(width * width);
        FloatPointer.memset(sum, 0, width * width * Float.BYTES);
        sums.put(entry.getKey(), sum);
      } else if (reached) {
        break;
      }
    }
    counted = 0;
    try (FloatPointer rows = new FloatPointer(rowFloats * windowTokens)) {
      for (int from = 0; from < tokens.length; from += windowTokens) {
        work.onStep("inputs of " + names.size() + " matrices from " + first, from / (double) tokens.length);
        int count = Math.min(windowTokens, tokens.length - from);
        rows.position(0).limit(rowFloats * count);
        source.read(Arrays.copyOfRange(tokens, from, from + count), names, rows.asBuffer());
        add(names, rows, count);
      }
    }
  }

  private void add(List<String> names, FloatPointer rows, int count) {
    long at = 0;
    for (String name : names) {
      int width = widths.get(name);
      if (evenly) {
        shorten(rows.getPointer(at), width, count);
      }
      openblas.cblas_ssyrk(openblas.CblasRowMajor, openblas.CblasUpper, openblas.CblasTrans, width, count, 1,
          rows.getPointer(at), width, 1, sums.get(name), width);
      at += (long) width * count;
    }
    counted += count;
  }

  /** Makes rows that are longer than the median as long as that. */
  private static void shorten(FloatPointer rows, int width, int count) {
    float[] lengths = new float[count];
    for (int i = 0; i < count; i++) {
      lengths[i] = openblas.cblas_snrm2(width, rows.getPointer((long) i * width), 1);
    }
    float[] sorted = lengths.clone();
    Arrays.sort(sorted);
    float median = sorted[count / 2];
    for (int i = 0; i < count; i++) {
      if (lengths[i] > median) {
        openblas.cblas_sscal(width, median / lengths[i], rows.getPointer((long) i * width), 1);
      }
    }
  }

  private void release() {
    sums.values().forEach(FloatPointer::close);
    sums.clear();
  }

  /** Gives the memory of the moments back. */
  @Override
  public void close() {
    release();
  }
}
