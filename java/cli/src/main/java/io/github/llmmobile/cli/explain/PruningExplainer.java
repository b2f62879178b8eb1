package io.github.llmmobile.cli.explain;

import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.PruningEvent;
import io.github.llmmobile.PruningPage;
import io.github.llmmobile.SessionStats;
import io.github.llmmobile.cli.console.Units;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Shows what token pruning did while an answer was generated. */
public final class PruningExplainer {
  /** So many events wait in a session. */
  private static final int MOST_EVENTS = 65536;

  private PruningExplainer() {}

  /**
   * Explains the last generation of a session.
   *
   * @param title the model, for people (required)
   * @param technique how tokens were pruned, in words (required)
   * @param model the model (required)
   * @param session the session, which records events (required)
   * @param result what was generated (required)
   * @param evicts whether the memory manager may evict pages, so that not all that is gone was dropped
   * @return a whole HTML page (never null)
   */
  public static String html(String title, String technique, LlmModel model, LlmSession session,
      GenerationResult result, boolean evicts) {
    int[] tokens = session.tokens();
    TokenTexts texts = new TokenTexts(tokens, ids -> model.detokenize(ids, true));
    List<Change> changes = new ArrayList<>();
    for (PruningEvent event : session.pruningEvents()) {
      changes.add(new Change(event.position(), event.firstPosition(), event.lastPosition(), event.kind()));
    }
    List<Segment> pages = session.pruningPages().stream().map(PruningExplainer::segment).toList();
    SessionStats stats = result.stats();
    Explanation explanation = new Explanation(title, technique, tokens.length, result.promptTokens(),
        Segments.of(pages, tokens.length, result.promptTokens(), texts,
            evicts ? Segment.State.ABSENT : Segment.State.DROPPED),
        changes, counters(stats), notes(stats, changes.size(), evicts));
    return new ExplanationPage(explanation).html();
  }

  private static Segment segment(PruningPage page) {
    return new Segment(page.firstPosition(), page.lastPosition(), "",
        Segment.State.of(page.activeShare(), page.droppedShare()), page.importance(), page.activeShare(),
        page.droppedShare());
  }

  private static Map<String, String> counters(SessionStats stats) {
    Map<String, String> counters = new LinkedHashMap<>();
    counters.put("tokens", stats.tokens() + ", of which " + stats.generatedTokens() + " were generated");
    counters.put("active, shadow, dropped", Units.decimal(stats.pruneActiveTokens(), 0) + ", "
        + Units.decimal(stats.pruneShadowTokens(), 0) + ", " + Units.decimal(stats.pruneDroppedTokens(), 0)
        + " tokens, on average over layers and heads");
    counters.put("pruned, recalled", Units.decimal(stats.prunePrunedTokens(), 0) + ", "
        + Units.decimal(stats.pruneRecalledTokens(), 0) + " tokens");
    counters.put("read per step", Units.decimal(stats.pruneReadTokens(), 0) + " tokens");
    counters.put("attention left out", Units.decimal(100 * stats.pruneOmittedMass(), 2) + " % on average, "
        + Units.decimal(100 * stats.pruneOmittedMost(), 2) + " % at most");
    counters.put("steps", stats.pruneSteps() + " with pruning in force, of which " + stats.pruneTests()
        + " tested all tokens and " + stats.pruneLooks() + " looked at the active ones");
    counters.put("time spent deciding", Units.decimal(stats.pruneMicros() / 1e3, 1) + " ms");
    return counters;
  }

  private static List<String> notes(SessionStats stats, int events, boolean evicts) {
    List<String> notes = new ArrayList<>();
    if (stats.pruneSteps() == 0) {
      notes.add("The context stayed below the least number of tokens for pruning, so nothing was measured or pruned.");
    }
    if (events >= MOST_EVENTS) {
      notes.add("More happened than was recorded: recalls and prunings end at the " + MOST_EVENTS + "th.");
    }
    if (evicts && stats.kvPagesEvicted() > 0) {
      notes.add("Pages were evicted or dropped, and the first ones moved up: these may be shown at the wrong place.");
    }
    return notes;
  }
}
