package io.github.llmmobile;

import java.util.Locale;

/** Counters of a session, or of one generation. */
public final class SessionStats {
  private static final double MICROS_PER_SECOND = 1e6;

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
  private final int kvPagesF16;
  private final int kvPagesQ4;
  private final int kvPagesEvicted;
  private final long kvDemotions;
  private final long kvPromotions;
  private final long kvEvictions;
  private final long kvDemotionMicros;

  /** Takes the counters in the order of the native struct. */
  SessionStats(long[] values) {
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
    kvPagesF16 = Math.toIntExact(values[14]);
    kvPagesQ4 = Math.toIntExact(values[15]);
    kvPagesEvicted = Math.toIntExact(values[16]);
    kvDemotions = values[17];
    kvPromotions = values[18];
    kvEvictions = values[19];
    kvDemotionMicros = values[20];
  }

  /** What was counted since an earlier moment; lengths, threads and memory are those of now. */
  SessionStats since(SessionStats before) {
    return new SessionStats(new long[] {
      contextTokens, tokens, threads, batchThreads, promptTokens - before.promptTokens,
      reusedTokens - before.reusedTokens, generatedTokens - before.generatedTokens,
      promptMicros - before.promptMicros, decodeMicros - before.decodeMicros, sampleMicros - before.sampleMicros,
      modelBytes, kvBytes, computeBytes, kvPeakBytes, kvPagesF16, kvPagesQ4, kvPagesEvicted,
      kvDemotions - before.kvDemotions, kvPromotions - before.kvPromotions, kvEvictions - before.kvEvictions,
      kvDemotionMicros - before.kvDemotionMicros
    });
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
   * Size of the session's work buffers.
   *
   * @return bytes
   */
  public long computeBytes() {
    return computeBytes;
  }

  /**
   * Most bytes that the pages of the session and their tables took; 0 without a memory manager.
   *
   * @return bytes
   */
  public long kvPeakBytes() {
    return kvPeakBytes;
  }

  /**
   * Pages as stored, in all layers.
   *
   * @return a count of pages
   */
  public int kvPagesF16() {
    return kvPagesF16;
  }

  /**
   * Pages of 4 bits per element.
   *
   * @return a count of pages
   */
  public int kvPagesQ4() {
    return kvPagesQ4;
  }

  /**
   * Pages whose tokens are in the history and no longer in the cache.
   *
   * @return a count of pages
   */
  public int kvPagesEvicted() {
    return kvPagesEvicted;
  }

  /**
   * Times that a page was quantised.
   *
   * @return a count
   */
  public long kvDemotions() {
    return kvDemotions;
  }

  /**
   * Times that a quantised page was written again.
   *
   * @return a count
   */
  public long kvPromotions() {
    return kvPromotions;
  }

  /**
   * Times that a page was evicted.
   *
   * @return a count
   */
  public long kvEvictions() {
    return kvEvictions;
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
            + " context %d of %d, cache %.1f MiB",
        promptTokens, reusedTokens, promptTokensPerSecond(), generatedTokens, decodeTokensPerSecond(), tokens,
        contextTokens, kvBytes / (1024.0 * 1024.0));
  }
}
