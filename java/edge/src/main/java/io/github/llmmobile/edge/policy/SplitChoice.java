package io.github.llmmobile.edge.policy;

import java.util.Arrays;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Whether the next step of a session goes to its worker. Where the session is split stays as it was planned; whether the
 * split pays is asked again with what steps have really taken.
 *
 * <p>A split session turns local when the median step has become dearer than a local one, so far that it makes up for what
 * the device has to catch up on. A local session turns split when the way and the worker, as last measured, promise a gain of
 * a tenth, and some time has passed: 10 s, twice as long after each time that the promise was not kept. Threads: any.
 */
public final class SplitChoice {
  private static final int ENOUGH = 8;
  private static final long DWELL_NANOS = 10_000_000_000L;
  private static final long MOST_DWELL_NANOS = 300_000_000_000L;

  private final SplitPolicy policy;
  private final Reason reason;
  private final @Nullable Weighing weighing;

  private SplitChoice(SplitPolicy policy, Reason reason, @Nullable Weighing weighing) {
    this.policy = policy;
    this.reason = reason;
    this.weighing = weighing;
  }

  /**
   * A session that is split unless the policy forbids it.
   *
   * @param policy the policy (required)
   * @param reason why it is split (required)
   * @return the choice (never null)
   */
  public static SplitChoice always(SplitPolicy policy, Reason reason) {
    return new SplitChoice(policy, reason, null);
  }

  /**
   * A session that is split while that pays.
   *
   * @param policy the policy (required)
   * @param plan what was planned (required)
   * @param here costs of the layers on the device (required)
   * @param there costs of the layers at the worker (required)
   * @param split where the session is split
   * @param bytesPerRow a row on the wire, framing included
   * @return the choice (never null)
   */
  public static SplitChoice weighing(SplitPolicy policy, SplitPlanner.Plan plan, LayerCosts here, LayerCosts there,
      int split, double bytesPerRow) {
    Reason reason = plan.place() == Place.SPLIT ? plan.reason() : Reason.FASTER;
    return new SplitChoice(policy, reason, new Weighing(policy, plan.place() == Place.SPLIT, here.lowerMs(split),
        here.upperMs(split), there.upperMs(split), bytesPerRow));
  }

  /**
   * Why steps are split.
   *
   * @return the reason; that the device is to be spared comes first (never null)
   */
  public Reason reason() {
    return reason == Reason.FASTER ? policy.spares().orElse(reason) : reason;
  }

  /**
   * Decides about the next step.
   *
   * @param behind rows that the device would have to catch up on first
   * @param remaining tokens that the answer may still have
   * @return why the step stays on the device; empty for the worker (never null)
   */
  public synchronized Optional<Reason> refusal(int behind, int remaining) {
    Optional<Reason> forbidden = policy.forbids();
    if (forbidden.isPresent() || weighing == null) {
      return forbidden;
    }
    return weighing.splits(behind, remaining) ? Optional.empty() : Optional.of(Reason.NOT_FASTER);
  }

  /**
   * Whether the way should be measured now.
   *
   * @return as {@link SplitPolicy#wantsProbe}
   */
  public synchronized boolean wantsProbe() {
    boolean inUse = !policy.forbids().isPresent() && (weighing == null || weighing.split);
    return policy.wantsProbe(inUse, weighing != null);
  }

  /**
   * Takes what a step of one row took that went to the worker.
   *
   * @param lowerMs the device's layers, milliseconds
   * @param upperMs everything else
   */
  public synchronized void splitStep(double lowerMs, double upperMs) {
    if (weighing != null) {
      weighing.lower.add(lowerMs);
      weighing.remote.add(upperMs);
    }
  }

  /**
   * Takes what a step of one row took that stayed, and had nothing to catch up on.
   *
   * @param lowerMs the layers below the split, milliseconds
   * @param upperMs the layers above
   */
  public synchronized void localStep(double lowerMs, double upperMs) {
    if (weighing != null) {
      weighing.lower.add(lowerMs);
      weighing.local.add(upperMs);
    }
  }

  /** What steps take in either way. */
  private static final class Weighing {
    private final SplitPolicy policy;
    private final double workerMs;
    private final double bytesPerRow;
    private final Recent lower;
    private final Recent local;
    private final Recent remote;
    private boolean split;
    private long flippedAt;
    private long dwellNanos = DWELL_NANOS;

    Weighing(SplitPolicy policy, boolean split, double lowerMs, double localMs, double workerMs, double bytesPerRow) {
      this.policy = policy;
      this.split = split;
      this.workerMs = workerMs;
      this.bytesPerRow = bytesPerRow;
      lower = new Recent(lowerMs);
      local = new Recent(localMs);
      remote = new Recent(Double.NaN);
      flippedAt = policy.nanoClock().getAsLong();
    }

    boolean splits(int behind, int remaining) {
      double weight = policy.weight();
      double here = weight * local.median();
      if (split) {
        if (remote.count >= ENOUGH && remaining * (remote.median() - here) > behind * here) {
          flip(false);
          dwellNanos = Math.min(2 * dwellNanos, MOST_DWELL_NANOS);
        }
      } else if (policy.nanoClock().getAsLong() - flippedAt >= dwellNanos) {
        double below = weight * lower.median();
        if (below + policy.remoteMs(workerMs, bytesPerRow) <= SplitPlanner.GAIN * (below + here)) {
          flip(true);
        }
      }
      return split;
    }

    private void flip(boolean toSplit) {
      split = toSplit;
      flippedAt = policy.nanoClock().getAsLong();
      remote.clear();
    }
  }

  /** The median of the last few times: one that a pause has prolonged does not count. */
  private static final class Recent {
    private static final int KEPT = 16;

    private final double atFirst;
    private final double[] ms = new double[KEPT];
    private int count;

    Recent(double atFirst) {
      this.atFirst = atFirst;
    }

    void add(double value) {
      ms[count++ % KEPT] = value;
    }

    void clear() {
      count = 0;
    }

    double median() {
      if (count == 0) {
        return atFirst;
      }
      double[] sorted = Arrays.copyOf(ms, Math.min(count, KEPT));
      Arrays.sort(sorted);
      return sorted[sorted.length / 2];
    }
  }
}
