package io.github.llmmobile.edge;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/** The newest tokens of a history, counted. */
final class RecentTokens {
  private final int most;
  private final Deque<Integer> tokens = new ArrayDeque<>();
  private final Map<Integer, Integer> counts = new HashMap<>();

  /**
   * None yet.
   *
   * @param most how many count
   */
  RecentTokens(int most) {
    this.most = most;
  }

  void add(int token) {
    if (most == 0) {
      return;
    }
    if (tokens.size() == most) {
      counts.computeIfPresent(tokens.removeFirst(), (id, count) -> count == 1 ? null : count - 1);
    }
    tokens.addLast(token);
    counts.merge(token, 1, Integer::sum);
  }

  /** How often a token is among them. */
  int count(int token) {
    return counts.getOrDefault(token, 0);
  }

  /** How many different tokens are among them. */
  int distinct() {
    return counts.size();
  }
}
