package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.LayerGates;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import io.github.llmmobile.PerplexityOptions;
import io.github.llmmobile.PerplexityResult;
import io.github.llmmobile.SessionStats;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;

/**
 * Measures how far predictions go astray without parts. Every outcome goes into the log; what is there is not measured
 * again.
 */
public final class Trials {
  /** What is predicted, and how. */
  public enum Text {
    /** By what parts are chosen. */
    CHOICE,
    /** A text that takes no part in choosing. */
    HELD_OUT,
    /** The text of the choice, its windows' second halves token by token. */
    STEPS
  }

  private static final int AS_THEY_ARE = -1;

  private final LlmSession session;
  private final StepTrials steps;
  private final StandIns standIns;
  private final TrialLog log;
  private final int windowTokens;
  private final BooleanSupplier stopped;
  private final Map<Text, int[]> tokens = new EnumMap<>(Text.class);
  private final Map<Text, Path> predictions = new EnumMap<>(Text.class);
  private final Map<Text, Double> perplexities = new EnumMap<>(Text.class);
  private int rankSet = AS_THEY_ARE;

  /**
   * Nothing is measured yet.
   *
   * @param session of the model; its gates and stand-ins are changed (required)
   * @param model shows its residual stream (required)
   * @param info of the model (required)
   * @param standIns of its parts (required)
   * @param log takes the outcomes (required)
   * @param windowTokens the session's context
   * @param stopped asked again and again: true ends a measurement with a cancellation (required)
   */
  public Trials(LlmSession session, Residuals model, ModelInfo info, StandIns standIns, TrialLog log, int windowTokens,
      BooleanSupplier stopped) {
    this.session = session;
    steps = new StepTrials(session, model, info, windowTokens, stopped);
    this.standIns = standIns;
    this.log = log;
    this.windowTokens = windowTokens;
    this.stopped = stopped;
  }

  /**
   * Lets the whole model predict a text; what it says is compared with.
   *
   * @param text which (required)
   * @param words its tokens (required)
   * @param file takes the predictions (required)
   */
  public void begin(Text text, int[] words, Path file) {
    session.setLayerGates(null);
    tokens.put(text, words.clone());
    perplexities.put(text, session.perplexity(words, options(text).savePath(file).build()).perplexity());
    predictions.put(text, file);
  }

  private PerplexityOptions.Builder options(Text text) {
    PerplexityOptions.Builder options = PerplexityOptions.builder().contextTokens(windowTokens)
        .progress(fraction -> !stopped.getAsBoolean());
    return text == Text.STEPS ? options.decodeTokens(windowTokens / 2) : options;
  }

  /** The perplexity of the whole model. */
  double perplexity(Text text) {
    return perplexities.getOrDefault(text, Double.NaN);
  }

  /** Leaves parts out of every step, with stand-ins of a rank, 0 for none. */
  TrialLog.Outcome without(List<Integer> parts, int rank, Text text) {
    int[] order = parts.stream().mapToInt(Integer::intValue).toArray();
    LayerGates gates = LayerGates.always(order);
    return measure(parts.stream().map(String::valueOf).collect(Collectors.joining(",")), parts, rank,
        text == Text.STEPS ? gates : gates.inPrompts(), text);
  }

  /** Leaves parts out of the steps whose entropy is in one range of several. */
  TrialLog.Outcome withoutInRange(List<Integer> parts, int rank, float[] edges, int range) {
    int[] levels = new int[edges.length + 1];
    levels[range] = parts.size();
    int[] order = parts.stream().mapToInt(Integer::intValue).toArray();
    return measure(parts + " range " + range, parts, rank, LayerGates.byEntropy(order, edges, levels, 0), Text.STEPS);
  }

  /**
   * What gates cost that leave parts out of some steps of the held-out text: fitted to the text of the choice.
   *
   * @return by name of the gate, for each of the shares
   */
  Map<String, List<TrialLog.Outcome>> gates(List<Integer> parts, int rank, List<Double> shares) {
    String key = "GATES " + parts + " rank " + rank + " ";
    Map<String, List<TrialLog.Outcome>> known = new LinkedHashMap<>();
    for (String gate : StepGate.NAMES) {
      List<TrialLog.Outcome> outcomes = shares.stream().map(share -> log.find(key + gate + " " + share))
          .flatMap(Optional::stream).toList();
      if (outcomes.size() == shares.size()) {
        known.put(gate, outcomes);
      }
    }
    if (known.size() == StepGate.NAMES.size()) {
      return known;
    }
    setStandIns(rank);
    List<StepGate> gates = StepGate.fit(steps.measure(tokens.get(Text.CHOICE), parts));
    List<Step> heldOut = steps.measure(tokens.get(Text.HELD_OUT), parts);
    for (StepGate gate : gates) {
      shares.forEach(share -> log.add(key + gate.name() + " " + share, gate.cost(heldOut, share)));
    }
    return gates(parts, rank, shares);
  }

  private TrialLog.Outcome measure(String what, List<Integer> parts, int rank, LayerGates gates, Text text) {
    String key = text + " " + what + " rank " + rank;
    return log.find(key).orElseGet(() -> {
      setStandIns(rank);
      session.setLayerGates(gates);
      SessionStats before = session.stats();
      PerplexityResult result = session.perplexity(tokens.get(text),
          options(text).againstPath(predictions.get(text)).build());
      SessionStats after = session.stats();
      long steps = after.gateSteps() - before.gateSteps();
      double share = steps == 0 || parts.isEmpty() ? 1
          : (after.gateSkippedParts() - before.gateSkippedParts()) / (double) (steps * parts.size());
      TrialLog.Outcome outcome = new TrialLog.Outcome(Math.max(0, result.klMean()), result.perplexity(), share);
      log.add(key, outcome);
      return outcome;
    });
  }

  private void setStandIns(int rank) {
    if (rank == rankSet) {
      return;
    }
    for (int part : standIns.parts()) {
      StandIn standIn = standIns.of(part);
      session.setBypass(part, rank, standIn.downOf(rank), standIn.upOf(rank), standIn.biasOf(rank));
    }
    rankSet = rank;
  }
}
