package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.LoraAdapter;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.PerplexityOptions;
import io.github.llmmobile.PerplexityResult;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.cli.bench.BenchPlan;
import io.github.llmmobile.cli.bench.BenchResult;
import io.github.llmmobile.cli.bench.BenchRunner;
import io.github.llmmobile.cli.bench.BenchTokens;
import io.github.llmmobile.cli.bench.SessionSubject;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** How well and how fast a model predicts, beside the model that it was made of. */
final class ModelMeter {
  private static final BenchPlan SPEED = new BenchPlan(List.of(0), 0, 64, 5);
  private static final long SEED = 42;

  private final int[] tokens;
  private final int window;
  private final int threads;
  private final Cancellation cancellation;
  private final boolean speed;

  /**
   * A meter.
   *
   * @param tokens the text that is predicted
   * @param window tokens per window
   * @param threads 0 for one per core
   * @param speed whether decoding is timed as well
   */
  ModelMeter(int[] tokens, int window, int threads, boolean speed, Cancellation cancellation) {
    this.tokens = tokens;
    this.window = window;
    this.threads = threads;
    this.speed = speed;
    this.cancellation = cancellation;
  }

  /**
   * What was measured of one model.
   *
   * @param bytes of its files
   * @param quality perplexity, and divergence from the original
   * @param tokensPerSecond of decoding; NaN if it was not timed
   */
  record Reading(long bytes, PerplexityResult quality, double tokensPerSecond) {
    JsonObject json() {
      JsonObject json = new JsonObject();
      json.addProperty("size_bytes", bytes);
      json.add("perplexity", Json.number(quality.perplexity()));
      json.add("stderr", Json.number(quality.standardError()));
      json.add("kl_mean", Json.number(quality.klMean()));
      json.add("kl_p99", Json.number(quality.klP99()));
      json.add("top1_agreement", Json.number(quality.top1Agreement()));
      json.add("decode_tokens_per_second", Json.number(tokensPerSecond));
      return json;
    }
  }

  /** Hears how far a measurement has come. */
  interface Progress {
    void onFraction(double fraction);
  }

  /**
   * Measures a model.
   *
   * @param bytes of its files
   * @param adapter in force, or null
   * @param save where the original's predictions go, or null
   * @param against the original's predictions, or null
   */
  Reading read(Path file, long bytes, @Nullable Path adapter, @Nullable Path save, @Nullable Path against,
      Progress progress) {
    try (LlmModel model = LlmModel.load(ModelOptions.of(file));
        LlmSession session = open(model, adapter, window)) {
      PerplexityOptions.Builder options = PerplexityOptions.builder().contextTokens(window).progress(fraction -> {
        progress.onFraction(fraction);
        return !cancellation.requested();
      });
      if (save != null) {
        options.savePath(save);
      }
      if (against != null) {
        options.againstPath(against);
      }
      PerplexityResult quality = session.perplexity(tokens, options.build());
      return new Reading(bytes, quality, speed ? speed(model, adapter) : Double.NaN);
    }
  }

  private LlmSession open(LlmModel model, @Nullable Path adapter, int context) {
    LlmSession session = model.newSession(SessionOptions.builder().contextTokens(context).threads(threads).build());
    try {
      if (adapter != null) {
        // The session keeps what it uses.
        try (LoraAdapter opened = model.openAdapter(adapter)) {
          session.setAdapters(Map.of(opened, 1f));
        }
      }
      cancellation.watch(session);
      return session;
    } catch (RuntimeException e) {
      session.close();
      throw e;
    }
  }

  private double speed(LlmModel model, @Nullable Path adapter) {
    List<BenchResult> results = new BenchRunner(SPEED, BenchTokens.random(SEED, model.info().vocabulary()),
        List.of(needed -> new SessionSubject(open(model, adapter, needed), Reports::cacheUse)), System::nanoTime,
        (what, fraction) -> cancellation.stopIfRequested()).run();
    return results.get(0).median();
  }
}
