package io.github.llmmobile;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * How an answer is generated: its length, the choice of each token, and what ends it. Texts must be Unicode; half of a
 * surrogate pair is {@link ErrorCode#ENCODING} when the generation begins.
 */
public final class GenerationOptions {
  /** Beyond this a number is surely a mistake, and single precision stops behaving. */
  private static final float LIMIT = 1e6f;

  private static final long MAX_SEED = 0xFFFFFFFFL;
  private static final List<String> DEFAULT_BREAKERS =
      Collections.unmodifiableList(Arrays.asList("\n", ":", "\"", "*"));
  private static final GenerationOptions DEFAULTS = builder().build();
  private static final GenerationOptions GREEDY = builder().temperature(0).build();

  private final int maxTokens;
  private final float temperature;
  private final int topK;
  private final float topP;
  private final float minP;
  private final float typicalP;
  private final float repeatPenalty;
  private final float frequencyPenalty;
  private final float presencePenalty;
  private final int penaltyLastN;
  private final float dryMultiplier;
  private final float dryBase;
  private final int dryAllowedLength;
  private final int dryPenaltyLastN;
  private final List<String> drySequenceBreakers;
  private final int mirostat;
  private final float mirostatTau;
  private final float mirostatEta;
  private final OptionalLong seed;
  private final Map<Integer, Double> logitBias;
  private final @Nullable String grammar;
  private final @Nullable String jsonSchema;
  private final List<String> stop;
  private final boolean ignoreEos;
  private final boolean logprobs;
  private final int tokensPerCallback;
  private final int draftTokens;

  private GenerationOptions(Builder b) {
    maxTokens = b.maxTokens;
    temperature = b.temperature;
    topK = b.topK;
    topP = b.topP;
    minP = b.minP;
    typicalP = b.typicalP;
    repeatPenalty = b.repeatPenalty;
    frequencyPenalty = b.frequencyPenalty;
    presencePenalty = b.presencePenalty;
    penaltyLastN = b.penaltyLastN;
    dryMultiplier = b.dryMultiplier;
    dryBase = b.dryBase;
    dryAllowedLength = b.dryAllowedLength;
    dryPenaltyLastN = b.dryPenaltyLastN;
    drySequenceBreakers = b.drySequenceBreakers;
    mirostat = b.mirostat;
    mirostatTau = b.mirostatTau;
    mirostatEta = b.mirostatEta;
    seed = b.seed;
    logitBias = b.logitBias;
    grammar = b.grammar;
    jsonSchema = b.jsonSchema;
    stop = b.stop;
    ignoreEos = b.ignoreEos;
    logprobs = b.logprobs;
    tokensPerCallback = b.tokensPerCallback;
    draftTokens = b.draftTokens;
  }

  /**
   * The defaults: sampling at temperature 0.8.
   *
   * @return the options (never null)
   */
  public static GenerationOptions defaults() {
    return DEFAULTS;
  }

  /**
   * The defaults, but always the most probable token.
   *
   * @return the options (never null)
   */
  public static GenerationOptions greedy() {
    return GREEDY;
  }

  /**
   * Starts from the defaults.
   *
   * @return a builder (never null)
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Starts from these options.
   *
   * @return a builder with the same values (never null)
   */
  public Builder toBuilder() {
    Builder b = new Builder();
    b.maxTokens = maxTokens;
    b.temperature = temperature;
    b.topK = topK;
    b.topP = topP;
    b.minP = minP;
    b.typicalP = typicalP;
    b.repeatPenalty = repeatPenalty;
    b.frequencyPenalty = frequencyPenalty;
    b.presencePenalty = presencePenalty;
    b.penaltyLastN = penaltyLastN;
    b.dryMultiplier = dryMultiplier;
    b.dryBase = dryBase;
    b.dryAllowedLength = dryAllowedLength;
    b.dryPenaltyLastN = dryPenaltyLastN;
    b.drySequenceBreakers = drySequenceBreakers;
    b.mirostat = mirostat;
    b.mirostatTau = mirostatTau;
    b.mirostatEta = mirostatEta;
    b.seed = seed;
    b.logitBias = logitBias;
    b.grammar = grammar;
    b.jsonSchema = jsonSchema;
    b.stop = stop;
    b.ignoreEos = ignoreEos;
    b.logprobs = logprobs;
    b.tokensPerCallback = tokensPerCallback;
    b.draftTokens = draftTokens;
    return b;
  }

  /**
   * The most tokens to generate; -1 goes on until the context is full, which it never is with eviction; 0 only reads the
   * prompt. Default: 256.
   *
   * @return at least -1
   */
  public int maxTokens() {
    return maxTokens;
  }

  /**
   * Randomness: logits are divided by it. 0 always takes the most probable token. Default: 0.8.
   *
   * @return from 0 to 1000000
   */
  public float temperature() {
    return temperature;
  }

  /**
   * Keep this many of the most probable tokens; 0 keeps all. Default: 40.
   *
   * @return at least 0
   */
  public int topK() {
    return topK;
  }

  /**
   * Keep the most probable tokens that together have this probability; 1 keeps all. Default: 0.95.
   *
   * @return from 0 to 1
   */
  public float topP() {
    return topP;
  }

  /**
   * Drop tokens less probable than this share of the most probable one; 0 keeps all. Default: 0.05.
   *
   * @return from 0 to 1
   */
  public float minP() {
    return minP;
  }

  /**
   * Locally typical sampling: keep the tokens closest to the expected surprise that together have this probability; 1
   * is off. Default: 1.
   *
   * @return from 0 to 1
   */
  public float typicalP() {
    return typicalP;
  }

  /**
   * Factor against tokens that occurred among the last {@link #penaltyLastN()}; 1 is off. Default: 1.
   *
   * @return above 0, at most 1000000
   */
  public float repeatPenalty() {
    return repeatPenalty;
  }

  /**
   * Subtracted from a token's logit once per occurrence; 0 is off. Default: 0.
   *
   * @return from -1000000 to 1000000
   */
  public float frequencyPenalty() {
    return frequencyPenalty;
  }

  /**
   * Subtracted from a token's logit if it occurred at all; 0 is off. Default: 0.
   *
   * @return from -1000000 to 1000000
   */
  public float presencePenalty() {
    return presencePenalty;
  }

  /**
   * How many tokens the three penalties look back; -1 is the whole context, 0 is off. Default: 64.
   *
   * @return at least -1
   */
  public int penaltyLastN() {
    return penaltyLastN;
  }

  /**
   * Strength of the DRY penalty against repeated sequences; 0 is off. Default: 0.
   *
   * @return from 0 to 1000000
   */
  public float dryMultiplier() {
    return dryMultiplier;
  }

  /**
   * How fast the DRY penalty grows with the length of the repetition. Default: 1.75.
   *
   * @return from 1 to 1000000
   */
  public float dryBase() {
    return dryBase;
  }

  /**
   * Length in tokens up to which DRY lets repetitions pass. Default: 2.
   *
   * @return at least 0
   */
  public int dryAllowedLength() {
    return dryAllowedLength;
  }

  /**
   * How many tokens DRY looks back; -1 is the whole context. Default: -1.
   *
   * @return at least -1
   */
  public int dryPenaltyLastN() {
    return dryPenaltyLastN;
  }

  /**
   * Texts at which DRY takes a sequence to end. Default: line break, colon, quotation mark, asterisk.
   *
   * @return the texts, unmodifiable (never null)
   */
  public List<String> drySequenceBreakers() {
    return drySequenceBreakers;
  }

  /**
   * Version of Mirostat sampling, which steers towards a constant surprise in place of top-k, top-p and the like; 0 is
   * off. Default: 0.
   *
   * @return 0, 1 or 2
   */
  public int mirostat() {
    return mirostat;
  }

  /**
   * The surprise that Mirostat steers to, in bits. Default: 5.
   *
   * @return from 0 to 1000000
   */
  public float mirostatTau() {
    return mirostatTau;
  }

  /**
   * How fast Mirostat adapts. Default: 0.1.
   *
   * @return from 0 to 1000000
   */
  public float mirostatEta() {
    return mirostatEta;
  }

  /**
   * Start of the random numbers: the same seed, options, prompt and history give the same answer on the same machine
   * with the same number of threads. Default: none, drawn anew for each generation.
   *
   * @return from 0 to 4294967295 (never null)
   */
  public OptionalLong seed() {
    return seed;
  }

  /**
   * What is added to the logits of tokens, by token id; negative infinity forbids a token. Default: nothing.
   *
   * @return ids and values from -1000000 to 1000000, unmodifiable (never null)
   */
  public Map<Integer, Double> logitBias() {
    return logitBias;
  }

  /**
   * A grammar in llama.cpp's GBNF that the answer must follow. Not together with {@link #jsonSchema()}. Default: none.
   *
   * @return the grammar's text (never null)
   */
  public Optional<String> grammar() {
    return Optional.ofNullable(grammar);
  }

  /**
   * A JSON schema; the answer is JSON that fits it. Not together with {@link #grammar()}. Default: none.
   *
   * @return the schema, a JSON object as text (never null)
   */
  public Optional<String> jsonSchema() {
    return Optional.ofNullable(jsonSchema);
  }

  /**
   * Texts that end the generation and are not part of the result. Default: none.
   *
   * @return texts that are not empty, unmodifiable (never null)
   */
  public List<String> stop() {
    return stop;
  }

  /**
   * Whether the tokens that end an answer are forbidden, so that the answer goes on. Default: false.
   *
   * @return true to go on
   */
  public boolean ignoreEos() {
    return ignoreEos;
  }

  /**
   * Whether the probability of each token is reported, which costs a pass over the vocabulary per token. Default:
   * false.
   *
   * @return true to report it
   */
  public boolean logprobs() {
    return logprobs;
  }

  /**
   * How many tokens come out of the native library at once. More cost fewer crossings and reach the listener later.
   * Default: 1.
   *
   * @return from 1 to 64
   */
  public int tokensPerCallback() {
    return tokensPerCallback;
  }

  /**
   * The most tokens drafted at once; 0 drafts none, and 8 suits most. Drafts are what followed the last few tokens
   * before, in the prompt or in the answer (prompt lookup, Saxena 2023); one step checks them all, and what the model
   * does not choose itself is taken back. It pays where the answer repeats the text, as in quoting, extracting and
   * editing; where it does not pay, it is left off, and so it is with token pruning, with eviction and with recurrent
   * models. A step of several tokens may round otherwise than steps of one, so that near-ties may fall otherwise; with
   * pages that is rare (docs/drafting.md). Default: 0.
   *
   * @return from 0 to 16
   */
  public int draftTokens() {
    return draftTokens;
  }

  @Override
  public String toString() {
    return "GenerationOptions[maxTokens=" + maxTokens + ", temperature=" + temperature + ", topK=" + topK + ", topP="
        + topP + ", minP=" + minP + ", seed=" + seed + "]";
  }

  /** Collects {@link GenerationOptions}. Not for use by several threads at once. */
  public static final class Builder {
    private int maxTokens = 256;
    private float temperature = 0.8f;
    private int topK = 40;
    private float topP = 0.95f;
    private float minP = 0.05f;
    private float typicalP = 1f;
    private float repeatPenalty = 1f;
    private float frequencyPenalty;
    private float presencePenalty;
    private int penaltyLastN = 64;
    private float dryMultiplier;
    private float dryBase = 1.75f;
    private int dryAllowedLength = 2;
    private int dryPenaltyLastN = -1;
    private List<String> drySequenceBreakers = DEFAULT_BREAKERS;
    private int mirostat;
    private float mirostatTau = 5f;
    private float mirostatEta = 0.1f;
    private OptionalLong seed = OptionalLong.empty();
    private Map<Integer, Double> logitBias = Collections.emptyMap();
    private @Nullable String grammar;
    private @Nullable String jsonSchema;
    private List<String> stop = Collections.emptyList();
    private boolean ignoreEos;
    private boolean logprobs;
    private int tokensPerCallback = 1;
    private int draftTokens;

    private Builder() {}

    /**
     * Sets {@link GenerationOptions#maxTokens()}.
     *
     * @param maxTokens at least -1
     * @return this
     */
    public Builder maxTokens(int maxTokens) {
      this.maxTokens = maxTokens;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#temperature()}.
     *
     * @param temperature from 0 to 1000000
     * @return this
     */
    public Builder temperature(float temperature) {
      this.temperature = temperature;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#topK()}.
     *
     * @param topK at least 0
     * @return this
     */
    public Builder topK(int topK) {
      this.topK = topK;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#topP()}.
     *
     * @param topP from 0 to 1
     * @return this
     */
    public Builder topP(float topP) {
      this.topP = topP;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#minP()}.
     *
     * @param minP from 0 to 1
     * @return this
     */
    public Builder minP(float minP) {
      this.minP = minP;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#typicalP()}.
     *
     * @param typicalP from 0 to 1
     * @return this
     */
    public Builder typicalP(float typicalP) {
      this.typicalP = typicalP;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#repeatPenalty()}.
     *
     * @param repeatPenalty above 0, at most 1000000
     * @return this
     */
    public Builder repeatPenalty(float repeatPenalty) {
      this.repeatPenalty = repeatPenalty;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#frequencyPenalty()}.
     *
     * @param frequencyPenalty from -1000000 to 1000000
     * @return this
     */
    public Builder frequencyPenalty(float frequencyPenalty) {
      this.frequencyPenalty = frequencyPenalty;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#presencePenalty()}.
     *
     * @param presencePenalty from -1000000 to 1000000
     * @return this
     */
    public Builder presencePenalty(float presencePenalty) {
      this.presencePenalty = presencePenalty;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#penaltyLastN()}.
     *
     * @param penaltyLastN at least -1
     * @return this
     */
    public Builder penaltyLastN(int penaltyLastN) {
      this.penaltyLastN = penaltyLastN;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#dryMultiplier()}.
     *
     * @param dryMultiplier from 0 to 1000000
     * @return this
     */
    public Builder dryMultiplier(float dryMultiplier) {
      this.dryMultiplier = dryMultiplier;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#dryBase()}.
     *
     * @param dryBase from 1 to 1000000
     * @return this
     */
    public Builder dryBase(float dryBase) {
      this.dryBase = dryBase;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#dryAllowedLength()}.
     *
     * @param dryAllowedLength at least 0
     * @return this
     */
    public Builder dryAllowedLength(int dryAllowedLength) {
      this.dryAllowedLength = dryAllowedLength;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#dryPenaltyLastN()}.
     *
     * @param dryPenaltyLastN at least -1
     * @return this
     */
    public Builder dryPenaltyLastN(int dryPenaltyLastN) {
      this.dryPenaltyLastN = dryPenaltyLastN;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#drySequenceBreakers()}.
     *
     * @param drySequenceBreakers the texts; copied (required)
     * @return this
     */
    public Builder drySequenceBreakers(List<String> drySequenceBreakers) {
      this.drySequenceBreakers = Checks.copy("drySequenceBreakers", drySequenceBreakers);
      return this;
    }

    /**
     * Sets {@link GenerationOptions#mirostat()}.
     *
     * @param mirostat 0, 1 or 2
     * @return this
     */
    public Builder mirostat(int mirostat) {
      this.mirostat = mirostat;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#mirostatTau()}.
     *
     * @param mirostatTau from 0 to 1000000
     * @return this
     */
    public Builder mirostatTau(float mirostatTau) {
      this.mirostatTau = mirostatTau;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#mirostatEta()}.
     *
     * @param mirostatEta from 0 to 1000000
     * @return this
     */
    public Builder mirostatEta(float mirostatEta) {
      this.mirostatEta = mirostatEta;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#seed()}.
     *
     * @param seed from 0 to 4294967295
     * @return this
     */
    public Builder seed(long seed) {
      this.seed = OptionalLong.of(seed);
      return this;
    }

    /**
     * Sets {@link GenerationOptions#logitBias()}.
     *
     * @param logitBias values by token id; copied (required)
     * @return this
     */
    public Builder logitBias(Map<Integer, Double> logitBias) {
      this.logitBias = Collections.unmodifiableMap(new LinkedHashMap<>(logitBias));
      return this;
    }

    /**
     * Sets {@link GenerationOptions#grammar()}.
     *
     * @param grammar the grammar in GBNF (required)
     * @return this
     */
    public Builder grammar(String grammar) {
      this.grammar = Objects.requireNonNull(grammar, "grammar");
      return this;
    }

    /**
     * Sets {@link GenerationOptions#jsonSchema()}.
     *
     * @param jsonSchema a JSON object as text (required)
     * @return this
     */
    public Builder jsonSchema(String jsonSchema) {
      this.jsonSchema = Objects.requireNonNull(jsonSchema, "jsonSchema");
      return this;
    }

    /**
     * Sets {@link GenerationOptions#stop()}.
     *
     * @param stop texts that are not empty; copied (required)
     * @return this
     */
    public Builder stop(List<String> stop) {
      this.stop = Checks.copy("stop", stop);
      return this;
    }

    /**
     * Sets {@link GenerationOptions#ignoreEos()}.
     *
     * @param ignoreEos true to go on
     * @return this
     */
    public Builder ignoreEos(boolean ignoreEos) {
      this.ignoreEos = ignoreEos;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#logprobs()}.
     *
     * @param logprobs true to report it
     * @return this
     */
    public Builder logprobs(boolean logprobs) {
      this.logprobs = logprobs;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#tokensPerCallback()}.
     *
     * @param tokensPerCallback from 1 to 64
     * @return this
     */
    public Builder tokensPerCallback(int tokensPerCallback) {
      this.tokensPerCallback = tokensPerCallback;
      return this;
    }

    /**
     * Sets {@link GenerationOptions#draftTokens()}.
     *
     * @param draftTokens from 0 to 16
     * @return this
     */
    public Builder draftTokens(int draftTokens) {
      this.draftTokens = draftTokens;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the options (never null)
     * @throws LlmException RANGE if a number is outside its range; INVALID_ARGUMENT if a stop string is empty or both
     *     grammar and schema are given
     */
    public GenerationOptions build() {
      Checks.atLeast("maxTokens", maxTokens, -1);
      Checks.between("temperature", temperature, 0f, LIMIT);
      Checks.atLeast("topK", topK, 0);
      Checks.between("topP", topP, 0f, 1f);
      Checks.between("minP", minP, 0f, 1f);
      Checks.between("typicalP", typicalP, 0f, 1f);
      Checks.between("repeatPenalty", repeatPenalty, Float.MIN_NORMAL, LIMIT);
      Checks.between("frequencyPenalty", frequencyPenalty, -LIMIT, LIMIT);
      Checks.between("presencePenalty", presencePenalty, -LIMIT, LIMIT);
      Checks.atLeast("penaltyLastN", penaltyLastN, -1);
      Checks.between("dryMultiplier", dryMultiplier, 0f, LIMIT);
      Checks.between("dryBase", dryBase, 1f, LIMIT);
      Checks.atLeast("dryAllowedLength", dryAllowedLength, 0);
      Checks.atLeast("dryPenaltyLastN", dryPenaltyLastN, -1);
      Checks.between("mirostat", mirostat, 0, 2);
      Checks.between("mirostatTau", mirostatTau, 0f, LIMIT);
      Checks.between("mirostatEta", mirostatEta, 0f, LIMIT);
      Checks.between("tokensPerCallback", tokensPerCallback, 1, 64);
      Checks.between("draftTokens", draftTokens, 0, 16);
      if (seed.isPresent() && (seed.getAsLong() < 0 || seed.getAsLong() > MAX_SEED)) {
        throw Checks.range("seed", seed.getAsLong(), "must be from 0 to " + MAX_SEED);
      }
      logitBias.forEach(Builder::checkBias);
      if (stop.contains("")) {
        throw Checks.invalid("stop", "must not contain an empty text");
      }
      if (grammar != null && jsonSchema != null) {
        throw Checks.invalid("jsonSchema", "cannot be given together with grammar");
      }
      return new GenerationOptions(this);
    }

    private static void checkBias(Integer token, Double bias) {
      Checks.atLeast("logitBias", token, 0);
      if (bias != Double.NEGATIVE_INFINITY) {
        Checks.between("logitBias[" + token + "]", bias, -LIMIT, LIMIT);
      }
    }
  }
}
