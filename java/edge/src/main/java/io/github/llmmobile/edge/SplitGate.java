package io.github.llmmobile.edge;

import java.util.Optional;

/** Decides before each step whether the worker may be used: where a policy comes in. */
@FunctionalInterface
public interface SplitGate {
  /**
   * Whether a step may go to the worker. On the session's thread, and quick.
   *
   * @param rows rows that would travel, those included that the worker has missed
   * @param bytes their length as records
   * @return empty to go ahead, else why not, in a word or two (never null)
   */
  Optional<String> refusal(int rows, long bytes);
}
