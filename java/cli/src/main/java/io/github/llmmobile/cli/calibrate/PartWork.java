package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.gguf.GgufFile;
import io.github.llmmobile.gguf.GgufTensor;
import io.github.llmmobile.gguf.GgufValue;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Bytes that a step of one token reads, and those it need not read without a part. Decoding is bound by them. Keys and
 * values of a skipped attention are computed all the same, so their matrices count as read.
 */
final class PartWork {
  private static final Pattern NAME = Pattern.compile("blk\\.(\\d{1,4})\\.([a-z_0-9]+)\\.weight");
  private static final String EXPERTS = "_exps";
  private static final long CACHE_BYTES = 2;      // f16

  private final Map<Integer, Double> saved = new HashMap<>();
  private final double standInBytesPerRank;
  private double total;

  /**
   * Counts.
   *
   * @param file the model
   * @param depth tokens in the cache
   */
  PartWork(GgufFile file, int width, int depth) {
    double active = activeExperts(file);
    for (GgufTensor tensor : file.tensors()) {
      Matcher name = NAME.matcher(tensor.name());
      if (name.matches()) {
        addLayer(Integer.parseInt(name.group(1)), name.group(2), tensor, active, depth);
      } else if (tensor.name().equals("output.weight")) {
        total += tensor.bytes();
      }
    }
    if (file.tensor("output.weight").isEmpty()) {
      file.tensor("token_embd.weight").ifPresent(tensor -> total += tensor.bytes());
    }
    standInBytesPerRank = 2.0 * width * Float.BYTES;
  }

  private void addLayer(int layer, String kind, GgufTensor tensor, double active, int depth) {
    double bytes = tensor.bytes() * (kind.endsWith(EXPERTS) ? active : 1);
    if (kind.startsWith("ffn_")) {
      saved.merge(2 * layer + 1, bytes, Double::sum);
    } else if (kind.equals("attn_q") || kind.startsWith("attn_output")) {
      saved.merge(2 * layer, bytes, Double::sum);
    } else if (kind.equals("attn_k") || kind.equals("attn_v")) {
      double cached = (double) tensor.shape().get(1) * depth * CACHE_BYTES;
      saved.merge(2 * layer, cached, Double::sum);
      bytes += cached;
    }
    total += bytes;
  }

  private static double activeExperts(GgufFile file) {
    double used = 1;
    double all = 1;
    for (Map.Entry<String, GgufValue> entry : file.metadata().entrySet()) {
      if (entry.getKey().endsWith(".expert_used_count")) {
        used = integer(entry.getValue()).orElse(1L);
      } else if (entry.getKey().endsWith(".expert_count")) {
        all = integer(entry.getValue()).orElse(1L);
      }
    }
    return all > 0 && used > 0 ? Math.min(1, used / all) : 1;
  }

  private static Optional<Long> integer(GgufValue value) {
    return value.kind() == GgufValue.Kind.UINT32 ? Optional.of(value.asInteger()) : Optional.empty();
  }

  /** Share of a step's bytes that leaving a part out saves, its stand-in counted in; may be below 0. */
  double saved(int part, int rank) {
    return (saved.getOrDefault(part, 0.0) - rank * standInBytesPerRank) / total;
  }
}
