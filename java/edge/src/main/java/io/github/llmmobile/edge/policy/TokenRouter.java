package io.github.llmmobile.edge.policy;

/**
 * Tells easy tokens from hard ones so that a given share of all tokens comes from the remote model.
 *
 * <p>A token is hard if the device's model is less sure of it than of most of the last thousand: above the quantile of
 * their uncertainties that gives the rate of bursts which the share needs, with the length that bursts have had so far,
 * and corrected by the share of the last few hundred tokens. It must also be above 0.05, and a token bucket must not be
 * empty, which lets through five thirds of the share over 256 tokens, so 20 % at the default share of 12 %. A hard token
 * begins a burst of remote tokens. There is no pause after a burst: hard tokens come in flocks, and a pause makes
 * agreement worse (docs/remote.md).
 *
 * <p>Not for use by several threads at once.
 */
public final class TokenRouter {
  /** The share of remote tokens that the design was tuned for. */
  public static final double DEFAULT_SHARE = 0.12;

  private static final double SURE = 0.05;
  private static final int LEARNED = 64;
  private static final int BUCKET_TOKENS = 256;
  private static final double BUCKET_FACTOR = 5.0 / 3;
  private static final double BURST_WEIGHT = 0.1;
  private static final double OWED_TOKENS = 8;
  private static final double LEAST_CORRECTION = 0.5;
  private static final double MOST_CORRECTION = 4;

  private final double share;
  private final double refill;
  private final double capacity;
  private final OnlineQuantile threshold;
  private double burstTokens;
  private double bucket;
  /** Remote tokens that the last few hundred had too few; below 0 for too many. */
  private double owed;
  private long observed;
  private long localTokens;
  private long remoteTokens;

  /**
   * Begins without knowledge of the model.
   *
   * @param share of all tokens that come from the remote model, 0 to 1
   * @param burstTokens how long bursts will be, at least 1; corrected by those that come
   */
  public TokenRouter(double share, int burstTokens) {
    this(share, burstTokens, new double[0]);
  }

  /**
   * Goes on with what another router has learned of the same model and kind of text, whatever its share.
   *
   * @param share of all tokens that come from the remote model, 0 to 1
   * @param burstTokens how long bursts will be, at least 1; corrected by those that come
   * @param learned {@link #learned()} of the other router (required)
   */
  public TokenRouter(double share, int burstTokens, double[] learned) {
    if (!(share >= 0 && share <= 1)) {
      throw new IllegalArgumentException("share must be from 0 to 1, but is " + share);
    }
    if (burstTokens < 1) {
      throw new IllegalArgumentException("burstTokens must be at least 1, but is " + burstTokens);
    }
    for (double uncertainty : learned) {
      if (!(uncertainty >= 0 && uncertainty <= 1)) {
        throw new IllegalArgumentException("learned must be from 0 to 1, but has " + uncertainty);
      }
    }
    this.share = share;
    this.burstTokens = burstTokens;
    refill = Math.min(1, BUCKET_FACTOR * share);
    capacity = Math.max(BUCKET_TOKENS * refill, burstTokens);
    // A full bucket at the start would let a short answer come from afar altogether.
    bucket = Math.max(capacity / 4, burstTokens);
    threshold = new OnlineQuantile(learned);
  }

  /**
   * Decides about the next token and learns from it.
   *
   * @param uncertainty of the device's model, 0 to 1, as of {@link Uncertainty}
   * @return {@link Reason#HARD} for a burst of remote tokens; otherwise the token stays on the device because it is
   *     {@link Reason#EASY} or the share is used up ({@link Reason#SHARE_USED_UP}) (never null)
   */
  public Reason decide(double uncertainty) {
    observed++;
    boolean above = threshold.above(uncertainty, hardRate());
    if (share == 0 || share < 1 && !(above && uncertainty > SURE)) {
      return Reason.EASY;
    }
    return share == 1 || bucket >= 1 ? Reason.HARD : Reason.SHARE_USED_UP;
  }

  /** A token came from the device. */
  public void local() {
    localTokens++;
    count(0);
    bucket = Math.min(capacity, bucket + refill);
  }

  /**
   * A burst came from the remote model.
   *
   * @param tokens its length, at least 0
   */
  public void remote(int tokens) {
    remoteTokens += tokens;
    for (int i = 0; i < tokens; i++) {
      count(1);
    }
    bucket = Math.min(capacity, bucket + refill * tokens) - tokens;
    if (tokens > 0) {
      burstTokens += BURST_WEIGHT * (tokens - burstTokens);
    }
  }

  /**
   * The rate h of hard decisions that gives the share s: each brings m remote tokens, so s = hm / (hm + 1 - h). It is
   * raised or lowered by what the last tokens had too few or too many.
   */
  private double hardRate() {
    double rate = share / (burstTokens * (1 - share) + share);
    return Math.min(1, rate * Math.max(LEAST_CORRECTION, Math.min(MOST_CORRECTION, 1 + owed / OWED_TOKENS)));
  }

  private void count(double ofThis) {
    owed += share - ofThis - owed / BUCKET_TOKENS;
  }

  /**
   * How many tokens the router has learned from.
   *
   * @return at least 0
   */
  public long observed() {
    return observed;
  }

  /**
   * What another router can go on with.
   *
   * @return uncertainties that stand for those seen, ascending, a fresh array (never null)
   */
  public double[] learned() {
    return threshold.sample(LEARNED);
  }

  /**
   * What the next token must exceed to be hard.
   *
   * @return an uncertainty, 0 to 1
   */
  public double threshold() {
    return Math.max(SURE, threshold.threshold(hardRate()));
  }

  /**
   * The share that is aimed at.
   *
   * @return from 0 to 1
   */
  public double share() {
    return share;
  }

  /**
   * The share so far.
   *
   * @return from 0 to 1; 0 before the first token
   */
  public double shareSoFar() {
    long all = localTokens + remoteTokens;
    return all == 0 ? 0 : (double) remoteTokens / all;
  }

  @Override
  public String toString() {
    return "TokenRouter[share=" + shareSoFar() + " of " + share + ", threshold=" + threshold() + "]";
  }
}
