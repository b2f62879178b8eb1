package io.github.llmmobile.edge.remote;

import io.github.llmmobile.edge.policy.Place;

/** Hears an answer as it comes, on the thread that runs the generation. */
@FunctionalInterface
public interface RoutedListener {
  /**
   * Called for each piece of text, in order. What was heard is part of the answer for good.
   *
   * @param text whole characters, never empty (never null). An exception thrown here stops the generation and comes out
   *     of it
   * @param place where it came from, {@link Place#LOCAL} or {@link Place#REMOTE} (never null)
   */
  void onText(String text, Place place);
}
