package io.github.llmmobile;

import io.github.llmmobile.LayerProfile.Level;
import io.github.llmmobile.LayerProfile.StandIn;
import io.github.llmmobile.config.LayerCompressionConfig;
import io.github.llmmobile.config.LayerMode;
import io.github.llmmobile.internal.NativeSession;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** Which parts of layers a session leaves out: what its configuration wants and its profile makes of it. */
final class LayerPlan {
  /** What becomes of the section where the answer must not change. */
  static final String LOSSLESS = "leaves nothing out: lossless; tokens drafted from the history are checked together";
  /** The most of them. */
  static final int DRAFT_TOKENS = 8;

  /** Texts of another kind than the calibration's cost up to three times what it said: this much of a budget is used. */
  private static final double USED_OF_BUDGET = 1.0 / 3;

  private final LayerProfile profile;
  private final int rank;
  private final List<Integer> order = new ArrayList<>();
  /** What leaving out the first parts of the order costs and saves, from none on. */
  private final List<Double> divergence = new ArrayList<>(Collections.singletonList(0.0));
  private final List<Double> work = new ArrayList<>(Collections.singletonList(0.0));
  private final int[] levels;
  private final LayerCompressionConfig config;

  /**
   * Decides.
   *
   * @param config what is wanted (required)
   * @param profile of the model (required)
   * @param skippable the parts that the session can leave out
   * @throws LlmException CONFIG if the hot path has a layer that the model has not; NOT_AVAILABLE if the profile has no
   *     rank as small as wanted
   */
  LayerPlan(LayerCompressionConfig config, LayerProfile profile, int[] skippable) {
    this.config = config;
    this.profile = profile;
    rank = rank(config, profile);
    Set<Integer> hot = hotPath(config, profile.layers());
    Set<Integer> possible = Arrays.stream(skippable).boxed().collect(Collectors.toSet());
    List<Level> measured = profile.levels(rank);
    double klBefore = 0;
    double workBefore = 0;
    for (int i = 0; i < measured.size(); i++) {
      // The divergence that the others cause stays theirs when one is taken out: what each one added is added up.
      double kl = Math.max(klBefore, measured.get(i).divergence());
      double saved = measured.get(i).workSaved();
      int part = profile.order().get(i);
      if (!hot.contains(part / 2) && possible.contains(part)) {
        order.add(part);
        divergence.add(divergence.get(divergence.size() - 1) + kl - klBefore);
        work.add(work.get(work.size() - 1) + saved - workBefore);
      }
      klBefore = kl;
      workBefore = saved;
    }
    levels = config.mode() == LayerMode.STATIC ? new int[] {withinWork()} : withinDivergence();
  }

  /** The greatest rank that was measured and is not above what is wanted. */
  private static int rank(LayerCompressionConfig config, LayerProfile profile) {
    NavigableSet<Integer> ranks = new TreeSet<>(profile.ranks());
    Integer rank = ranks.floor(config.compressionRank());
    if (rank == null) {
      throw new LlmException(ErrorCode.NOT_AVAILABLE, "the profile has stand-ins of rank " + ranks
          + ", none as small as " + config.compressionRank());
    }
    return rank;
  }

  private static Set<Integer> hotPath(LayerCompressionConfig config, int layers) {
    Set<Integer> hot = new TreeSet<>();
    for (int index : config.hotPathIndices()) {
      int layer = index < 0 ? layers + index : index;
      if (layer < 0 || layer >= layers) {
        throw new LlmException(ErrorCode.CONFIG, "layer_compression_config.hot_path_indices: " + index
            + " is no layer of this model, which has " + layers);
      }
      hot.add(layer);
    }
    return hot;
  }

  /** The longest prefix that saves no more work than wanted. */
  private int withinWork() {
    int level = 0;
    while (level < order.size() && work.get(level + 1) <= config.skipBudget()) {
      level++;
    }
    return level;
  }

  /**
   * For each range of entropy the longest prefix that costs a token there no more than the budget: how many tokens a text
   * has in which range is its own, so none pays for another.
   */
  private int[] withinDivergence() {
    double budget = USED_OF_BUDGET * config.klBudget();
    int[] perRange = new int[profile.entropyShares().size()];
    for (int i = 0; i < perRange.length; i++) {
      double relative = profile.relativeDivergence().get(i);
      while (perRange[i] < order.size() && relative * divergence.get(perRange[i] + 1) <= budget) {
        perRange[i]++;
      }
    }
    return perRange;
  }

  private double cost(int[] perRange) {
    double sum = 0;
    for (int i = 0; i < perRange.length; i++) {
      sum += profile.entropyShares().get(i) * profile.relativeDivergence().get(i) * divergence.get(perRange[i]);
    }
    return sum;
  }

  private double saved(int[] perRange) {
    double sum = 0;
    for (int i = 0; i < perRange.length; i++) {
      sum += profile.entropyShares().get(i) * work.get(perRange[i]);
    }
    return sum;
  }

  /** Whether anything is left out at all. */
  boolean skips() {
    return mostParts() > 0;
  }

  private int mostParts() {
    return Arrays.stream(levels).max().orElse(0);
  }

  private boolean everyStepAlike() {
    return Arrays.stream(levels).distinct().count() == 1;
  }

  /** The gates. */
  LayerGates gates() {
    int[] parts = order.subList(0, mostParts()).stream().mapToInt(Integer::intValue).toArray();
    if (everyStepAlike()) {
      return LayerGates.always(parts);
    }
    float[] edges = new float[profile.entropyEdges().size()];
    for (int i = 0; i < edges.length; i++) {
      edges[i] = profile.entropyEdges().get(i).floatValue();
    }
    return LayerGates.byEntropy(parts, edges, levels, 0);
  }

  /**
   * Sets gates and stand-ins.
   *
   * @throws LlmException PROFILE_INVALID, IO if the stand-ins cannot be read; as {@link LlmSession#setLayerGates}
   */
  void apply(NativeSession session) {
    for (int part : order.subList(0, mostParts())) {
      if (rank > 0) {
        StandIn standIn = profile.standIn(part, rank);
        session.setBypass(part, rank, standIn.down, standIn.up, standIn.bias);
      }
    }
    session.setGates(gates());
  }

  /** What is left out and why, for people. */
  String detail() {
    if (!skips()) {
      return "leaves nothing out: " + reason();
    }
    return "leaves out " + parts() + (rank > 0 ? ", with stand-ins of rank " + rank : "") + ranges() + "; about "
        + percent(everyStepAlike() ? work.get(levels[0]) : saved(levels)) + " of a step's reads saved at a divergence of "
        + number(everyStepAlike() ? divergence.get(levels[0]) : cost(levels));
  }

  private String reason() {
    if (order.isEmpty()) {
      return profile.order().isEmpty() ? "the profile found no part that is cheap"
          : "every part of the profile's order belongs to the hot path or to layers that are not here";
    }
    return config.mode() == LayerMode.STATIC
        ? "the cheapest part saves " + percent(work.get(1)) + " of a step, skip_budget is " + percent(config.skipBudget())
        : "the cheapest part costs a divergence of " + number(divergence.get(1)) + ", a third of kl_budget is "
            + number(USED_OF_BUDGET * config.klBudget());
  }

  private String parts() {
    return order.subList(0, mostParts()).stream()
        .map(part -> (part % 2 == 0 ? "attention " : "feed-forward ") + part / 2)
        .collect(Collectors.joining(", "));
  }

  private String ranges() {
    if (everyStepAlike()) {
      return "";
    }
    StringBuilder text = new StringBuilder("; ");
    for (int i = 0; i < levels.length; i++) {
      text.append(i > 0 ? ", " : "").append(levels[i]).append(i < levels.length - 1
          ? " below " + number(profile.entropyEdges().get(i)) + " nats of entropy" : " above");
    }
    return text.toString();
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.4f", value).replaceAll("\\.?0+$", "");
  }
}
