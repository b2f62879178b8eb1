package io.github.llmmobile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.config.PruningPolicy;
import io.github.llmmobile.config.TokenPruningConfig;
import org.junit.jupiter.api.Test;

class PrunePlanTest {
  private static TokenPruningConfig.Builder config() {
    return TokenPruningConfig.builder();
  }

  private static void detail(TokenPruningConfig.Builder config, String detail) {
    PrunePlan plan = new PrunePlan(config.build());
    assertTrue(plan.prunes());
    assertEquals(detail, plan.detail());
  }

  @Test
  void theDetailSaysWhatIsPruned() {
    detail(config(), "prunes tokens that together hold at most 1 % of a head's attention, in contexts from 1024 tokens;"
        + " all pruned ones can come back");
    detail(config().pruningThreshold(0.0025).minTokens(64).maxShadowSize(100), "prunes tokens that together hold at"
        + " most 0.25 % of a head's attention, in contexts from 64 tokens; at most 100 pruned ones can come back");
    detail(config().keepRatio(0.5).maxShadowSize(0),
        "keeps 50 % of the tokens active, in contexts from 1024 tokens; none can come back");
    detail(config().maxActiveTokens(300).policy(PruningPolicy.RECENCY),
        "keeps at most 300 tokens active, the newest, in contexts from 1024 tokens; all pruned ones can come back");
    detail(config().keepRatio(0.25).maxActiveTokens(300).policy(PruningPolicy.RANDOM), "keeps 25 % of the tokens and at"
        + " most 300 active, at random, in contexts from 1024 tokens; all pruned ones can come back");
  }

  @Test
  void theDetailSaysWhatLaterLayersSeeOfPrompts() {
    detail(config().prunePrefillKeep(0.3).pruningThreshold(0),
        "shows 30 % of a prompt from 1024 tokens to the layers after the first third");
    detail(config().prunePrefillKeep(0.3).prunePrefillLayer(12).minTokens(64).keepRatio(0.5), "shows 30 % of a prompt"
        + " from 64 tokens to the layers from 12 on; keeps 50 % of the tokens active, in contexts from 64 tokens;"
        + " all pruned ones can come back");
    PrunePlan whole = new PrunePlan(config().prunePrefillKeep(0.3).pruningThreshold(0).build()).withWholePrompts("why");
    assertFalse(whole.prunes());
    assertEquals("why", whole.wholePrompts());
  }

  @Test
  void withoutThresholdAndTargetNothingIsPruned() {
    PrunePlan plan = new PrunePlan(config().pruningThreshold(0).build());
    assertFalse(plan.prunes());
    assertEquals("prunes nothing: the threshold is 0 and there is no target", plan.detail());
    // What the native side takes for 0 is 0.
    assertFalse(new PrunePlan(config().pruningThreshold(Double.MIN_VALUE).keepRatio(1 - 1e-12).build()).prunes());
    assertTrue(new PrunePlan(config().pruningThreshold(0).maxActiveTokens(1).build()).prunes());
    assertTrue(new PrunePlan(config().pruningThreshold(0).keepRatio(0).build()).prunes());
  }
}
