package io.github.llmmobile;

import java.util.Objects;

/** Whether one of the techniques that a configuration can ask for took part. */
public final class TechniqueReport {
  /** What became of a technique. */
  public enum Status {
    /** It took part. */
    ACTIVE,
    /** The configuration asks for it, but this version, the model or the device cannot do it. */
    NOT_AVAILABLE,
    /** The configuration does not ask for it, or only for what comes to nothing. */
    OFF
  }

  static final String NOT_ASKED = "the configuration does not ask for it";

  private final String technique;
  private final Status status;
  private final String detail;

  TechniqueReport(String technique, Status status, String detail) {
    this.technique = technique;
    this.status = status;
    this.detail = detail;
  }

  /**
   * Which technique.
   *
   * @return {@code edge_cloud}, {@code token_pruning}, {@code layer_compression} or {@code memory_manager} (never null)
   */
  public String technique() {
    return technique;
  }

  /**
   * What became of it.
   *
   * @return the status (never null)
   */
  public Status status() {
    return status;
  }

  /**
   * Whether the configuration asks for it, be it in vain.
   *
   * @return whether the reason is worth reading
   */
  public boolean asked() {
    return !detail.equals(NOT_ASKED);
  }

  /**
   * The reason, for people.
   *
   * @return a sentence without its full stop (never null)
   */
  public String detail() {
    return detail;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof TechniqueReport)) {
      return false;
    }
    TechniqueReport that = (TechniqueReport) other;
    return technique.equals(that.technique) && status == that.status && detail.equals(that.detail);
  }

  @Override
  public int hashCode() {
    return Objects.hash(technique, status, detail);
  }

  @Override
  public String toString() {
    return technique + ": " + status + " (" + detail + ")";
  }
}
