package io.github.llmmobile.internal;

import io.github.llmmobile.internal.jni.Llmm;
import io.github.llmmobile.internal.jni.LlmmPruneParams;

/** How a session prunes tokens, as the native interface takes it. */
public final class PruneSettings {
  final float threshold;
  final float keepRatio;
  final int maxActiveTokens;
  final int maxShadowTokens;
  final float selectMass;
  final int testInterval;
  final int minTokens;
  final int policy;
  final boolean record;
  final float prefillKeep;
  final int prefillLayer;
  final boolean bound;

  /**
   * Takes the values as they are; the native side checks them.
   *
   * @param threshold share of attention that pruned tokens hold at most
   * @param keepRatio share of tokens that stays active
   * @param maxActiveTokens tokens that stay active; 0 for any number
   * @param maxShadowTokens pruned tokens that are kept; -1 for all
   * @param selectMass share of attention that a step reads at least
   * @param testInterval steps between tests
   * @param minTokens context below which nothing is pruned
   * @param policy the native number of what decides
   * @param record whether events are kept
   * @param prefillKeep share of a prompt's tokens that later layers see
   * @param prefillLayer the first of these layers; 0 for the one after the first third
   * @param bound whether steps bound what they leave out
   */
  public PruneSettings(float threshold, float keepRatio, int maxActiveTokens, int maxShadowTokens, float selectMass,
      int testInterval, int minTokens, int policy, boolean record, float prefillKeep, int prefillLayer,
      boolean bound) {
    this.threshold = threshold;
    this.keepRatio = keepRatio;
    this.maxActiveTokens = maxActiveTokens;
    this.maxShadowTokens = maxShadowTokens;
    this.selectMass = selectMass;
    this.testInterval = testInterval;
    this.minTokens = minTokens;
    this.policy = policy;
    this.record = record;
    this.prefillKeep = prefillKeep;
    this.prefillLayer = prefillLayer;
    this.bound = bound;
  }

  /**
   * Whether anything is pruned at all.
   *
   * @return false if prompts are read in full, the threshold is 0 and there is no target
   */
  public boolean prunes() {
    return prunesDecoding() || prunesPrompts();
  }

  /**
   * Whether prompts are pruned.
   *
   * @return true if some layers see less than all of a prompt
   */
  public boolean prunesPrompts() {
    return prefillKeep < 1;
  }

  /**
   * Whether anything is pruned while a session decodes.
   *
   * @return false if the threshold is 0 and there is no target
   */
  public boolean prunesDecoding() {
    return threshold > 0 || keepRatio < 1 || maxActiveTokens > 0;
  }

  /** The native struct; the caller closes it. */
  LlmmPruneParams params() {
    LlmmPruneParams params = new LlmmPruneParams();
    Llmm.llmm_prune_params_init(params);
    params.threshold(threshold);
    params.keep_ratio(keepRatio);
    params.max_active_tokens(maxActiveTokens);
    params.max_shadow_tokens(maxShadowTokens);
    params.select_mass(selectMass);
    params.test_interval(testInterval);
    params.min_tokens(minTokens);
    params.policy(policy);
    params.record(NativeModel.flag(record));
    params.prefill_keep(prefillKeep);
    params.prefill_layer(prefillLayer);
    params.bound(NativeModel.flag(bound));
    return params;
  }
}
