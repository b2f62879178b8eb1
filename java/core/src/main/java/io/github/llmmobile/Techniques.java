package io.github.llmmobile;

import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.LayerCompressionConfig;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Decides what becomes of the techniques that a configuration asks for. */
final class Techniques {
  private static final Logger LOG = LoggerFactory.getLogger(Techniques.class);
  private static final String NO_WORKER = "it names no worker";
  private static final String ONE_CALL = "a worker acts in HybridInference and in SplitSession of llmm-edge, not in sessions of"
      + " this kind";
  static final String EDGE = "edge_cloud";
  static final String MEMORY = "memory_manager";
  static final String PRUNING = "token_pruning";
  static final String LAYERS = "layer_compression";
  private static final String NO_LAYERS = "it names neither a profile of the model (llm-mobile calibrate) nor factors (llm-mobile"
      + " compress), and is not lossless";
  private static final String NOT_TRIED = "not tried yet";

  private Techniques() {}

  /**
   * One report per technique. What cannot act is logged, and refused if the configuration is strict.
   *
   * @throws LlmException NOT_AVAILABLE if the configuration is strict and asks for something that cannot act
   */
  static List<TechniqueReport> plan(InferenceConfig config) {
    List<TechniqueReport> reports = new ArrayList<>();
    reports.add(edge(config));
    reports.add(planned(PRUNING, config.tokenPruning().isPresent()));
    reports.add(layers(config));
    for (TechniqueReport report : reports) {
      if (report.status() == TechniqueReport.Status.NOT_AVAILABLE) {
        refuse(config, report);
      }
    }
    reports.add(planned(MEMORY, config.memoryManager().isPresent()));
    return Collections.unmodifiableList(reports);
  }

  /** The same reports with what a second part of a technique does: the technique is at work if either part is. */
  static List<TechniqueReport> also(
      List<TechniqueReport> planned, String technique, TechniqueReport.Status status, String detail) {
    for (TechniqueReport first : planned) {
      if (first.technique().equals(technique) && !first.detail().equals(NOT_TRIED)) {
        boolean secondCounts = first.status() == TechniqueReport.Status.OFF || status == TechniqueReport.Status.ACTIVE;
        return replace(planned, new TechniqueReport(technique, secondCounts ? status : first.status(),
            first.detail() + "; " + detail));
      }
    }
    return replace(planned, new TechniqueReport(technique, status, detail));
  }

  /**
   * The same for a second part that cannot act, which is logged.
   *
   * @throws LlmException NOT_AVAILABLE if the configuration is strict
   */
  static List<TechniqueReport> alsoNotAvailable(
      InferenceConfig config, List<TechniqueReport> planned, String technique, String reason) {
    refuse(config, new TechniqueReport(technique, TechniqueReport.Status.NOT_AVAILABLE, reason));
    return also(planned, technique, TechniqueReport.Status.NOT_AVAILABLE, reason);
  }

  /** The same reports with a technique at work. */
  static List<TechniqueReport> active(List<TechniqueReport> planned, String technique, String detail) {
    return replace(planned, new TechniqueReport(technique, TechniqueReport.Status.ACTIVE, detail));
  }

  /**
   * The same reports with a technique at work, yet not as it was asked for, which is logged.
   *
   * @param remedy what helps if the configuration is strict
   * @throws LlmException NOT_AVAILABLE if the configuration is strict
   */
  static List<TechniqueReport> limited(InferenceConfig config, List<TechniqueReport> planned, String technique,
      String detail, String remedy) {
    TechniqueReport limited = new TechniqueReport(technique, TechniqueReport.Status.ACTIVE, detail);
    if (config.strict()) {
      throw strict(limited, remedy);
    }
    LOG.warn("{}", message(limited));
    return replace(planned, limited);
  }

  /**
   * The same reports with a technique that cannot act, which is logged.
   *
   * @throws LlmException NOT_AVAILABLE if the configuration is strict
   */
  static List<TechniqueReport> notAvailable(
      InferenceConfig config, List<TechniqueReport> planned, String technique, String reason) {
    TechniqueReport refused = new TechniqueReport(technique, TechniqueReport.Status.NOT_AVAILABLE, reason);
    refuse(config, refused);
    return replace(planned, refused);
  }

  /** The same reports with a technique that has nothing to do. */
  static List<TechniqueReport> off(List<TechniqueReport> planned, String technique, String reason) {
    return replace(planned, new TechniqueReport(technique, TechniqueReport.Status.OFF, reason));
  }

  static List<TechniqueReport> replace(List<TechniqueReport> planned, TechniqueReport report) {
    List<TechniqueReport> reports = new ArrayList<>(planned);
    reports.replaceAll(former -> former.technique().equals(report.technique()) ? report : former);
    return Collections.unmodifiableList(reports);
  }

  private static void refuse(InferenceConfig config, TechniqueReport report) {
    if (config.strict()) {
      throw strict(report, "leave it out");
    }
    LOG.warn("{}; it is ignored", message(report));
  }

  private static LlmException strict(TechniqueReport report, String remedy) {
    return new LlmException(
        ErrorCode.NOT_AVAILABLE, message(report) + "; " + remedy + ", or set strict to false");
  }

  private static String message(TechniqueReport report) {
    return report.technique() + "_config: " + report.detail();
  }

  private static TechniqueReport edge(InferenceConfig config) {
    boolean worker = config.edgeCloud().map(asked -> asked.worker().isPresent()).orElse(false);
    return report(EDGE, config.edgeCloud().isPresent(), worker ? ONE_CALL : NO_WORKER);
  }

  private static TechniqueReport layers(InferenceConfig config) {
    LayerCompressionConfig asked = config.layerCompression().orElse(null);
    boolean acts = asked != null && (asked.profile().isPresent() || asked.factors().isPresent() || asked.lossless());
    return asked != null && !acts ? new TechniqueReport(LAYERS, TechniqueReport.Status.NOT_AVAILABLE, NO_LAYERS)
        : planned(LAYERS, acts);
  }

  /** Of a technique that acts unless the model refuses. */
  private static TechniqueReport planned(String technique, boolean asked) {
    return asked
        ? new TechniqueReport(technique, TechniqueReport.Status.ACTIVE, NOT_TRIED)
        : report(technique, false, "");
  }

  private static TechniqueReport report(String technique, boolean asked, String missing) {
    return asked
        ? new TechniqueReport(technique, TechniqueReport.Status.NOT_AVAILABLE, missing)
        : new TechniqueReport(technique, TechniqueReport.Status.OFF, TechniqueReport.NOT_ASKED);
  }
}
