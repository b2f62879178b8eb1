package io.github.llmmobile;

import java.util.List;

/** What {@link HybridInference} gave. */
public final class InferenceResult {
  private final GenerationResult generation;
  private final List<TechniqueReport> techniques;

  InferenceResult(GenerationResult generation) {
    this.generation = generation;
    techniques = generation.techniques();
  }

  /** The same with a report that the session could not make. */
  InferenceResult(GenerationResult generation, TechniqueReport other) {
    this.generation = generation;
    techniques = Techniques.replace(generation.techniques(), other);
  }

  /**
   * The answer.
   *
   * @return the text (never null)
   */
  public String text() {
    return generation.text();
  }

  /**
   * The generated tokens.
   *
   * @return a fresh array of ids (never null)
   */
  public int[] tokens() {
    return generation.tokens();
  }

  /**
   * Why the generation ended.
   *
   * @return the reason (never null)
   */
  public StopReason stopReason() {
    return generation.stopReason();
  }

  /**
   * The counters.
   *
   * @return the counters (never null)
   */
  public SessionStats stats() {
    return generation.stats();
  }

  /**
   * Which of the configured techniques took part.
   *
   * @return one report per technique, unmodifiable (never null)
   */
  public List<TechniqueReport> techniques() {
    return techniques;
  }

  @Override
  public String toString() {
    return "InferenceResult[" + generation + "]";
  }
}
