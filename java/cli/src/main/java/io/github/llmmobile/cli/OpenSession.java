package io.github.llmmobile.cli;

import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.LoraAdapter;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.config.InferenceConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** A loaded model with its adapters and one session, as most commands need it. Closing frees all of it. */
final class OpenSession implements AutoCloseable {
  private final Path path;
  private final LlmModel model;
  private final LlmSession session;

  private OpenSession(Path path, LlmModel model, LlmSession session) {
    this.path = path;
    this.model = model;
    this.session = session;
  }

  /**
   * Loads what the arguments name, with a progress bar on a terminal.
   *
   * @param defaultContext tokens if {@code --context} is not given; 0 leaves the choice to the library
   * @param cancellation stops the loading, and later whatever runs on the session
   */
  static OpenSession open(CliEnvironment env, ModelArguments arguments, InferenceConfig config, int defaultContext,
      Cancellation cancellation) {
    Path path = arguments.path(env);
    LlmModel model = loadModel(env, arguments, path, cancellation);
    try {
      LlmSession session = newSession(model, arguments, arguments.sessionOptions(defaultContext), config);
      cancellation.watch(session);
      return new OpenSession(path, model, session);
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  /** A session with the adapters that the arguments name. */
  static LlmSession newSession(LlmModel model, ModelArguments arguments, SessionOptions options,
      InferenceConfig config) {
    LlmSession session = model.newSession(options, config);
    Map<LoraAdapter, Float> adapters = new LinkedHashMap<>();
    try {
      for (LoraArgument lora : arguments.lora) {
        adapters.put(model.openAdapter(lora.path(), arguments.adapterOptions()), lora.scale());
      }
      if (!adapters.isEmpty()) {
        session.setAdapters(adapters);
      }
      return session;
    } catch (RuntimeException e) {
      session.close();
      throw e;
    } finally {
      // The session keeps those it uses.
      adapters.keySet().forEach(LoraAdapter::close);
    }
  }

  /** Loads a model with a progress bar; Ctrl-C stops it. */
  static LlmModel loadModel(CliEnvironment env, ModelArguments arguments, Path path, Cancellation cancellation) {
    try (ProgressBar bar = new ProgressBar(env, "loading " + path.getFileName())) {
      return LlmModel.load(arguments.modelOptions(path, fraction -> {
        bar.update(fraction);
        return !cancellation.requested();
      }));
    }
  }

  /** The model's file. */
  Path path() {
    return path;
  }

  LlmModel model() {
    return model;
  }

  LlmSession session() {
    return session;
  }

  @Override
  public void close() {
    session.close();
    model.close();
  }
}
