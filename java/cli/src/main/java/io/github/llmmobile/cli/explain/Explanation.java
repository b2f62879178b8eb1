package io.github.llmmobile.cli.explain;

import java.util.List;
import java.util.Map;

/**
 * All that the page shows.
 *
 * @param title the model
 * @param technique how tokens were pruned, in words
 * @param tokens length of the history
 * @param promptTokens where the answer begins
 * @param segments the whole text, in order
 * @param changes what happened, the oldest first
 * @param counters names and values of the table, in order
 * @param notes what a reader has to know besides
 */
record Explanation(String title, String technique, int tokens, int promptTokens, List<Segment> segments,
    List<Change> changes, Map<String, String> counters, List<String> notes) {}
