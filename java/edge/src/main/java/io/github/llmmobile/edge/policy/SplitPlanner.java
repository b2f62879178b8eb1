package io.github.llmmobile.edge.policy;

import java.util.Locale;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.function.IntPredicate;
import java.util.function.IntToDoubleFunction;

/**
 * Finds the layer at which to split a model between the device and a worker, if that pays at all. With n layers, a split
 * at k runs layers [0, k) on the device and [k, n) on the worker.
 *
 * <pre>
 * T_local    = D(n)
 * T_dec(k)   = D(k) + x + (1-e) * (eps + (1+g)*b/u + R + Q + C(k, 1+g)),  g = e/(1-e);  x = 0 if e = 0
 * T_pre(k,N) = (m-1) * max(Dp(k,c), c*b/u, Cp(k,c)) + Dp(k,c) + c*b/u + Cp(k,c) + R + Q,  m = ceil(N/c)
 * J(k)       = T_pre(k,N) + E[out] * T_dec(k) + penalty(k)
 * </pre>
 *
 * D is the device's time and C the worker's, b the bytes per position, u the goodput, R the round trip, Q the queue, eps
 * codec, sealing and transport, x the exit head, e the share of tokens that the device decides alone, g the mean gap that
 * the next step has to fill, c the positions per chunk of a prompt. The answer is a split only if it costs at most 0.9
 * times the local cost. All times are milliseconds.
 *
 * <p>Immutable. Threads: any, if the given functions allow it.
 */
public final class SplitPlanner {
  /** What a split may cost of what the device costs alone. */
  static final double GAIN = 0.9;

  private final Builder in;

  private SplitPlanner(Builder in) {
    this.in = in;
  }

  /**
   * Starts a planner for a model of that many layers.
   *
   * @param layers of the model, at least 1
   * @return a builder (never null)
   */
  public static Builder builder(int layers) {
    return new Builder(layers);
  }

  /** Time that the worker takes for its layers. */
  @FunctionalInterface
  public interface WorkerTime {
    /**
     * One step.
     *
     * @param k the first layer on the worker
     * @param rows positions in the step; mean values need not be whole
     * @return milliseconds
     */
    double ms(int k, double rows);
  }

  /** Time that the device takes to read a part of a prompt. */
  @FunctionalInterface
  public interface ChunkTime {
    /**
     * One chunk.
     *
     * @param layers how many, from the first
     * @param rows positions in the chunk
     * @return milliseconds
     */
    double ms(int layers, int rows);
  }

  /**
   * Time per token without a worker.
   *
   * @return milliseconds
   */
  public double localDecodeMs() {
    return in.localDecode.applyAsDouble(in.layers);
  }

  /**
   * Mean time per token with a split.
   *
   * @param k the split point
   * @return milliseconds
   */
  public double decodeMs(int k) {
    double e = in.exitShare;
    double rows = 1 / (1 - e);
    double exitHead = e == 0 ? 0 : in.exitHeadMs;
    return in.localDecode.applyAsDouble(k) + exitHead
        + (1 - e) * (in.overheadMs + rows * wireMs(1) + in.rttMs + in.queueMs + in.workerDecode.ms(k, rows));
  }

  private double wireMs(int positions) {
    return in.goodputMbps == 0 ? Double.POSITIVE_INFINITY
        : (double) positions * in.bytesPerPosition * 8e-3 / in.goodputMbps;
  }

  /**
   * Time to read a prompt with a split, chunks overlapping on device, link and worker.
   *
   * @param k the split point
   * @param tokens of the prompt, at least 0
   * @return milliseconds
   */
  public double prefillMs(int k, int tokens) {
    if (tokens <= 0) {
      return 0;
    }
    int chunk = Math.min(in.chunkRows, tokens);
    int chunks = (tokens + chunk - 1) / chunk;
    double device = in.localChunk.ms(k, chunk);
    double wire = wireMs(chunk);
    double worker = in.workerPrefill.ms(k, chunk);
    return (chunks - 1) * Math.max(device, Math.max(wire, worker)) + device + wire + worker + in.rttMs + in.queueMs;
  }

  /**
   * Cost of a turn without a worker.
   *
   * @return milliseconds and the penalty
   */
  public double localCost() {
    int chunk = Math.max(1, Math.min(in.chunkRows, in.promptTokens));
    int chunks = (in.promptTokens + chunk - 1) / chunk;
    return chunks * in.localChunk.ms(in.layers, chunk) + in.expectedTokens * localDecodeMs()
        + in.penalty.applyAsDouble(in.layers);
  }

  /**
   * Cost of a turn with a split. A session that is split elsewhere, or not at all, pays for reading its history again.
   *
   * @param k the split point
   * @return milliseconds and the penalty
   */
  public double cost(int k) {
    int toRead = in.promptTokens + (k == in.currentSplit ? 0 : in.historyTokens);
    return prefillMs(k, toRead) + in.expectedTokens * decodeMs(k) + in.penalty.applyAsDouble(k);
  }

  /**
   * The cheapest split, whether it pays or not.
   *
   * @return the split point; empty if none is possible (never null)
   */
  public OptionalInt bestSplit() {
    int best = -1;
    double least = Double.POSITIVE_INFINITY;
    for (int k = in.least; k <= in.most; k++) {
      double cost = in.feasible.test(k) ? cost(k) : Double.POSITIVE_INFINITY;
      if (cost < least) {
        least = cost;
        best = k;
      }
    }
    return best < 0 ? OptionalInt.empty() : OptionalInt.of(best);
  }

  /**
   * Finds the cheapest way.
   *
   * @return the plan; {@link Place#SPLIT} only if it pays or the model does not fit the device (never null)
   * @throws IllegalStateException if the model does not fit the device and there is no other way
   */
  public Plan plan() {
    int best = bestSplit().orElse(-1);
    double least = best < 0 ? Double.POSITIVE_INFINITY : cost(best);
    if (in.fitsDevice) {
      double local = localCost();
      return best >= 0 && least <= GAIN * local
          ? new Plan(Place.SPLIT, Reason.FASTER, best, least, local, least)
          : new Plan(Place.LOCAL, Reason.NOT_FASTER, in.layers, local, local, least);
    }
    if (in.remoteCost.isPresent() && in.remoteCost.getAsDouble() < least) {
      return new Plan(Place.REMOTE, Reason.DOES_NOT_FIT, 0, in.remoteCost.getAsDouble(), Double.POSITIVE_INFINITY,
          least);
    }
    if (best < 0) {
      throw new IllegalStateException("the model does not fit the device, no layer from " + in.least + " to " + in.most
          + " may be the first on a worker, and there is no endpoint");
    }
    return new Plan(Place.SPLIT, Reason.DOES_NOT_FIT, best, least, Double.POSITIVE_INFINITY, least);
  }

  /** What to do for the next turn, and what that is expected to take. */
  public static final class Plan {
    private final Place place;
    private final Reason reason;
    private final int split;
    private final double cost;
    private final double localCost;
    private final double splitCost;

    private Plan(Place place, Reason reason, int split, double cost, double localCost, double splitCost) {
      this.place = place;
      this.reason = reason;
      this.split = split;
      this.cost = cost;
      this.localCost = localCost;
      this.splitCost = splitCost;
    }

    /**
     * Where tokens come from.
     *
     * @return the place (never null)
     */
    public Place place() {
      return place;
    }

    /**
     * Why.
     *
     * @return the reason (never null)
     */
    public Reason reason() {
      return reason;
    }

    /**
     * Layers on the device.
     *
     * @return the split point; all layers for {@link Place#LOCAL}, 0 for {@link Place#REMOTE}
     */
    public int split() {
      return split;
    }

    /**
     * Expected cost of the turn.
     *
     * @return milliseconds and the penalty
     */
    public double cost() {
      return cost;
    }

    /**
     * Expected cost of the turn on the device alone.
     *
     * @return milliseconds and the penalty; infinite if the model does not fit
     */
    public double localCost() {
      return localCost;
    }

    /**
     * Expected cost of the turn with the cheapest split, whether it is chosen or not.
     *
     * @return milliseconds and the penalty; infinite if none is possible
     */
    public double splitCost() {
      return splitCost;
    }

    @Override
    public String toString() {
      return String.format(Locale.ROOT, "Plan[%s, split=%d, cost=%.1f, local=%.1f, split=%.1f, %s]", place, split, cost,
          localCost, splitCost, reason);
    }
  }

  /** Collects what a {@link SplitPlanner} reckons with. Not for use by several threads at once. */
  public static final class Builder {
    private final int layers;
    private IntToDoubleFunction localDecode = k -> Double.POSITIVE_INFINITY;
    private ChunkTime localChunk = (k, rows) -> 0;
    private WorkerTime workerDecode = (k, rows) -> Double.POSITIVE_INFINITY;
    private WorkerTime workerPrefill = (k, rows) -> 0;
    private IntToDoubleFunction penalty = k -> 0;
    private IntPredicate feasible = k -> true;
    private int least;
    private int most;
    private double bytesPerPosition;
    private double goodputMbps;
    private double rttMs;
    private double queueMs;
    private double overheadMs;
    private double exitShare;
    private double exitHeadMs;
    private int chunkRows = 64;
    private int promptTokens;
    private int historyTokens;
    private int currentSplit = -1;
    private double expectedTokens = 1;
    private boolean fitsDevice = true;
    private OptionalDouble remoteCost = OptionalDouble.empty();

    private Builder(int layers) {
      this.layers = layers;
      least = 1;
      most = layers - 1;
    }

    private Builder(Builder other) {
      layers = other.layers;
      localDecode = other.localDecode;
      localChunk = other.localChunk;
      workerDecode = other.workerDecode;
      workerPrefill = other.workerPrefill;
      penalty = other.penalty;
      feasible = other.feasible;
      least = other.least;
      most = other.most;
      bytesPerPosition = other.bytesPerPosition;
      goodputMbps = other.goodputMbps;
      rttMs = other.rttMs;
      queueMs = other.queueMs;
      overheadMs = other.overheadMs;
      exitShare = other.exitShare;
      exitHeadMs = other.exitHeadMs;
      chunkRows = other.chunkRows;
      promptTokens = other.promptTokens;
      historyTokens = other.historyTokens;
      currentSplit = other.currentSplit;
      expectedTokens = other.expectedTokens;
      fitsDevice = other.fitsDevice;
      remoteCost = other.remoteCost;
    }

    /**
     * The device's time to decode one token.
     *
     * @param decode milliseconds of the first k layers; of all layers with the head (required)
     * @return this
     */
    public Builder local(IntToDoubleFunction decode) {
      localDecode = Objects.requireNonNull(decode, "decode");
      return this;
    }

    /**
     * The device's time to read a part of a prompt. Default: none.
     *
     * @param chunk milliseconds (required)
     * @return this
     */
    public Builder localPrefill(ChunkTime chunk) {
      localChunk = Objects.requireNonNull(chunk, "chunk");
      return this;
    }

    /**
     * The worker's time.
     *
     * @param decode milliseconds for its layers (required)
     * @return this
     */
    public Builder worker(WorkerTime decode) {
      workerDecode = Objects.requireNonNull(decode, "decode");
      return this;
    }

    /**
     * The worker's time to read a part of a prompt. Default: none.
     *
     * @param chunk milliseconds for its layers (required)
     * @return this
     */
    public Builder workerPrefill(WorkerTime chunk) {
      workerPrefill = Objects.requireNonNull(chunk, "chunk");
      return this;
    }

    /**
     * What energy and money are worth in milliseconds. Default: nothing.
     *
     * @param ofSplit milliseconds for a turn that is split at k; k of all layers is the device alone (required)
     * @return this
     */
    public Builder penalty(IntToDoubleFunction ofSplit) {
      penalty = Objects.requireNonNull(ofSplit, "ofSplit");
      return this;
    }

    /**
     * The split points to look at. Default: all.
     *
     * @param first at least 1
     * @param last at most layers - 1
     * @return this
     */
    public Builder range(int first, int last) {
      least = first;
      most = last;
      return this;
    }

    /**
     * Split points that memory, codec or privacy forbid. Default: none.
     *
     * @param allowed whether a split point is possible (required)
     * @return this
     */
    public Builder feasible(IntPredicate allowed) {
      feasible = Objects.requireNonNull(allowed, "allowed");
      return this;
    }

    /**
     * The link.
     *
     * @param bytes per position, framing included
     * @param mbps goodput, megabits (10^6 bits) per second; 0 carries nothing
     * @param rtt round trip, milliseconds
     * @return this
     */
    public Builder link(double bytes, double mbps, double rtt) {
      bytesPerPosition = bytes;
      goodputMbps = mbps;
      rttMs = rtt;
      return this;
    }

    /**
     * Time in the worker's queue, and for codec, sealing and transport. Default: none.
     *
     * @param queue milliseconds per step
     * @param overhead milliseconds per step
     * @return this
     */
    public Builder delays(double queue, double overhead) {
      queueMs = queue;
      overheadMs = overhead;
      return this;
    }

    /**
     * Tokens that the device decides alone at the split point. Default: none.
     *
     * @param share of the tokens, at least 0 and below 1
     * @param headMs time of the head that decides, milliseconds
     * @return this
     */
    public Builder exits(double share, double headMs) {
      exitShare = share;
      exitHeadMs = headMs;
      return this;
    }

    /**
     * The turn. Default: no prompt, one token.
     *
     * @param prompt tokens to read
     * @param expected tokens of the answer, an estimate
     * @return this
     */
    public Builder turn(int prompt, double expected) {
      promptTokens = prompt;
      expectedTokens = expected;
      return this;
    }

    /**
     * What the session has been so far. Default: new.
     *
     * @param history tokens that a worker would have to read again
     * @param split where it is split; -1 for nowhere
     * @return this
     */
    public Builder session(int history, int split) {
      historyTokens = history;
      currentSplit = split;
      return this;
    }

    /**
     * Positions that travel at once while a prompt is read. Default: 64.
     *
     * @param rows at least 1
     * @return this
     */
    public Builder chunk(int rows) {
      chunkRows = rows;
      return this;
    }

    /**
     * Whether the device can hold the whole model. Default: true.
     *
     * @param fits whether it can
     * @return this
     */
    public Builder fitsDevice(boolean fits) {
      fitsDevice = fits;
      return this;
    }

    /**
     * Cost of the turn on another model behind an endpoint, where there is one. Default: none.
     *
     * @param cost milliseconds and the penalty
     * @return this
     */
    public Builder remoteCost(double cost) {
      remoteCost = OptionalDouble.of(cost);
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the planner (never null)
     * @throws IllegalArgumentException if a number is out of range
     */
    public SplitPlanner build() {
      check(layers >= 1 && least >= 1 && most <= layers - 1, "split points must be from 1 to " + (layers - 1));
      check(exitShare >= 0 && exitShare < 1, "the share of exits must be at least 0 and below 1");
      check(chunkRows >= 1, "a chunk must have at least 1 row");
      check(bytesPerPosition >= 0 && goodputMbps >= 0 && rttMs >= 0 && queueMs >= 0 && overheadMs >= 0
          && exitHeadMs >= 0 && promptTokens >= 0 && historyTokens >= 0 && expectedTokens >= 0,
          "times, sizes and counts must be at least 0");
      return new SplitPlanner(new Builder(this));
    }

    private static void check(boolean holds, String rule) {
      if (!holds) {
        throw new IllegalArgumentException(rule);
      }
    }
  }
}
