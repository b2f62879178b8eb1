package io.github.llmmobile.edge.policy;

/** Hears decisions as they are made, on the thread that makes them. */
@FunctionalInterface
public interface RoutingListener {
  /**
   * Called once per decision, in order.
   *
   * @param event what was decided and what came of it (never null)
   */
  void onDecision(RoutingEvent event);

  /**
   * Hears and forgets.
   *
   * @return the listener (never null)
   */
  static RoutingListener none() {
    return event -> {};
  }
}
