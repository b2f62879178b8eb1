package io.github.llmmobile.cli;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.ProgressListener;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.edge.SplitEvent;
import io.github.llmmobile.edge.SplitListener;
import io.github.llmmobile.edge.SplitOptions;
import io.github.llmmobile.edge.SplitResult;
import io.github.llmmobile.edge.SplitSession;
import io.github.llmmobile.edge.WorkerAddress;
import io.github.llmmobile.edge.WorkerInfo;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/** A model and a session that is split with a worker. Closing frees both. */
final class SplitRun implements AutoCloseable {
  private final Path path;
  private final LlmModel model;
  private final SplitSession session;
  private final SplitOptions options;
  private final Map<String, Integer> localReasons = new TreeMap<>();

  private SplitRun(Path path, LlmModel model, SplitSession session, SplitOptions options) {
    this.path = path;
    this.model = model;
    this.session = session;
    this.options = options;
  }

  /** Loads what this device needs of the model, and connects. */
  static SplitRun open(CliEnvironment env, WorkerArguments worker, ModelArguments models, Cancellation cancellation) {
    Path path = models.path(env);
    WorkerAddress address = worker.address();
    SplitOptions options = worker.options(models);
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
      SplitSession session = SplitSession.open(model, address, options);
      cancellation.watch(session::cancel);
      session.trouble().ifPresent(why -> Reports.warn(env, why + "; going on without it"));
      return new SplitRun(path, model, session, options);
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

  SplitResult generate(int[] prompt, GenerationOptions generation, AnswerPrinter printer) {
    return session.generate(prompt, generation, new SplitListener() {
      @Override
      public void onToken(int token, String text) {
        printer.print(text);
      }

      @Override
      public void onStep(SplitEvent event) {
        if (event.where() == SplitEvent.Where.LOCAL) {
          localReasons.merge(event.reason(), 1, Integer::sum);
        }
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

  /** Why steps were made here, and how many for each reason. */
  Map<String, Integer> localReasons() {
    return localReasons;
  }

  @Override
  public void close() {
    session.close();
    model.close();
  }
}
