package io.github.llmmobile;

import java.util.Locale;

/** Counters of a session, or of one generation. */
public final class SessionStats {
  private static final double MICROS_PER_SECOND = 1e6;
  private static final int FIELDS = 49;
  private static final int REAL_FIELDS = 10;
  private static final double MIB = 1024.0 * 1024.0;

  private final int contextTokens;
  private final int tokens;
  private final int threads;
  private final int batchThreads;
  private final long promptTokens;
  private final long reusedTokens;
  private final long generatedTokens;
  private final long promptMicros;
  private final long decodeMicros;
  private final long sampleMicros;
  private final long modelBytes;
  private final long kvBytes;
  private final long computeBytes;
  private final long kvPeakBytes;
  private final long kvBudgetBytes;
  private final int kvPagesF16;
  private final int kvPagesQ4;
  private final int kvPagesQ42;
  private final int kvPagesSpilled;
  private final int kvPagesShared;
  private final int kvPagesEvicted;
  private final long kvBytesF16;
  private final long kvBytesQ4;
  private final long kvBytesQ42;
  private final long kvBytesSpilled;
  private final long kvDemotions;
  private final long kvPromotions;
  private final long kvSpills;
  private final long kvRecalls;
  private final long kvEvictions;
  private final long kvRecomputed;
  private final long kvDemotionMicros;
  private final long kvSpillMicros;
  private final long kvReadMicros;
  private final long kvReadBytes;
  private final double pruneActiveTokens;
  private final double pruneShadowTokens;
  private final double pruneDroppedTokens;
  private final double prunePrunedTokens;
  private final double pruneRecalledTokens;
  private final double pruneReadTokens;
  private final double pruneOmittedMass;
  private final double pruneOmittedMost;
  private final double pruneOmittedBound;
  private final double pruneOmittedBoundMost;
  private final long pruneSteps;
  private final long pruneTests;
  private final long pruneLooks;
  private final long pruneMicros;
  private final long prunePrefillTokens;
  private final long prunePrefillLeftOut;
  private final long prunePrefillRecalled;
  private final long prunePrefillShadow;
  private final long prunePrefillMicros;
  private final long draftProposed;
  private final long draftAccepted;
  private final long draftSteps;
  private final long gateSteps;
  private final long gateSkippedParts;

  /** Takes the counters in the order of the native struct: those of integer types and those of type double. */
  SessionStats(long[] values, double[] reals) {
    contextTokens = Math.toIntExact(values[0]);
    tokens = Math.toIntExact(values[1]);
    threads = Math.toIntExact(values[2]);
    batchThreads = Math.toIntExact(values[3]);
    promptTokens = values[4];
    reusedTokens = values[5];
    generatedTokens = values[6];
    promptMicros = values[7];
    decodeMicros = values[8];
    sampleMicros = values[9];
    modelBytes = values[10];
    kvBytes = values[11];
    computeBytes = values[12];
    kvPeakBytes = values[13];
    kvBudgetBytes = values[14];
    kvPagesF16 = Math.toIntExact(values[15]);
    kvPagesQ4 = Math.toIntExact(values[16]);
    kvPagesQ42 = Math.toIntExact(values[17]);
    kvPagesSpilled = Math.toIntExact(values[18]);
    kvPagesShared = Math.toIntExact(values[19]);
    kvPagesEvicted = Math.toIntExact(values[20]);
    kvBytesF16 = values[21];
    kvBytesQ4 = values[22];
    kvBytesQ42 = values[23];
    kvBytesSpilled = values[24];
    kvDemotions = values[25];
    kvPromotions = values[26];
    kvSpills = values[27];
    kvRecalls = values[28];
    kvEvictions = values[29];
    kvRecomputed = values[30];
    kvDemotionMicros = values[31];
    kvSpillMicros = values[32];
    kvReadMicros = values[33];
    kvReadBytes = values[34];
    pruneSteps = values[35];
    pruneTests = values[36];
    pruneLooks = values[37];
    pruneMicros = values[38];
    prunePrefillTokens = values[39];
    prunePrefillLeftOut = values[40];
    prunePrefillRecalled = values[41];
    prunePrefillShadow = values[42];
    prunePrefillMicros = values[43];
    draftProposed = values[44];
    draftAccepted = values[45];
    draftSteps = values[46];
    gateSteps = values[47];
    gateSkippedParts = values[48];
    pruneActiveTokens = reals[0];
    pruneShadowTokens = reals[1];
    pruneDroppedTokens = reals[2];
    prunePrunedTokens = reals[3];
    pruneRecalledTokens = reals[4];
    pruneReadTokens = reals[5];
    pruneOmittedMass = reals[6];
    pruneOmittedMost = reals[7];
    pruneOmittedBound = reals[8];
    pruneOmittedBoundMost = reals[9];
  }

  /**
   * What was counted since an earlier moment; lengths, threads, memory and what is pruned are those of now.
   *
   * @param before counters of the same session at that moment, with no reset since (required)
   * @return the difference (never null)
   */
  public SessionStats since(SessionStats before) {
    return since(before, new long[] {promptTokens - before.promptTokens, reusedTokens - before.reusedTokens,
        generatedTokens - before.generatedTokens, promptMicros - before.promptMicros,
        decodeMicros - before.decodeMicros, sampleMicros - before.sampleMicros});
  }

  /** These counters with those of a generation that the session did not count: it had a part of the layers alone. */
  SessionStats ofGeneration(long prompt, long generated, long promptMicros, long decodeMicros) {
    return since(new SessionStats(new long[FIELDS], new double[REAL_FIELDS]),
        new long[] {prompt, 0, generated, promptMicros, decodeMicros, 0});
  }

  /** The difference, with these for the six counters of a generation. */
  private SessionStats since(SessionStats before, long[] generation) {
    long steps = pruneSteps - before.pruneSteps;
    long tests = pruneTests - before.pruneTests;
    long[] values = {
      contextTokens, tokens, threads, batchThreads, generation[0], generation[1], generation[2], generation[3],
      generation[4], generation[5], modelBytes, kvBytes, computeBytes, kvPeakBytes, kvBudgetBytes, kvPagesF16, kvPagesQ4,
      kvPagesQ42, kvPagesSpilled, kvPagesShared, kvPagesEvicted, kvBytesF16, kvBytesQ4, kvBytesQ42, kvBytesSpilled,
      kvDemotions - before.kvDemotions, kvPromotions - before.kvPromotions, kvSpills - before.kvSpills,
      kvRecalls - before.kvRecalls, kvEvictions - before.kvEvictions, kvRecomputed - before.kvRecomputed,
      kvDemotionMicros - before.kvDemotionMicros, kvSpillMicros - before.kvSpillMicros,
      kvReadMicros - before.kvReadMicros, kvReadBytes - before.kvReadBytes, steps, tests,
      pruneLooks - before.pruneLooks, pruneMicros - before.pruneMicros,
      prunePrefillTokens - before.prunePrefillTokens, prunePrefillLeftOut - before.prunePrefillLeftOut,
      prunePrefillRecalled - before.prunePrefillRecalled, prunePrefillShadow, prunePrefillMicros - before.prunePrefillMicros,
      draftProposed - before.draftProposed, draftAccepted - before.draftAccepted, draftSteps - before.draftSteps,
      gateSteps - before.gateSteps, gateSkippedParts - before.gateSkippedParts
    };
    double[] reals = {
      pruneActiveTokens, pruneShadowTokens, pruneDroppedTokens, prunePrunedTokens - before.prunePrunedTokens,
      pruneRecalledTokens - before.pruneRecalledTokens,
      mean(pruneReadTokens * pruneSteps - before.pruneReadTokens * before.pruneSteps, steps),
      mean(pruneOmittedMass * pruneTests - before.pruneOmittedMass * before.pruneTests, tests), pruneOmittedMost,
      pruneOmittedBound, pruneOmittedBoundMost
    };
    return new SessionStats(values, reals);
  }

  /** A difference of sums may end below 0 by rounding. */
  private static double mean(double sum, long count) {
    return count <= 0 ? 0 : Math.max(0, sum / count);
  }

  /**
   * Tokens the session can hold.
   *
   * @return length of the context
   */
  public int contextTokens() {
    return contextTokens;
  }

  /**
   * Tokens the session holds.
   *
   * @return length of the history
   */
  public int tokens() {
    return tokens;
  }

  /**
   * Threads for decoding.
   *
   * @return a count
   */
  public int threads() {
    return threads;
  }

  /**
   * Threads for reading prompts.
   *
   * @return a count
   */
  public int batchThreads() {
    return batchThreads;
  }

  /**
   * Prompt tokens that were evaluated.
   *
   * @return a count
   */
  public long promptTokens() {
    return promptTokens;
  }

  /**
   * Prompt tokens that were in the cache already.
   *
   * @return a count
   */
  public long reusedTokens() {
    return reusedTokens;
  }

  /**
   * Tokens that were sampled, end tokens included.
   *
   * @return a count
   */
  public long generatedTokens() {
    return generatedTokens;
  }

  /**
   * Time spent reading prompts.
   *
   * @return microseconds
   */
  public long promptMicros() {
    return promptMicros;
  }

  /**
   * Time spent evaluating single tokens.
   *
   * @return microseconds
   */
  public long decodeMicros() {
    return decodeMicros;
  }

  /**
   * Time spent choosing tokens.
   *
   * @return microseconds
   */
  public long sampleMicros() {
    return sampleMicros;
  }

  /**
   * Size of the weights, which sessions share.
   *
   * @return bytes
   */
  public long modelBytes() {
    return modelBytes;
  }

  /**
   * Size of the session's cache of keys and values.
   *
   * @return bytes
   */
  public long kvBytes() {
    return kvBytes;
  }

  /**
   * Size of the session's work buffers and graphs.
   *
   * @return bytes
   */
  public long computeBytes() {
    return computeBytes;
  }

  /**
   * Most bytes that the pages of the session, their tables and buffers took; 0 without a memory manager.
   *
   * @return bytes
   */
  public long kvPeakBytes() {
    return kvPeakBytes;
  }

  /**
   * Bound of the pages of the session, their tables and buffers; 0 if there is none.
   *
   * @return bytes
   */
  public long kvBudgetBytes() {
    return kvBudgetBytes;
  }

  /**
   * Pages in memory as they were stored. A page counts once, whatever the number of layers.
   *
   * @return a count of pages
   */
  public int kvPagesF16() {
    return kvPagesF16;
  }

  /**
   * Pages in memory in 4 bits per element.
   *
   * @return a count of pages
   */
  public int kvPagesQ4() {
    return kvPagesQ4;
  }

  /**
   * Pages in memory with keys in 4 bits and values in 2.
   *
   * @return a count of pages
   */
  public int kvPagesQ42() {
    return kvPagesQ42;
  }

  /**
   * Pages in the spill file.
   *
   * @return a count of pages
   */
  public int kvPagesSpilled() {
    return kvPagesSpilled;
  }

  /**
   * Pages in memory that another session uses too.
   *
   * @return a count of pages
   */
  public int kvPagesShared() {
    return kvPagesShared;
  }

  /**
   * Pages whose tokens are in the history and no longer in the cache, be they evicted or dropped by all heads.
   *
   * @return a count of pages
   */
  public int kvPagesEvicted() {
    return kvPagesEvicted;
  }

  /**
   * Size of {@link #kvPagesF16()}.
   *
   * @return bytes
   */
  public long kvBytesF16() {
    return kvBytesF16;
  }

  /**
   * Size of {@link #kvPagesQ4()}.
   *
   * @return bytes
   */
  public long kvBytesQ4() {
    return kvBytesQ4;
  }

  /**
   * Size of {@link #kvPagesQ42()}.
   *
   * @return bytes
   */
  public long kvBytesQ42() {
    return kvBytesQ42;
  }

  /**
   * Size of {@link #kvPagesSpilled()}, in the file.
   *
   * @return bytes
   */
  public long kvBytesSpilled() {
    return kvBytesSpilled;
  }

  /**
   * Times that a page was quantised, or quantised further.
   *
   * @return a count
   */
  public long kvDemotions() {
    return kvDemotions;
  }

  /**
   * Times that a quantised or spilled page was written again.
   *
   * @return a count
   */
  public long kvPromotions() {
    return kvPromotions;
  }

  /**
   * Times that a page was written to the spill file.
   *
   * @return a count
   */
  public long kvSpills() {
    return kvSpills;
  }

  /**
   * Times that a page came back from the spill file because there was room.
   *
   * @return a count
   */
  public long kvRecalls() {
    return kvRecalls;
  }

  /**
   * Times that a page was evicted, or dropped by all heads.
   *
   * @return a count
   */
  public long kvEvictions() {
    return kvEvictions;
  }

  /**
   * Times that damaged pages were evaluated again.
   *
   * @return a count
   */
  public long kvRecomputed() {
    return kvRecomputed;
  }

  /**
   * Time spent quantising pages.
   *
   * @return microseconds
   */
  public long kvDemotionMicros() {
    return kvDemotionMicros;
  }

  /**
   * Time spent writing to the spill file.
   *
   * @return microseconds
   */
  public long kvSpillMicros() {
    return kvSpillMicros;
  }

  /**
   * Time spent reading from the spill file, of all threads.
   *
   * @return microseconds
   */
  public long kvReadMicros() {
    return kvReadMicros;
  }

  /**
   * What was read from the spill file.
   *
   * @return bytes
   */
  public long kvReadBytes() {
    return kvReadBytes;
  }

  /**
   * Tokens in the cache that are active. This and all numbers of tokens below are means over layers and heads; 0
   * without pruning.
   *
   * @return a number of tokens
   */
  public double pruneActiveTokens() {
    return pruneActiveTokens;
  }

  /**
   * Tokens in the shadow set: in the cache, not read, and tested every few steps.
   *
   * @return a number of tokens
   */
  public double pruneShadowTokens() {
    return pruneShadowTokens;
  }

  /**
   * Tokens that were dropped for good by some heads. What all heads have dropped leaves the cache and is not counted.
   *
   * @return a number of tokens
   */
  public double pruneDroppedTokens() {
    return pruneDroppedTokens;
  }

  /**
   * Tokens that left the active set; one that came back and left again counts twice.
   *
   * @return a number of tokens
   */
  public double prunePrunedTokens() {
    return prunePrunedTokens;
  }

  /**
   * Tokens that came back.
   *
   * @return a number of tokens
   */
  public double pruneRecalledTokens() {
    return pruneRecalledTokens;
  }

  /**
   * Tokens that an average step read.
   *
   * @return a number of tokens; 0 without {@link #pruneSteps()}
   */
  public double pruneReadTokens() {
    return pruneReadTokens;
  }

  /**
   * The share of attention that a step would have left out, measured at each test: the mean.
   *
   * @return from 0 to 1; 0 without {@link #pruneTests()}
   */
  public double pruneOmittedMass() {
    return pruneOmittedMass;
  }

  /**
   * The most of {@link #pruneOmittedMass()} that a test has measured since the session began.
   *
   * @return from 0 to 1
   */
  public double pruneOmittedMost() {
    return pruneOmittedMost;
  }

  /**
   * With {@link io.github.llmmobile.config.TokenPruningConfig#boundOmitted()}: the share of attention that a step has left
   * out can have been this at most, on average over heads and over the steps of the session that left something out.
   *
   * @return from 0 to 1; 0 without bounds
   */
  public double pruneOmittedBound() {
    return pruneOmittedBound;
  }

  /**
   * The most of {@link #pruneOmittedBound()} that a step has had since the session began.
   *
   * @return from 0 to 1
   */
  public double pruneOmittedBoundMost() {
    return pruneOmittedBoundMost;
  }

  /**
   * Steps of one token with pruning in force.
   *
   * @return a count
   */
  public long pruneSteps() {
    return pruneSteps;
  }

  /**
   * How many of {@link #pruneSteps()} read all that was not dropped.
   *
   * @return a count
   */
  public long pruneTests() {
    return pruneTests;
  }

  /**
   * How many of {@link #pruneSteps()} read all active tokens.
   *
   * @return a count
   */
  public long pruneLooks() {
    return pruneLooks;
  }

  /**
   * Time spent deciding what to prune and what to read.
   *
   * @return microseconds
   */
  public long pruneMicros() {
    return pruneMicros;
  }

  /**
   * Tokens of prompts that were pruned ({@link io.github.llmmobile.config.TokenPruningConfig#prunePrefillKeep()}).
   *
   * @return a count
   */
  public long prunePrefillTokens() {
    return prunePrefillTokens;
  }

  /**
   * How many of {@link #prunePrefillTokens()} later layers did not see.
   *
   * @return a count
   */
  public long prunePrefillLeftOut() {
    return prunePrefillLeftOut;
  }

  /**
   * How many of {@link #prunePrefillLeftOut()} a later question has brought back.
   *
   * @return a count
   */
  public long prunePrefillRecalled() {
    return prunePrefillRecalled;
  }

  /**
   * How many tokens that later layers did not see could be brought back now.
   *
   * @return a number of tokens
   */
  public long prunePrefillShadow() {
    return prunePrefillShadow;
  }

  /**
   * Time spent choosing what later layers see of prompts.
   *
   * @return microseconds
   */
  public long prunePrefillMicros() {
    return prunePrefillMicros;
  }

  /**
   * Drafted tokens that were checked ({@link GenerationOptions#draftTokens()}).
   *
   * @return a count
   */
  public long draftProposed() {
    return draftProposed;
  }

  /**
   * Those of {@link #draftProposed()} that the model chose too.
   *
   * @return a count
   */
  public long draftAccepted() {
    return draftAccepted;
  }

  /**
   * Steps that checked a draft.
   *
   * @return a count
   */
  public long draftSteps() {
    return draftSteps;
  }

  /**
   * Steps of single tokens with layer gates in force ({@link LlmSession#setLayerGates}).
   *
   * @return a count
   */
  public long gateSteps() {
    return gateSteps;
  }

  /**
   * Parts of layers that were left out in the steps of {@link #gateSteps()}, all steps together.
   *
   * @return a count
   */
  public long gateSkippedParts() {
    return gateSkippedParts;
  }

  /**
   * Speed of reading prompts, from the tokens that were evaluated.
   *
   * @return tokens per second; 0 if none was
   */
  public double promptTokensPerSecond() {
    return promptMicros == 0 ? 0 : promptTokens * MICROS_PER_SECOND / promptMicros;
  }

  /**
   * Speed of generating, from the time for evaluating and choosing.
   *
   * @return tokens per second; 0 if there was none
   */
  public double decodeTokensPerSecond() {
    long micros = decodeMicros + sampleMicros;
    return micros == 0 ? 0 : generatedTokens * MICROS_PER_SECOND / micros;
  }

  /** For people: tokens, speeds and memory in one line. */
  @Override
  public String toString() {
    return String.format(Locale.ROOT,
        "prompt %d tokens (%d more from the cache) at %.1f tokens/s, answer %d tokens at %.1f tokens/s,"
            + " context %d of %d, cache %.1f MiB%s%s%s",
        promptTokens, reusedTokens, promptTokensPerSecond(), generatedTokens, decodeTokensPerSecond(), tokens,
        contextTokens, kvBytes / MIB, kvPeakBytes == 0 ? "" : pages(), pruning(),
        draftSteps == 0 ? "" : ", drafted tokens: " + draftAccepted + " of " + draftProposed + " right");
  }

  private String pages() {
    return String.format(Locale.ROOT,
        " (pages: %d f16 %.1f MiB, %d q4 %.1f MiB, %d q4/2 %.1f MiB, %d spilled %.1f MiB, %d shared, %d evicted)",
        kvPagesF16, kvBytesF16 / MIB, kvPagesQ4, kvBytesQ4 / MIB, kvPagesQ42, kvBytesQ42 / MIB, kvPagesSpilled,
        kvBytesSpilled / MIB, kvPagesShared, kvPagesEvicted);
  }

  private String pruning() {
    String prompts = prunePrefillTokens == 0 ? "" : String.format(Locale.ROOT,
        ", pruned prompts: %d of %d tokens left out of later layers, %d brought back", prunePrefillLeftOut, prunePrefillTokens,
        prunePrefillRecalled);
    return pruneSteps == 0 ? prompts : prompts + String.format(Locale.ROOT, ", pruning: %.0f tokens active, %.0f shadow, %.0f dropped, %.0f read per step",
        pruneActiveTokens, pruneShadowTokens, pruneDroppedTokens, pruneReadTokens);
  }
}
