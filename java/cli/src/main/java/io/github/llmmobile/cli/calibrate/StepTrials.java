package io.github.llmmobile.cli.calibrate;

import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LayerGates;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelInfo;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;

/**
 * Decodes a text token by token, each twice: without parts, and, after taking that back, with them. So the cost of a step is
 * its own; whatever came before it was evaluated in full.
 */
final class StepTrials {
  /** So many tokens of a window are its prompt. */
  private static final int PROMPT = 64;

  private final LlmSession session;
  private final Residuals model;
  private final ModelInfo info;
  private final int windowTokens;
  private final BooleanSupplier stopped;

  /**
   * Nothing is measured yet.
   *
   * @param session of the model, with its stand-ins; its gates are changed
   * @param model shows its residual stream
   * @param info of the model
   * @param windowTokens the session's context
   * @param stopped asked again and again: true ends a measurement with a cancellation
   */
  StepTrials(LlmSession session, Residuals model, ModelInfo info, int windowTokens, BooleanSupplier stopped) {
    this.session = session;
    this.model = model;
    this.info = info;
    this.windowTokens = windowTokens;
    this.stopped = stopped;
  }

  private void checkStopped() {
    if (stopped.getAsBoolean()) {
      throw new LlmException(ErrorCode.CANCELLED, "the calibration was stopped");
    }
  }

  /** The steps of a text, without these parts and with them. */
  List<Step> measure(int[] tokens, List<Integer> parts) {
    int[] order = parts.stream().mapToInt(Integer::intValue).toArray();
    LayerGates skip = LayerGates.always(order);
    // Entropy is never below 0: gates that leave nothing out, and the graph stays the one with gates.
    LayerGates keep = LayerGates.byEntropy(order, new float[] {0}, new int[] {order.length, 0}, 0);
    int width = info.embedding();
    int[] whole = windows(tokens);
    TreeMap<Integer, float[]> words = new TreeMap<>();
    TreeMap<Integer, float[]> states = new TreeMap<>();
    SplitRows.read(model, List.of(0, info.layers()), width, whole, windowTokens,
        (split, from, count, rows) -> (split == 0 ? words : states).put(from, rows), fraction -> checkStopped());
    List<Step> steps = new ArrayList<>();
    for (int from = 0; from < whole.length; from += windowTokens) {
      int[] window = Arrays.copyOfRange(whole, from, from + windowTokens);
      session.rewind(0);
      session.setLayerGates(keep);
      session.eval(Arrays.copyOf(window, PROMPT));
      Prediction before = new Prediction(session.logits());
      for (int at = PROMPT; at + 1 < windowTokens; at++) {
        checkStopped();
        session.setLayerGates(skip);
        session.eval(window[at]);
        Prediction without = new Prediction(session.logits());
        session.rewind(at);
        session.setLayerGates(keep);
        session.eval(window[at]);
        Prediction with = new Prediction(session.logits());
        steps.add(new Step(Step.Sureness.of(before), before.surprise(window[at]), row(states.get(from), at - 1, width),
            row(states.get(from), at - 2, width), row(words.get(from), at, width), with.divergence(without),
            with.surprise(window[at + 1]), without.surprise(window[at + 1])));
        before = with;
      }
    }
    session.setLayerGates(null);
    return steps;
  }

  /** Whole windows, each of which begins as every text does. */
  private int[] windows(int[] tokens) {
    int[] whole = Arrays.copyOf(tokens, tokens.length - tokens.length % windowTokens);
    if (info.addBos() && info.bos().isPresent()) {
      for (int from = 0; from < whole.length; from += windowTokens) {
        whole[from] = info.bos().getAsInt();
      }
    }
    return whole;
  }

  private static float[] row(float[] rows, int index, int width) {
    float[] row = Arrays.copyOfRange(rows, index * width, (index + 1) * width);
    double squares = Double.MIN_NORMAL;
    for (float value : row) {
      squares += (double) value * value;
    }
    double scale = 1 / Math.sqrt(squares / width);
    for (int i = 0; i < width; i++) {
      row[i] *= (float) scale;
    }
    return row;
  }
}
