package io.github.llmmobile.edge.policy;

import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.edge.wire.Rows;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What the layers of a model take on one machine. Layers are taken to be alike; the first brings the lookup of the token,
 * the last one the head. Times are milliseconds. Immutable.
 */
public final class LayerCosts {
  private static final int CONTEXT = 64;
  private static final int BATCH = 32;
  private static final int CANDIDATES = 40;
  private static final int STEPS = 5;
  /** Large models are tried more briefly: each part at least once. */
  private static final long BUDGET_NANOS = 150_000_000L;
  private static final double NANOS_PER_MILLI = 1e6;

  private final int layers;
  private final double firstMs;
  private final double lastMs;
  private final double layerMs;
  private final double rowMs;
  private final double bytesPerPosition;

  private LayerCosts(int layers, double firstMs, double lastMs, double layerMs, double rowMs, double bytesPerPosition) {
    this.layers = layers;
    this.firstMs = firstMs;
    this.lastMs = lastMs;
    this.layerMs = layerMs;
    this.rowMs = rowMs;
    this.bytesPerPosition = bytesPerPosition;
  }

  /**
   * Known costs.
   *
   * @param layers of the whole model, at least 2
   * @param firstMs one row through the first layer
   * @param lastMs one row through the last layer and the head
   * @param layerMs one row through each layer between them
   * @param rowMs each of many rows through one layer
   * @return the costs (never null)
   */
  public static LayerCosts of(int layers, double firstMs, double lastMs, double layerMs, double rowMs) {
    return new LayerCosts(layers, firstMs, lastMs, layerMs, rowMs, 0);
  }

  /**
   * Measures a whole model on this machine, in a few steps: for a small model a tenth of a second.
   *
   * @param model the model, with all its layers, at least 2 (required)
   * @param options threads; the rest does not matter (required)
   * @return the costs (never null)
   */
  public static LayerCosts measure(LlmModel model, SessionOptions options) {
    int layers = model.info().layers();
    Trial first = Trial.of(model, options, 0, 1);
    Trial last = Trial.of(model, options, layers - 1, layers);
    if (layers == 2) {
      return new LayerCosts(layers, first.stepMs, last.stepMs, first.stepMs, first.rowMs, first.bytesPerPosition);
    }
    Trial lower = Trial.of(model, options, 0, layers - 1);
    return new LayerCosts(layers, first.stepMs, last.stepMs, Math.max(0, lower.stepMs - first.stepMs) / (layers - 2),
        lower.rowMs, lower.bytesPerPosition);
  }

  /**
   * Measures the layers that a worker has.
   *
   * @param model the model, with its layers from there on (required)
   * @param options threads; the rest does not matter (required)
   * @param begin the first of the layers
   * @return the costs; what the first layer of the model takes is not known, and taken to be that of any other (never null)
   */
  public static LayerCosts measureFrom(LlmModel model, SessionOptions options, int begin) {
    int layers = model.info().layers();
    Trial last = Trial.of(model, options, layers - 1, layers);
    Trial all = begin == layers - 1 ? last : Trial.of(model, options, begin, layers);
    double layerMs = begin == layers - 1 ? last.stepMs : Math.max(0, all.stepMs - last.stepMs) / (layers - 1 - begin);
    return new LayerCosts(layers, layerMs, last.stepMs, layerMs, all.rowMs, all.bytesPerPosition);
  }

  /**
   * Layers of the whole model.
   *
   * @return their number
   */
  public int layers() {
    return layers;
  }

  /**
   * One row through the last layer and the head.
   *
   * @return milliseconds
   */
  public double lastMs() {
    return lastMs;
  }

  /**
   * One row through a layer.
   *
   * @return milliseconds
   */
  public double layerMs() {
    return layerMs;
  }

  /**
   * Each of many rows through one layer.
   *
   * @return milliseconds
   */
  public double rowMs() {
    return rowMs;
  }

  /**
   * What a token takes in the cache of one layer.
   *
   * @return bytes; 0 if that was not measured
   */
  public double bytesPerPosition() {
    return bytesPerPosition;
  }

  /**
   * One row through the first layers.
   *
   * @param k how many, from 1; all of them with the head
   * @return milliseconds
   */
  public double lowerMs(int k) {
    return k == layers ? lowerMs(layers - 1) + lastMs : firstMs + (k - 1) * layerMs;
  }

  /**
   * One row through the last layers and the head.
   *
   * @param k the first of them, below the number of layers
   * @return milliseconds
   */
  public double upperMs(int k) {
    return lastMs + (layers - 1 - k) * layerMs;
  }

  @Override
  public String toString() {
    return String.format(Locale.ROOT, "LayerCosts[%d layers: first %.3f ms, last %.3f ms, others %.3f ms, row %.4f ms]", layers,
        firstMs, lastMs, layerMs, rowMs);
  }

  /** Some layers, tried. */
  private static final class Trial {
    private final double stepMs;
    private final double rowMs;
    private final double bytesPerPosition;

    private Trial(double stepMs, double rowMs, double bytesPerPosition) {
      this.stepMs = stepMs;
      this.rowMs = rowMs;
      this.bytesPerPosition = bytesPerPosition;
    }

    static Trial of(LlmModel model, SessionOptions options, int begin, int end) {
      int width = model.info().embedding();
      int candidates = Math.min(CANDIDATES, model.info().vocabulary());
      FloatBuffer in = begin == 0 ? null : Rows.allocate(BATCH, width);
      FloatBuffer out = end == model.info().layers() ? null : Rows.allocate(BATCH, width);
      try (LlmSession session = model.newSession(options.toBuilder().contextTokens(CONTEXT).batchTokens(BATCH)
          .layers(LayerRange.of(begin, end)).build())) {
        // The first pass fetches the weights, and says nothing.
        step(session, in, out, width, 1, candidates);
        double rowMs = step(session, in, out, width, BATCH, candidates) / BATCH / (end - begin);
        double[] steps = new double[STEPS];
        int count = 0;
        long began = System.nanoTime();
        do {
          steps[count++] = step(session, in, out, width, 1, candidates);
        } while (count < STEPS && System.nanoTime() - began < BUDGET_NANOS);
        Arrays.sort(steps, 0, count);
        return new Trial(steps[count / 2], rowMs,
            (double) session.stats().kvBytes() / session.contextTokens() / (end - begin));
      }
    }

    private static double step(LlmSession session, @Nullable FloatBuffer in, @Nullable FloatBuffer out, int width,
        int rows, int candidates) {
      long began = System.nanoTime();
      session.evalHidden(new int[rows], in == null ? null : Rows.some(in, 0, rows, width),
          out == null ? null : Rows.some(out, 0, rows, width));
      if (out == null) {
        session.topLogprobs(candidates);
      }
      return (System.nanoTime() - began) / NANOS_PER_MILLI;
    }
  }
}
