package io.github.llmmobile.cli;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.ProgressListener;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.edge.SplitEvent;
import io.github.llmmobile.edge.SplitListener;
import io.github.llmmobile.edge.SplitOptions;
import io.github.llmmobile.edge.SplitResult;
import io.github.llmmobile.edge.SplitSession;
import io.github.llmmobile.edge.SplitTrace;
import io.github.llmmobile.edge.WorkerAddress;
import io.github.llmmobile.edge.WorkerInfo;
import io.github.llmmobile.edge.policy.LinkEstimator;
import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.RoutingEvent;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/** A model and a session that is split with a worker. Closing frees both. */
final class SplitRun implements AutoCloseable {
  private final Path path;
  private final LlmModel model;
  private final SplitSession session;
  private final SplitOptions options;
  private final int[] prompt;
  private final SplitTrace trace = new SplitTrace();

  private SplitRun(Path path, LlmModel model, SplitSession session, SplitOptions options, int[] prompt) {
    this.path = path;
    this.model = model;
    this.session = session;
    this.options = options;
    this.prompt = prompt;
  }

  /** Loads what this device needs of the model, and connects. */
  static SplitRun open(CliEnvironment env, WorkerArguments worker, ModelArguments models, InferenceConfig config,
      Function<LlmModel, int[]> prompt, int maxTokens, Cancellation cancellation) {
    Path path = models.path(env);
    WorkerAddress address = worker.address();
    SplitOptions options = worker.options(models, config);
    LayerRange layers = LayerRange.ALL;
    if (!options.localFallback()) {
      if (options.split() == 0) {
        int split = WorkerInfo.ask(address, options.connectTimeout()).layerBegin();
        options = options.toBuilder().split(split).build();
      }
      layers = LayerRange.of(0, options.split());
    }
    LlmModel model = load(env, models, path, layers, cancellation);
    try {
      int[] tokens = prompt.apply(model);
      options = options.toBuilder().turn(tokens.length, maxTokens < 0 ? options.answerTokens() : maxTokens).build();
      SplitSession session = SplitSession.open(model, address, options);
      cancellation.watch(session::cancel);
      session.trouble().ifPresent(why -> Reports.warn(env, why + "; going on without it"));
      return new SplitRun(path, model, session, options, tokens);
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  private static LlmModel load(
      CliEnvironment env, ModelArguments models, Path path, LayerRange layers, Cancellation cancellation) {
    try (ProgressBar bar = new ProgressBar(env, "loading " + path.getFileName())) {
      ProgressListener progress = fraction -> {
        bar.update(fraction);
        return !cancellation.requested();
      };
      ModelOptions all = models.modelOptions(path, progress);
      return LlmModel.load(all.toBuilder().layers(layers).build());
    }
  }

  SplitResult generate(GenerationOptions generation, AnswerPrinter printer) {
    return session.generate(prompt, generation, new SplitListener() {
      @Override
      public void onToken(int token, String text) {
        printer.print(text);
      }

      @Override
      public void onStep(SplitEvent event) {
        trace.onStep(event);
      }
    });
  }

  Path path() {
    return path;
  }

  LlmModel model() {
    return model;
  }

  SplitSession session() {
    return session;
  }

  SplitOptions options() {
    return options;
  }

  /** Where steps were made, and why. */
  List<RoutingEvent> decisions() {
    return trace.events();
  }

  /** Why steps were made here, and how many for each reason. */
  Map<String, Integer> localReasons() {
    Map<String, Integer> reasons = new TreeMap<>();
    for (RoutingEvent event : decisions()) {
      if (event.place() == Place.LOCAL) {
        reasons.merge(event.detail().isEmpty() ? event.reason().jsonName() : event.detail(), event.tokens(),
            Integer::sum);
      }
    }
    return reasons;
  }

  /** What is known of the way to the worker. */
  LinkEstimator link() {
    return options.policy().orElseThrow().link();
  }

  @Override
  public void close() {
    session.close();
    model.close();
  }
}
