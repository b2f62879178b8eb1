package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.cli.compress.Work;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;

/** What leaving out parts of a model costs, alone and together, and the order that follows from it. */
final class LayerCosts {
  /** Of the remaining parts so many, the best alone, are tried beside those that are chosen. */
  private static final int CANDIDATES = 5;
  /** A layer whose cheaper part costs so many times what it costs in the median belongs to the hot path. */
  private static final double HOT = 3;
  /** Bounds of entropy in nats. */
  private static final float[] EDGES = {1.5f, 3f, 4.5f};
  /** Gates are compared at the greatest number of parts that costs no more, where differences stand out. */
  private static final double GATES_AT = 0.1;

  /** Shares of the steps that gates leave parts out of; none and all to compare with. */
  private static final List<Double> SHARES = List.of(0.0, 0.25, 0.5, 0.75, 1.0);

  private final Trials trials;
  private final PartWork work;
  private final StandIns standIns;
  private final List<Integer> ranks;
  private final int layers;
  private final Map<Integer, PartCost> parts = new TreeMap<>();
  private final Map<Integer, TrialLog.Outcome> wholeLayers = new TreeMap<>();
  private final List<Integer> order = new ArrayList<>();
  private final Map<Integer, List<Level>> levels = new TreeMap<>();
  private final List<Range> ranges = new ArrayList<>();
  private final List<Control> controls = new ArrayList<>();
  private final List<Gate> gates = new ArrayList<>();

  /**
   * An order that has not been measured to be good, for comparison.
   *
   * @param name what it goes by
   * @param order parts
   * @param counts how many of them were left out
   * @param levels what that cost on the held-out text, with stand-ins of the greatest rank
   */
  record Control(String name, List<Integer> order, List<Integer> counts, List<Level> levels) {}

  /**
   * A gate that leaves parts out of a share of the steps, on the held-out text.
   *
   * @param name of the gate
   * @param parts how many
   * @param share of the steps
   * @param divergence nats per token
   * @param perplexity as a multiple of the whole model's
   * @param relative divergence per unit of work saved, as a multiple of what it is for every step
   */
  record Gate(String name, int parts, double share, double divergence, double perplexity, double relative) {}

  /**
   * A part alone.
   *
   * @param part its number
   * @param blockInfluence how much it turns the residual stream
   * @param bare without it
   * @param withStandIn without it, with its stand-in of the greatest rank
   * @param explained share of its variance that the stand-in explains
   * @param workSaved share of a step's reads
   */
  record PartCost(int part, double blockInfluence, TrialLog.Outcome bare, TrialLog.Outcome withStandIn,
      double explained, double workSaved) {
    double costPerWork() {
      return withStandIn.divergence() / workSaved;
    }
  }

  /**
   * A prefix of the order on the held-out text.
   *
   * @param divergence nats
   * @param perplexity as a multiple of the whole model's
   * @param workSaved share of a step's reads
   */
  record Level(double divergence, double perplexity, double workSaved) {}

  /**
   * A range of entropy.
   *
   * @param share of the tokens
   * @param relative divergence per token in it, as a multiple of the mean
   */
  record Range(double share, double relative) {}

  private LayerCosts(Trials trials, PartWork work, StandIns standIns, List<Integer> ranks, int layers) {
    this.trials = trials;
    this.work = work;
    this.standIns = standIns;
    this.ranks = ranks;
    this.layers = layers;
  }

  /** Measures everything. */
  static LayerCosts measure(Trials trials, PartWork work, StandIns standIns, List<Integer> ranks, int layers,
      int[] skippable, int mostParts, double mostDivergence, Work progress) {
    LayerCosts costs = new LayerCosts(trials, work, standIns, ranks, layers);
    List<Integer> all = Arrays.stream(skippable).boxed().toList();
    Counter counter = new Counter(progress, all.size() * 5 / 2 + mostParts * (CANDIDATES + ranks.size()) + EDGES.length + 10);
    costs.alone(all, counter);
    costs.choose(mostParts, mostDivergence, counter);
    costs.holdOut(counter);
    costs.byEntropy(counter);
    costs.byStep(counter);
    costs.compare(counter);
    return costs;
  }

  /** Trials, of roughly so many. */
  private static final class Counter {
    private final Work progress;
    private final int planned;
    private int done;

    Counter(Work progress, int planned) {
      this.progress = progress;
      this.planned = planned;
    }

    void next(String what) {
      progress.onStep(what, Math.min(1, done++ / (double) planned));
    }
  }

  /** The rank that chooses. */
  int greatestRank() {
    return Collections.max(ranks);
  }

  private void alone(List<Integer> all, Counter counter) {
    for (int part : all) {
      counter.next("without " + Part.name(part));
      TrialLog.Outcome bare = trials.without(List.of(part), 0, Trials.Text.CHOICE);
      counter.next("stand-in of " + Part.name(part));
      TrialLog.Outcome standIn = trials.without(List.of(part), greatestRank(), Trials.Text.CHOICE);
      double[] explained = standIns.of(part).explained();
      parts.put(part, new PartCost(part, standIns.blockInfluence(part), bare, standIn,
          greatestRank() == 0 ? 0 : explained[greatestRank() - 1], work.saved(part, greatestRank())));
    }
    for (int layer = 0; layer < layers; layer++) {
      if (parts.containsKey(2 * layer) && parts.containsKey(2 * layer + 1)) {
        counter.next("without layer " + layer);
        wholeLayers.put(layer, trials.without(List.of(2 * layer, 2 * layer + 1), greatestRank(), Trials.Text.CHOICE));
      }
    }
  }

  /** Always the part that adds least divergence for the work it saves. */
  private void choose(int mostParts, double mostDivergence, Counter counter) {
    List<PartCost> left = new ArrayList<>(parts.values());
    left.removeIf(part -> part.workSaved() <= 0);
    left.sort(Comparator.comparingDouble(PartCost::costPerWork));
    double reached = 0;
    while (!left.isEmpty() && order.size() < mostParts) {
      PartCost best = null;
      double bestCost = Double.POSITIVE_INFINITY;
      double bestDivergence = 0;
      for (PartCost candidate : left.subList(0, Math.min(CANDIDATES, left.size()))) {
        counter.next("with " + order.size() + " others without " + Part.name(candidate.part()));
        List<Integer> together = new ArrayList<>(order);
        together.add(candidate.part());
        double divergence = trials.without(together, greatestRank(), Trials.Text.CHOICE).divergence();
        double cost = (divergence - reached) / candidate.workSaved();
        if (cost < bestCost) {
          best = candidate;
          bestCost = cost;
          bestDivergence = divergence;
        }
      }
      if (best == null || bestDivergence > mostDivergence) {
        return;
      }
      order.add(best.part());
      left.remove(best);
      reached = bestDivergence;
    }
  }

  private void holdOut(Counter counter) {
    for (int rank : ranks) {
      List<Level> list = new ArrayList<>();
      double saved = 0;
      for (int count = 1; count <= order.size(); count++) {
        counter.next("rank " + rank + ", " + count + " parts on another text");
        TrialLog.Outcome outcome = trials.without(order.subList(0, count), rank, Trials.Text.HELD_OUT);
        saved += work.saved(order.get(count - 1), rank);
        list.add(new Level(outcome.divergence(), outcome.perplexity() / trials.perplexity(Trials.Text.HELD_OUT), saved));
      }
      levels.put(rank, list);
    }
  }

  /** The parts by which gates are compared. */
  private List<Integer> gated() {
    int count = 1;
    List<Level> measured = levels.get(greatestRank());
    while (count < order.size() && measured.get(count).divergence() <= GATES_AT) {
      count++;
    }
    return order.subList(0, count);
  }

  private void byEntropy(Counter counter) {
    if (order.isEmpty()) {
      return;
    }
    List<Integer> without = gated();
    counter.next("steps of all kinds");
    double mean = trials.without(without, greatestRank(), Trials.Text.STEPS).divergence();
    for (int range = 0; range <= EDGES.length; range++) {
      counter.next("steps of one range of entropy");
      TrialLog.Outcome outcome = trials.withoutInRange(without, greatestRank(), EDGES, range);
      double relative = outcome.share() > 0 && mean > 0 ? outcome.divergence() / outcome.share() / mean : 1;
      ranges.add(new Range(outcome.share(), relative));
    }
  }

  private void byStep(Counter counter) {
    if (order.isEmpty()) {
      return;
    }
    counter.next("step by step, with and without parts");
    List<Integer> without = gated();
    trials.gates(without, greatestRank(), SHARES).forEach((name, outcomes) -> {
      TrialLog.Outcome always = outcomes.get(outcomes.size() - 1);
      TrialLog.Outcome whole = outcomes.get(0);
      for (TrialLog.Outcome outcome : outcomes.subList(1, outcomes.size())) {
        gates.add(new Gate(name, without.size(), outcome.share(), outcome.divergence(),
            outcome.perplexity() / whole.perplexity(),
            always.divergence() > 0 ? outcome.divergence() / outcome.share() / always.divergence() : 1));
      }
    });
  }

  /** The order beside one of Block Influence alone, and a random one (with a seed, so that it can be done again). */
  private void compare(Counter counter) {
    if (order.isEmpty()) {
      return;
    }
    List<Integer> byInfluence = parts.values().stream().sorted(Comparator.comparingDouble(PartCost::blockInfluence))
        .map(PartCost::part).limit(order.size()).toList();
    List<Integer> shuffled = new ArrayList<>(parts.keySet());
    Collections.shuffle(shuffled, new Random(1));
    controls.add(control("block influence", byInfluence, counter));
    controls.add(control("random", shuffled.subList(0, Math.min(order.size(), shuffled.size())), counter));
  }

  private Control control(String name, List<Integer> others, Counter counter) {
    List<Integer> counts = new ArrayList<>();
    List<Level> costs = new ArrayList<>();
    for (int count = 1; count <= others.size(); count *= 2) {
      counter.next(count + " parts by " + name);
      TrialLog.Outcome outcome = trials.without(others.subList(0, count), greatestRank(), Trials.Text.HELD_OUT);
      counts.add(count);
      costs.add(new Level(outcome.divergence(), outcome.perplexity() / trials.perplexity(Trials.Text.HELD_OUT),
          others.subList(0, count).stream().mapToDouble(part -> work.saved(part, greatestRank())).sum()));
    }
    return new Control(name, List.copyOf(others), counts, costs);
  }

  /** Other orders. */
  List<Control> controls() {
    return Collections.unmodifiableList(controls);
  }

  /** Gates, each with several shares of the steps, the last of which are all. */
  List<Gate> gates() {
    return Collections.unmodifiableList(gates);
  }

  /** Parts alone, by number. */
  List<PartCost> parts() {
    return List.copyOf(parts.values());
  }

  /** Both parts of a layer, with stand-ins. */
  Map<Integer, TrialLog.Outcome> wholeLayers() {
    return Collections.unmodifiableMap(wholeLayers);
  }

  List<Integer> order() {
    return Collections.unmodifiableList(order);
  }

  /** By rank, as many as the order has parts. */
  Map<Integer, List<Level>> levels() {
    return Collections.unmodifiableMap(levels);
  }

  /** Bounds of the ranges; none without an order. */
  List<Float> entropyEdges() {
    List<Float> edges = new ArrayList<>();
    for (int i = 0; i < ranges.size() - 1; i++) {
      edges.add(EDGES[i]);
    }
    return edges;
  }

  /** Ranges of entropy: a single one for all without an order. */
  List<Range> ranges() {
    return ranges.isEmpty() ? List.of(new Range(1, 1)) : Collections.unmodifiableList(ranges);
  }

  /** The first and the last layer, and those that are far dearer than others. */
  List<Integer> hotPath() {
    Map<Integer, Double> cheaper = new TreeMap<>();
    for (PartCost part : parts.values()) {
      cheaper.merge(Part.layer(part.part()), part.withStandIn().divergence(), Math::min);
    }
    List<Double> sorted = cheaper.values().stream().sorted().toList();
    double bound = sorted.isEmpty() ? 0 : HOT * sorted.get(sorted.size() / 2);
    TreeSet<Integer> hot = new TreeSet<>();
    for (int layer = 0; layer < layers; layer++) {
      if (!cheaper.containsKey(layer) || cheaper.get(layer) > bound) {
        hot.add(layer);
      }
    }
    order.forEach(part -> hot.remove(Part.layer(part)));
    return List.copyOf(hot);
  }
}
