package io.github.llmmobile;

import io.github.llmmobile.config.PruningPolicy;
import io.github.llmmobile.config.TokenPruningConfig;
import io.github.llmmobile.internal.PruneSettings;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The token pruning of a session: what its configuration wants. */
final class PrunePlan {
  /** Why there is no pruning with llama.cpp's own attention. */
  static final String EXACT = "exact_attention reads every token";

  private final TokenPruningConfig config;
  private final PruneSettings settings;
  private final @Nullable String wholePrompts;

  PrunePlan(TokenPruningConfig config) {
    this(config, null);
  }

  private PrunePlan(TokenPruningConfig config, @Nullable String wholePrompts) {
    this.config = config;
    this.wholePrompts = wholePrompts;
    settings = new PruneSettings((float) config.pruningThreshold(), (float) config.keepRatio(),
        config.maxActiveTokens(), config.maxShadowSize(), (float) config.selectionMass(), config.testInterval(),
        config.minTokens(), number(config.policy()), config.recordEvents(), (float) config.prunePrefillKeep(),
        config.prunePrefillLayer(), config.boundOmitted());
  }

  /** The native number of a policy. */
  private static int number(PruningPolicy policy) {
    switch (policy) {
      case RECENCY:
        return 1;
      case RANDOM:
        return 2;
      default:
        return 0;
    }
  }

  PruneSettings settings() {
    return settings;
  }

  /** Whether anything is pruned at all. */
  boolean prunes() {
    return settings.prunes();
  }

  /** What is pruned, for people. */
  String detail() {
    if (!prunes()) {
      return "prunes nothing: the threshold is 0 and there is no target";
    }
    String decoding = what() + by() + ", in contexts from " + config.minTokens() + " tokens; " + shadow();
    if (!settings.prunesPrompts()) {
      return decoding;
    }
    String prompts = "shows " + percent(config.prunePrefillKeep()) + " of a prompt from " + config.minTokens()
        + " tokens to the layers " + (config.prunePrefillLayer() == 0 ? "after the first third"
            : "from " + config.prunePrefillLayer() + " on");
    return settings.prunesDecoding() ? prompts + "; " + decoding : prompts + by();
  }

  /** The same, with prompts read in full, and why. */
  PrunePlan withWholePrompts(String reason) {
    return new PrunePlan(config.toBuilder().prunePrefillKeep(1).build(), reason);
  }

  /** Why prompts are read in full though they were to be pruned, or null. */
  @Nullable String wholePrompts() {
    return wholePrompts;
  }

  private String what() {
    boolean ratio = config.keepRatio() < 1;
    boolean most = config.maxActiveTokens() > 0;
    if (!ratio && !most) {
      return "prunes tokens that together hold at most " + percent(config.pruningThreshold())
          + " of a head's attention";
    }
    return "keeps " + (ratio ? percent(config.keepRatio()) + " of the tokens" : "") + (ratio && most ? " and " : "")
        + (most ? "at most " + config.maxActiveTokens() + (ratio ? "" : " tokens") : "") + " active";
  }

  private String by() {
    switch (config.policy()) {
      case RECENCY:
        return ", the newest";
      case RANDOM:
        return ", at random";
      default:
        return "";
    }
  }

  private String shadow() {
    switch (config.maxShadowSize()) {
      case -1:
        return "all pruned ones can come back";
      case 0:
        return "none can come back";
      default:
        return "at most " + config.maxShadowSize() + " pruned ones can come back";
    }
  }

  private static String percent(double share) {
    String number = String.format(Locale.ROOT, "%.4f", 100 * share);
    return number.replaceAll("\\.?0+$", "") + " %";
  }
}
