package io.github.llmmobile.spi;

import io.github.llmmobile.SessionStats;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.TechniqueReport;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What {@link EdgeCloud} gave: an answer, or the reason why the device should make it alone. */
public final class EdgeCloudAnswer {
  private final String detail;
  private final @Nullable Made made;

  private EdgeCloudAnswer(String detail, @Nullable Made made) {
    this.detail = Objects.requireNonNull(detail, "detail");
    this.made = made;
  }

  /**
   * No answer: the device makes it alone.
   *
   * @param why the reason, for people (required)
   * @return nothing but the reason (never null)
   */
  public static EdgeCloudAnswer local(String why) {
    return new EdgeCloudAnswer(why, null);
  }

  /**
   * An answer.
   *
   * @param how what the device and what the worker did, for people (required)
   * @param made what came out (required)
   * @return the answer (never null)
   */
  public static EdgeCloudAnswer of(String how, Made made) {
    return new EdgeCloudAnswer(how, Objects.requireNonNull(made, "made"));
  }

  /**
   * What was decided, and why.
   *
   * @return a sentence without its full stop (never null)
   */
  public String detail() {
    return detail;
  }

  /**
   * What came out.
   *
   * @return the answer; empty if the device makes it alone (never null)
   */
  public Optional<Made> made() {
    return Optional.ofNullable(made);
  }

  /** The answer itself, in terms of {@link io.github.llmmobile.GenerationResult}. */
  public static final class Made {
    private final String text;
    private final int[] tokens;
    private final StopReason stopReason;
    private final SessionStats stats;
    private final long promptMicros;
    private final long decodeMicros;
    private final List<TechniqueReport> techniques;

    /**
     * An answer.
     *
     * @param text the text (required)
     * @param tokens its tokens (required)
     * @param stopReason why it ended (required)
     * @param stats counters of the device's session (required)
     * @param promptMicros time until the first token
     * @param decodeMicros time of the others
     * @param techniques what became of them in the device's layers (required)
     */
    public Made(String text, int[] tokens, StopReason stopReason, SessionStats stats, long promptMicros,
        long decodeMicros, List<TechniqueReport> techniques) {
      this.text = Objects.requireNonNull(text, "text");
      this.tokens = tokens.clone();
      this.stopReason = Objects.requireNonNull(stopReason, "stopReason");
      this.stats = Objects.requireNonNull(stats, "stats");
      this.promptMicros = promptMicros;
      this.decodeMicros = decodeMicros;
      this.techniques = Collections.unmodifiableList(new ArrayList<>(techniques));
    }

    /**
     * The text.
     *
     * @return the text (never null)
     */
    public String text() {
      return text;
    }

    /**
     * The tokens.
     *
     * @return a fresh array of ids (never null)
     */
    public int[] tokens() {
      return tokens.clone();
    }

    /**
     * Why it ended.
     *
     * @return the reason (never null)
     */
    public StopReason stopReason() {
      return stopReason;
    }

    /**
     * Counters of the device's session: memory and threads.
     *
     * @return the counters (never null)
     */
    public SessionStats stats() {
      return stats;
    }

    /**
     * Time until the first token.
     *
     * @return microseconds
     */
    public long promptMicros() {
      return promptMicros;
    }

    /**
     * Time of the other tokens.
     *
     * @return microseconds
     */
    public long decodeMicros() {
      return decodeMicros;
    }

    /**
     * What became of the techniques in the device's layers.
     *
     * @return reports; those of techniques that are nobody's matter there do not count (never null)
     */
    public List<TechniqueReport> techniques() {
      return techniques;
    }
  }
}
