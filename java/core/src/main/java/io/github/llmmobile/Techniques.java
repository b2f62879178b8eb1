package io.github.llmmobile;

import io.github.llmmobile.config.InferenceConfig;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Decides what becomes of the techniques that a configuration asks for. */
final class Techniques {
  private static final Logger LOG = LoggerFactory.getLogger(Techniques.class);
  private static final String MISSING = "this version of LLM Mobile does not have this technique";
  private static final String MEMORY = "memory_manager";
  private static final String NOT_ASKED = "the configuration does not ask for it";

  private Techniques() {}

  /**
   * One report per technique. What cannot act is logged, and refused if the configuration is strict.
   *
   * @throws LlmException NOT_AVAILABLE if the configuration is strict and asks for something that cannot act
   */
  static List<TechniqueReport> plan(InferenceConfig config) {
    List<TechniqueReport> reports = new ArrayList<>();
    reports.add(report("edge_cloud", config.edgeCloud().isPresent()));
    reports.add(report("token_pruning", config.tokenPruning().isPresent()));
    reports.add(report("layer_compression", config.layerCompression().isPresent()));
    for (TechniqueReport report : reports) {
      if (report.status() == TechniqueReport.Status.NOT_AVAILABLE) {
        refuse(config, report);
      }
    }
    reports.add(config.memoryManager()
        .map(memory -> new TechniqueReport(MEMORY, TechniqueReport.Status.ACTIVE, "not tried yet"))
        .orElseGet(() -> report(MEMORY, false)));
    return Collections.unmodifiableList(reports);
  }

  /** The same reports with the memory manager at work. */
  static List<TechniqueReport> withMemoryManager(List<TechniqueReport> planned, String detail) {
    return replace(planned, new TechniqueReport(MEMORY, TechniqueReport.Status.ACTIVE, detail));
  }

  /**
   * The same reports with the memory manager at work, yet not as it was asked for, which is logged.
   *
   * @throws LlmException NOT_AVAILABLE if the configuration is strict
   */
  static List<TechniqueReport> withLimitedMemoryManager(
      InferenceConfig config, List<TechniqueReport> planned, String detail) {
    TechniqueReport limited = new TechniqueReport(MEMORY, TechniqueReport.Status.ACTIVE, detail);
    if (config.strict()) {
      throw strict(limited, "ask for less, set probe_enabled to false");
    }
    LOG.warn("{}", message(limited));
    return replace(planned, limited);
  }

  /**
   * The same reports with the memory manager refused by the model, which is logged.
   *
   * @throws LlmException NOT_AVAILABLE if the configuration is strict
   */
  static List<TechniqueReport> withoutMemoryManager(
      InferenceConfig config, List<TechniqueReport> planned, String reason) {
    TechniqueReport refused = new TechniqueReport(MEMORY, TechniqueReport.Status.NOT_AVAILABLE, reason);
    refuse(config, refused);
    return replace(planned, refused);
  }

  private static List<TechniqueReport> replace(List<TechniqueReport> planned, TechniqueReport memory) {
    List<TechniqueReport> reports = new ArrayList<>(planned);
    reports.replaceAll(report -> report.technique().equals(MEMORY) ? memory : report);
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

  private static TechniqueReport report(String technique, boolean asked) {
    return asked
        ? new TechniqueReport(technique, TechniqueReport.Status.NOT_AVAILABLE, MISSING)
        : new TechniqueReport(technique, TechniqueReport.Status.OFF, NOT_ASKED);
  }
}
