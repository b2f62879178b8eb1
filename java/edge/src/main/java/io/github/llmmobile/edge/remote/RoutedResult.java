package io.github.llmmobile.edge.remote;

import io.github.llmmobile.SessionStats;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.TechniqueReport;
import java.util.List;

/** What a routed generation gave. */
public final class RoutedResult {
  private final String text;
  private final StopReason stopReason;
  private final int promptTokens;
  private final RoutingStats routing;
  private final SessionStats stats;
  private final List<TechniqueReport> techniques;

  RoutedResult(String text, StopReason stopReason, int promptTokens, RoutingStats routing, SessionStats stats,
      List<TechniqueReport> techniques) {
    this.text = text;
    this.stopReason = stopReason;
    this.promptTokens = promptTokens;
    this.routing = routing;
    this.stats = stats;
    this.techniques = techniques;
  }

  /**
   * The answer, without a stop string.
   *
   * @return the text (never null)
   */
  public String text() {
    return text;
  }

  /**
   * Why it ended.
   *
   * @return the reason; {@link StopReason#END} also where the remote model ended it (never null)
   */
  public StopReason stopReason() {
    return stopReason;
  }

  /**
   * Length of the prompt.
   *
   * @return tokens of the device's model
   */
  public int promptTokens() {
    return promptTokens;
  }

  /**
   * Where the answer came from.
   *
   * @return the counters (never null)
   */
  public RoutingStats routing() {
    return routing;
  }

  /**
   * Counters of the device's session for this generation.
   *
   * @return the counters (never null)
   */
  public SessionStats stats() {
    return stats;
  }

  /**
   * Which of the techniques of the session's configuration took part.
   *
   * @return one report per technique, unmodifiable (never null)
   */
  public List<TechniqueReport> techniques() {
    return techniques;
  }

  /** Sizes and reason: what a model says does not belong into logs. */
  @Override
  public String toString() {
    return "RoutedResult[" + text.length() + " characters, stopReason=" + stopReason + ", " + routing + "]";
  }
}
