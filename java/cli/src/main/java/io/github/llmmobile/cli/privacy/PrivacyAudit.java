package io.github.llmmobile.cli.privacy;

import io.github.llmmobile.LlmModel;
import io.github.llmmobile.cli.calibrate.Residuals;
import io.github.llmmobile.cli.calibrate.SplitRows;
import io.github.llmmobile.cli.compress.Work;
import io.github.llmmobile.edge.RowFormat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.DoubleConsumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Attacks on the rows that a device would send, by someone who has the model, at several splits and in several formats. */
public final class PrivacyAudit {
  /** Tokens that each of the attacks on single rows gives the search as candidates. */
  private static final int HINTS = 8;
  private static final double LEARNT = 0.3;

  private final LlmModel model;
  private final TokenEmbeddings embeddings;
  private final Plan plan;
  private final int width;

  /**
   * What is measured.
   *
   * @param formats of rows, by split
   * @param training text that the attacker learns from
   * @param tokens text that is attacked, another one
   * @param searchTokens so many of its first tokens are searched for
   * @param guesses of the model that the search tries at each position
   * @param window tokens that the model reads at once; the search must be within the first
   * @param threads for the search, 0 for one per core
   */
  public record Plan(Map<Integer, List<RowFormat>> formats, int[] training, int[] tokens, int searchTokens, int guesses,
      int window, int threads) {}

  /**
   * Shares of tokens that were recovered from rows.
   *
   * @param split the split
   * @param format how the rows travelled
   * @param nearest by the nearest embedding
   * @param regression by a linear map that was learnt from other text
   * @param search by trying likely tokens
   * @param shuffled the control: by the linear map, counted against the tokens in another order
   */
  public record Exposure(int split, RowFormat format, double nearest, double regression, double search,
      double shuffled) {}

  /**
   * All outcomes.
   *
   * @param exposures by split and format
   * @param mostFrequent the control: what guessing the training text's most frequent token everywhere recovers
   */
  public record Outcome(List<Exposure> exposures, double mostFrequent) {}

  private PrivacyAudit(LlmModel model, TokenEmbeddings embeddings, Plan plan) {
    this.model = model;
    this.embeddings = embeddings;
    this.plan = plan;
    width = model.info().embedding();
  }

  /**
   * Runs the attacks.
   *
   * @param model the model (required)
   * @param embeddings of its tokens (required)
   * @param residuals shows what the model passes on (required)
   * @param plan what is measured (required)
   * @param work hears of each step (required)
   * @return the outcomes (never null)
   */
  public static Outcome measure(LlmModel model, TokenEmbeddings embeddings, Residuals residuals, Plan plan, Work work) {
    return new PrivacyAudit(model, embeddings, plan).measure(residuals, work);
  }

  private Outcome measure(Residuals residuals, Work work) {
    List<Integer> splits = new ArrayList<>(plan.formats().keySet());
    Map<Integer, Map<RowFormat, RowInverter>> inverters = new TreeMap<>();
    SplitRows.read(residuals, splits, width, plan.training(), plan.window(), (split, from, count, rows) -> {
      float[] targets = embeddings.of(Arrays.copyOfRange(plan.training(), from, from + count));
      Map<RowFormat, RowInverter> ofSplit = inverters.computeIfAbsent(split, any -> new HashMap<>());
      for (RowFormat format : formats(split)) {
        ofSplit.computeIfAbsent(format, any -> new RowInverter(width)).learn(Rows.sent(format, rows), targets);
      }
    }, fraction -> work.onStep("learning", LEARNT * fraction));
    Map<Integer, float[]> attacked = new TreeMap<>();
    SplitRows.read(residuals, splits, width, plan.tokens(), plan.window(), (split, from, count, rows) ->
        System.arraycopy(rows, 0, attacked.computeIfAbsent(split, any -> new float[plan.tokens().length * width]),
            from * width, count * width), fraction -> work.onStep("reading", LEARNT));
    List<Exposure> exposures = new ArrayList<>();
    int all = plan.formats().values().stream().mapToInt(List::size).sum();
    attacked.forEach((split, rows) -> formats(split).forEach(format -> {
      String what = "layer " + split + ", " + format;
      int done = exposures.size();
      exposures.add(attack(split, format, rows, inverters.get(split).get(format), fraction ->
          work.onStep(what, LEARNT + (1 - LEARNT) * (done + fraction) / all)));
    }));
    return new Outcome(exposures, mostFrequent());
  }

  private List<RowFormat> formats(int split) {
    return plan.formats().getOrDefault(split, List.of());
  }

  private Exposure attack(int split, RowFormat format, float[] rows, RowInverter inverter, DoubleConsumer progress) {
    float[] sent = Rows.sent(format, rows);
    int[][] nearest = embeddings.nearest(sent, HINTS, fraction -> progress.accept(0.1 * fraction));
    int[][] inverted = embeddings.nearest(inverter.invert(sent), HINTS, fraction -> progress.accept(0.1 + 0.1 * fraction));
    int[][] hints = new int[plan.searchTokens()][];
    for (int i = 0; i < hints.length; i++) {
      hints[i] = IntStream.concat(Arrays.stream(inverted[i]), Arrays.stream(nearest[i])).toArray();
    }
    double search;
    try (PrefixSearch searching = new PrefixSearch(model, split, plan.searchTokens(), plan.guesses(), plan.threads())) {
      search = share(searching.recover(format, sent, hints, plan.searchTokens(),
          fraction -> progress.accept(0.2 + 0.8 * fraction)), plan.tokens());
    }
    return new Exposure(split, format, share(first(nearest), plan.tokens()), share(first(inverted), plan.tokens()),
        search, share(first(inverted), shuffled()));
  }

  private static int[] first(int[][] candidates) {
    return Arrays.stream(candidates).mapToInt(of -> of[0]).toArray();
  }

  /** The share of the first tokens that were recovered. */
  private static double share(int[] recovered, int[] tokens) {
    return IntStream.range(0, recovered.length).filter(i -> recovered[i] == tokens[i]).count()
        / (double) recovered.length;
  }

  private int[] shuffled() {
    List<Integer> order = Arrays.stream(plan.tokens()).boxed().collect(Collectors.toList());
    Collections.shuffle(order, new Random(1));
    return order.stream().mapToInt(Integer::intValue).toArray();
  }

  private double mostFrequent() {
    int frequent = Arrays.stream(plan.training()).boxed()
        .collect(Collectors.groupingBy(token -> token, TreeMap::new, Collectors.counting())).entrySet().stream()
        .max(Map.Entry.comparingByValue()).orElseThrow().getKey();
    return Arrays.stream(plan.tokens()).filter(token -> token == frequent).count() / (double) plan.tokens().length;
  }
}
