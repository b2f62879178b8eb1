package io.github.llmmobile;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.spi.EdgeCloud;
import io.github.llmmobile.spi.EdgeCloudAnswer;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/** The one-call form with a worker: the answer comes from device and worker together, or from the device if that is better. */
final class EdgeCloudInference {
  static final String MISSING = "the module llmm-edge is not there, which talks to workers";
  private static final String NOT_SPLIT = "does not act in an answer that a worker helps with";
  private static final String HERE_ALONE = "; in the device's layers alone";

  private final LlmModel model;
  private final InferenceConfig config;
  private final @Nullable EdgeCloud helper;

  /** Answers by a configuration that names a worker. */
  EdgeCloudInference(LlmModel model, InferenceConfig config, @Nullable EdgeCloud helper) {
    this.model = model;
    this.config = config;
    this.helper = helper;
  }

  /** What the class path has. */
  static @Nullable EdgeCloud installed() {
    Iterator<EdgeCloud> found =
        ServiceLoader.load(EdgeCloud.class, EdgeCloudInference.class.getClassLoader()).iterator();
    return found.hasNext() ? found.next() : null;
  }

  InferenceResult answer(String inputText) {
    InferenceConfig rest = config.withoutEdgeCloud();
    if (helper == null) {
      return alone(inputText, rest, TechniqueReport.Status.NOT_AVAILABLE, MISSING);
    }
    List<TechniqueReport> techniques = Techniques.plan(rest);
    if (config.strict()) {
      notSplit(techniques, Techniques.LAYERS);
      notSplit(techniques, Techniques.PRUNING);
    }
    GenerationOptions.Builder generation = GenerationOptions.builder();
    config.maxNewTokens().ifPresent(generation::maxTokens);
    int[] prompt = HybridInference.prompt(model, inputText).tokens(model);
    EdgeCloudAnswer answer;
    try {
      answer = helper.answer(model, prompt, generation.build(), config);
    } catch (LlmException e) {
      if (e.code() != ErrorCode.REMOTE_UNAVAILABLE && e.code() != ErrorCode.REMOTE_REFUSED) {
        throw e;
      }
      return alone(inputText, rest, TechniqueReport.Status.NOT_AVAILABLE, String.valueOf(e.getMessage()));
    }
    EdgeCloudAnswer.Made made = answer.made().orElse(null);
    if (made == null) {
      return alone(inputText, rest, TechniqueReport.Status.ACTIVE, answer.detail());
    }
    int[] tokens = made.tokens();
    return new InferenceResult(new GenerationResult(made.text(), tokens, prompt.length, 0, made.stopReason(), null,
        made.stats().ofGeneration(prompt.length, tokens.length, made.promptMicros(), made.decodeMicros()),
        Techniques.active(split(techniques, made.techniques()), Techniques.EDGE, answer.detail())));
  }

  /** The device makes the answer, with the techniques that act there. */
  private InferenceResult alone(String inputText, InferenceConfig rest, TechniqueReport.Status status, String detail) {
    List<TechniqueReport> edgeReport = Collections.singletonList(new TechniqueReport(Techniques.EDGE, status, detail));
    if (status == TechniqueReport.Status.NOT_AVAILABLE) {
      Techniques.notAvailable(config, edgeReport, Techniques.EDGE, detail);
    }
    try (LlmSession session = model.newSession(rest)) {
      return new InferenceResult(session.generate(HybridInference.prompt(model, inputText)), edgeReport.get(0));
    }
  }

  /** What became of the techniques: two of them are the matter of the device's layers, which tell. */
  private List<TechniqueReport> split(List<TechniqueReport> planned, List<TechniqueReport> device) {
    List<TechniqueReport> techniques = notSplit(planned, Techniques.LAYERS);
    for (TechniqueReport report : device) {
      if (report.technique().equals(Techniques.MEMORY) || report.technique().equals(Techniques.PRUNING)) {
        String detail = report.detail() + (report.status() == TechniqueReport.Status.ACTIVE ? HERE_ALONE : "");
        techniques = Techniques.replace(techniques, new TechniqueReport(report.technique(), report.status(), detail));
      }
    }
    return techniques;
  }

  private List<TechniqueReport> notSplit(List<TechniqueReport> planned, String technique) {
    boolean asked = planned.stream().anyMatch(
        report -> report.technique().equals(technique) && report.status() == TechniqueReport.Status.ACTIVE);
    return asked ? Techniques.notAvailable(config, planned, technique, NOT_SPLIT) : planned;
  }
}
