package io.github.llmmobile.config;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Token pruning with a shadow set: {@code token_pruning_config}.
 *
 * <p>While a session decodes, each head reads active tokens only. Pruned ones are in the shadow set: kept, not read, and
 * tested every few steps; those that matter again come back. This goes page by page, so the session has pages: those of
 * {@link MemoryManagerConfig}, or without one pages of 32 tokens in 16 bits and without a budget. Pinned and recent
 * tokens are always read, and prompts read all but what was dropped.
 *
 * <p>With {@link #prunePrefillKeep()} below 1, long prompts are pruned too: later layers see only a part of their tokens,
 * so that the first token of the answer comes sooner.
 */
public final class TokenPruningConfig {
  static final String PATH = "token_pruning_config";
  private static final String THRESHOLD = "pruning_threshold";
  private static final String SHADOW = "max_shadow_size";
  private static final String KEEP = "keep_ratio";
  private static final String ACTIVE = "max_active_tokens";
  private static final String SELECTION = "selection_mass";
  private static final String TEST = "test_interval";
  private static final String MIN = "min_tokens";
  private static final String POLICY = "policy";
  private static final String RECORD = "record_events";
  private static final String PREFILL_KEEP = "prune_prefill_keep";
  private static final String PREFILL_LAYER = "prune_prefill_layer";
  private static final String BOUND = "bound_omitted";

  private final double pruningThreshold;
  private final int maxShadowSize;
  private final double keepRatio;
  private final int maxActiveTokens;
  private final double selectionMass;
  private final int testInterval;
  private final int minTokens;
  private final PruningPolicy policy;
  private final boolean recordEvents;
  private final double prunePrefillKeep;
  private final int prunePrefillLayer;
  private final boolean boundOmitted;

  private TokenPruningConfig(Builder b) {
    pruningThreshold = b.pruningThreshold;
    maxShadowSize = b.maxShadowSize;
    keepRatio = b.keepRatio;
    maxActiveTokens = b.maxActiveTokens;
    selectionMass = b.selectionMass;
    testInterval = b.testInterval;
    minTokens = b.minTokens;
    policy = b.policy;
    recordEvents = b.recordEvents;
    prunePrefillKeep = b.prunePrefillKeep;
    prunePrefillLayer = b.prunePrefillLayer;
    boundOmitted = b.boundOmitted;
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
   * Starts from this section.
   *
   * @return a builder with the same values (never null)
   */
  public Builder toBuilder() {
    Builder b = new Builder();
    b.pruningThreshold = pruningThreshold;
    b.maxShadowSize = maxShadowSize;
    b.keepRatio = keepRatio;
    b.maxActiveTokens = maxActiveTokens;
    b.selectionMass = selectionMass;
    b.testInterval = testInterval;
    b.minTokens = minTokens;
    b.policy = policy;
    b.recordEvents = recordEvents;
    b.prunePrefillKeep = prunePrefillKeep;
    b.prunePrefillLayer = prunePrefillLayer;
    b.boundOmitted = boundOmitted;
    return b;
  }

  /**
   * The share of a head's attention, by moving average, that the tokens pruned from it hold together at most. 0 prunes
   * nothing; a larger one prunes at least as much. In JSON {@code pruning_threshold}. Default: 0.01.
   *
   * @return from 0 to 1
   */
  public double pruningThreshold() {
    return pruningThreshold;
  }

  /**
   * How many pruned tokens are kept so that they can come back, on average over layers and heads. What does not fit is
   * dropped for good, the least important first. In JSON {@code max_shadow_size}. Default: -1, bounded by memory only.
   *
   * @return a number of tokens; 0 for none, -1 for no limit
   */
  public int maxShadowSize() {
    return maxShadowSize;
  }

  /**
   * The share of all tokens that stays active, on average over layers and heads. In JSON {@code keep_ratio}. Default:
   * 1, the threshold decides; less takes its place.
   *
   * @return from 0 to 1
   */
  public double keepRatio() {
    return keepRatio;
  }

  /**
   * The same as a number of tokens. In JSON {@code max_active_tokens}. Default: 0, any number.
   *
   * @return a number of tokens, from 0
   */
  public int maxActiveTokens() {
    return maxActiveTokens;
  }

  /**
   * The share of a head's attention that a step reads at least, by estimate: of the active tokens it reads the fewest
   * that hold so much. In JSON {@code selection_mass}. Default: 1, all of them.
   *
   * @return from 0 to 1; 1 reads all active tokens
   */
  public double selectionMass() {
    return selectionMass;
  }

  /**
   * Steps from one test of the pruned tokens to the next. A test reads them all, and those that matter again come back.
   * In JSON {@code test_interval}. Default: 8.
   *
   * @return steps, from 1
   */
  public int testInterval() {
    return testInterval;
  }

  /**
   * The context length below which nothing is pruned. In JSON {@code min_tokens}. Default: 1024.
   *
   * @return a number of tokens, from 0
   */
  public int minTokens() {
    return minTokens;
  }

  /**
   * What decides which tokens stay. In JSON {@code policy}, as {@code "attention"}, {@code "recency"} or {@code
   * "random"}. Default: attention.
   *
   * @return the policy (never null)
   */
  public PruningPolicy policy() {
    return policy;
  }

  /**
   * Whether the session keeps a list of what was pruned and recalled. In JSON {@code record_events}. Default: false.
   *
   * @return true if it does
   */
  public boolean recordEvents() {
    return recordEvents;
  }

  /**
   * The share of a prompt's tokens that the layers from {@link #prunePrefillLayer()} on see, if it has {@link
   * #minTokens()} tokens or more. Those tokens stay that the end of the prompt attends to or shares words with, and the newest;
   * the others take no memory in these layers, and come back if a later prompt of 512 tokens or less is about them: {@link
   * #maxShadowSize()} tokens at most, while the budget has room for their hidden states. In JSON {@code
   * prune_prefill_keep}. Default: 1, all of them.
   *
   * @return from 0 to 1; 1 prunes no prompt
   */
  public double prunePrefillKeep() {
    return prunePrefillKeep;
  }

  /**
   * The first layer that sees only a part of a long prompt. In JSON {@code prune_prefill_layer}. Default: 0.
   *
   * @return a layer from 1; 0 for the one after the first third
   */
  public int prunePrefillLayer() {
    return prunePrefillLayer;
  }

  /**
   * Whether each step bounds the share of attention that it leaves out, see {@link
   * io.github.llmmobile.SessionStats#pruneOmittedBound()}. In JSON {@code bound_omitted}. Default: false.
   *
   * @return true if it does
   */
  public boolean boundOmitted() {
    return boundOmitted;
  }

  static TokenPruningConfig read(ConfigReader reader, String path) throws IOException {
    Builder b = builder();
    Map<String, ConfigReader.Field> fields = new LinkedHashMap<>();
    fields.put(THRESHOLD, (r, p) -> b.pruningThreshold(r.number(p)));
    fields.put(SHADOW, (r, p) -> b.maxShadowSize(r.integer(p)));
    fields.put(KEEP, (r, p) -> b.keepRatio(r.number(p)));
    fields.put(ACTIVE, (r, p) -> b.maxActiveTokens(r.integer(p)));
    fields.put(SELECTION, (r, p) -> b.selectionMass(r.number(p)));
    fields.put(TEST, (r, p) -> b.testInterval(r.integer(p)));
    fields.put(MIN, (r, p) -> b.minTokens(r.integer(p)));
    fields.put(POLICY, (r, p) -> b.policy(PruningPolicy.read(r.text(p), p)));
    fields.put(RECORD, (r, p) -> b.recordEvents(r.flag(p)));
    fields.put(PREFILL_KEEP, (r, p) -> b.prunePrefillKeep(r.number(p)));
    fields.put(PREFILL_LAYER, (r, p) -> b.prunePrefillLayer(r.integer(p)));
    fields.put(BOUND, (r, p) -> b.boundOmitted(r.flag(p)));
    reader.object(path, fields);
    return b.build();
  }

  JsonObject toJson() {
    JsonObject json = new JsonObject();
    json.addProperty(THRESHOLD, pruningThreshold);
    json.addProperty(SHADOW, maxShadowSize);
    json.addProperty(KEEP, keepRatio);
    json.addProperty(ACTIVE, maxActiveTokens);
    json.addProperty(SELECTION, selectionMass);
    json.addProperty(TEST, testInterval);
    json.addProperty(MIN, minTokens);
    json.addProperty(POLICY, policy.jsonName());
    json.addProperty(RECORD, recordEvents);
    json.addProperty(PREFILL_KEEP, prunePrefillKeep);
    json.addProperty(PREFILL_LAYER, prunePrefillLayer);
    json.addProperty(BOUND, boundOmitted);
    return json;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof TokenPruningConfig)) {
      return false;
    }
    TokenPruningConfig that = (TokenPruningConfig) other;
    return Double.compare(pruningThreshold, that.pruningThreshold) == 0
        && maxShadowSize == that.maxShadowSize
        && Double.compare(keepRatio, that.keepRatio) == 0
        && maxActiveTokens == that.maxActiveTokens
        && Double.compare(selectionMass, that.selectionMass) == 0
        && testInterval == that.testInterval
        && minTokens == that.minTokens
        && policy == that.policy
        && recordEvents == that.recordEvents
        && Double.compare(prunePrefillKeep, that.prunePrefillKeep) == 0
        && prunePrefillLayer == that.prunePrefillLayer
        && boundOmitted == that.boundOmitted;
  }

  @Override
  public int hashCode() {
    return Objects.hash(pruningThreshold, maxShadowSize, keepRatio, maxActiveTokens, selectionMass, testInterval,
        minTokens, policy, recordEvents, prunePrefillKeep, prunePrefillLayer, boundOmitted);
  }

  @Override
  public String toString() {
    return PATH + toJson();
  }

  /** Collects a {@link TokenPruningConfig}. Not for use by several threads at once. */
  public static final class Builder {
    private static final int MAX_TOKENS = 1 << 27;
    private static final int MAX_LAYERS = 1 << 16;

    private double pruningThreshold = 0.01;
    private int maxShadowSize = -1;
    private double keepRatio = 1;
    private int maxActiveTokens;
    private double selectionMass = 1;
    private int testInterval = 8;
    private int minTokens = 1024;
    private PruningPolicy policy = PruningPolicy.ATTENTION;
    private boolean recordEvents;
    private double prunePrefillKeep = 1;
    private int prunePrefillLayer;
    private boolean boundOmitted;

    private Builder() {}

    /**
     * Sets {@link TokenPruningConfig#pruningThreshold()}.
     *
     * @param pruningThreshold from 0 to 1
     * @return this
     */
    public Builder pruningThreshold(double pruningThreshold) {
      this.pruningThreshold = pruningThreshold;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#maxShadowSize()}.
     *
     * @param maxShadowSize tokens, or -1 for no limit
     * @return this
     */
    public Builder maxShadowSize(int maxShadowSize) {
      this.maxShadowSize = maxShadowSize;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#keepRatio()}.
     *
     * @param keepRatio from 0 to 1
     * @return this
     */
    public Builder keepRatio(double keepRatio) {
      this.keepRatio = keepRatio;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#maxActiveTokens()}.
     *
     * @param maxActiveTokens tokens, or 0 for any number
     * @return this
     */
    public Builder maxActiveTokens(int maxActiveTokens) {
      this.maxActiveTokens = maxActiveTokens;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#selectionMass()}.
     *
     * @param selectionMass from 0 to 1
     * @return this
     */
    public Builder selectionMass(double selectionMass) {
      this.selectionMass = selectionMass;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#testInterval()}.
     *
     * @param testInterval steps, from 1
     * @return this
     */
    public Builder testInterval(int testInterval) {
      this.testInterval = testInterval;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#minTokens()}.
     *
     * @param minTokens tokens, from 0
     * @return this
     */
    public Builder minTokens(int minTokens) {
      this.minTokens = minTokens;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#policy()}.
     *
     * @param policy the policy (required)
     * @return this
     */
    public Builder policy(PruningPolicy policy) {
      this.policy = Objects.requireNonNull(policy, "policy");
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#recordEvents()}.
     *
     * @param recordEvents true to keep the list
     * @return this
     */
    public Builder recordEvents(boolean recordEvents) {
      this.recordEvents = recordEvents;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#prunePrefillKeep()}.
     *
     * @param prunePrefillKeep from 0 to 1
     * @return this
     */
    public Builder prunePrefillKeep(double prunePrefillKeep) {
      this.prunePrefillKeep = prunePrefillKeep;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#prunePrefillLayer()}.
     *
     * @param prunePrefillLayer a layer of the model from 1, or 0 for the one after the first third
     * @return this
     */
    public Builder prunePrefillLayer(int prunePrefillLayer) {
      this.prunePrefillLayer = prunePrefillLayer;
      return this;
    }

    /**
     * Sets {@link TokenPruningConfig#boundOmitted()}.
     *
     * @param boundOmitted true to bound it
     * @return this
     */
    public Builder boundOmitted(boolean boundOmitted) {
      this.boundOmitted = boundOmitted;
      return this;
    }

    /**
     * Checks and builds.
     *
     * @return the section (never null)
     * @throws io.github.llmmobile.LlmException CONFIG if a value is outside its range
     */
    public TokenPruningConfig build() {
      pruningThreshold = share(THRESHOLD, pruningThreshold);
      keepRatio = share(KEEP, keepRatio);
      selectionMass = share(SELECTION, selectionMass);
      prunePrefillKeep = share(PREFILL_KEEP, prunePrefillKeep);
      number(SHADOW, maxShadowSize, -1, MAX_TOKENS);
      number(ACTIVE, maxActiveTokens, 0, MAX_TOKENS);
      number(TEST, testInterval, 1, MAX_TOKENS);
      number(MIN, minTokens, 0, MAX_TOKENS);
      number(PREFILL_LAYER, prunePrefillLayer, 0, MAX_LAYERS);
      return new TokenPruningConfig(this);
    }

    private static double share(String key, double value) {
      if (!(value >= 0 && value <= 1)) {
        throw ConfigReader.error(PATH + "." + key, "must be from 0 to 1, but is " + value);
      }
      // Negative zero would come back from JSON as another value.
      return value + 0.0;
    }

    private static void number(String key, int value, int least, int most) {
      if (value < least || value > most) {
        throw ConfigReader.error(PATH + "." + key, "must be from " + least + " to " + most + ", but is " + value);
      }
    }
  }
}
