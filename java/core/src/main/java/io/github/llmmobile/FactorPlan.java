package io.github.llmmobile;

import io.github.llmmobile.config.LayerCompressionConfig;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/** The low-rank factors that a configuration asks for, and what a file offers of them. */
final class FactorPlan {
  static final String RANK_ZERO = "compression_rank is 0";
  private static final String FACTOR = ".lora_b";

  private final Path file;
  private final int asked;

  private FactorPlan(Path file, int asked) {
    this.file = file;
    this.asked = asked;
  }

  /** Empty if the section names no factors. */
  static Optional<FactorPlan> of(LayerCompressionConfig config) {
    return config.factors().map(file -> new FactorPlan(file, config.compressionRank()));
  }

  boolean acts() {
    return asked > 0;
  }

  Path file() {
    return file;
  }

  /**
   * The rank that was asked for, or what the file has if that is less.
   *
   * @throws LlmException as {@link LlmModel#inspect}
   */
  AdapterOptions options() {
    long offered = LlmModel.inspect(file).tensors().stream().filter(tensor -> tensor.name().endsWith(FACTOR))
        .mapToLong(tensor -> tensor.shape().get(0)).max().orElse(0);
    return AdapterOptions.builder().rank((int) Math.min(asked, offered)).build();
  }

  String detail(AdapterInfo taken) {
    String rank = taken.rank() < taken.fileRank() ? taken.rank() + " of " + taken.fileRank() : "" + taken.rank();
    return String.format(Locale.ROOT, "factors of rank %s for %d matrices, %.1f MB, from %s", rank, taken.matrices(),
        taken.bytes() / 1e6, file.getFileName());
  }

  String refusal(LlmException e) {
    return "the factors " + file + " cannot be used: " + e.getMessage();
  }
}
