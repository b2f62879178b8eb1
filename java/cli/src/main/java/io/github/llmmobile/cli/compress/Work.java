package io.github.llmmobile.cli.compress;

/** Hears how far the work has come, and may stop it by throwing. */
public interface Work {
  /**
   * Work goes on.
   *
   * @param what is being done, such as {@code blk.3.ffn_down.weight} (required)
   * @param fraction share that is done, 0 to 1
   */
  void onStep(String what, double fraction);
}
