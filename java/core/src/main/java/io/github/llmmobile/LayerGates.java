package io.github.llmmobile;

import java.util.Arrays;

/**
 * Which parts of the layers a session leaves out while it decodes. Part 2 l is the attention of layer l, part 2 l + 1
 * its feed-forward part; those of the first and the last layer are always evaluated. A part that is left out passes the
 * residual stream on, or has a stand-in: {@link LlmSession#setBypass}. Immutable.
 */
public final class LayerGates {
  private final int[] order;
  private final float[] entropyEdges;
  private final int[] levels;
  private final int denseTokens;
  private final boolean prompts;

  private LayerGates(int[] order, float[] entropyEdges, int[] levels, int denseTokens, boolean prompts) {
    this.order = order;
    this.entropyEdges = entropyEdges;
    this.levels = levels;
    this.denseTokens = denseTokens;
    this.prompts = prompts;
  }

  /**
   * The same parts in every step.
   *
   * @param parts what is left out (required)
   * @return the gates (never null)
   */
  public static LayerGates always(int... parts) {
    return new LayerGates(parts.clone(), new float[0], new int[] {parts.length}, 0, false);
  }

  /**
   * More or fewer parts, by how sure the model was of the token at hand.
   *
   * @param order parts, the first to be left out first (required)
   * @param entropyEdges ascending bounds, in nats, of the entropy of the prediction that the token was sampled from
   *     (required)
   * @param levels for each range of entropy, one more than edges, how many parts of the order are left out (required)
   * @param denseTokens steps that leave nothing out, from one whose entropy is in the last range on; at least 0
   * @return the gates (never null)
   * @throws LlmException INVALID_ARGUMENT if the levels are not one more than the edges; RANGE
   */
  public static LayerGates byEntropy(int[] order, float[] entropyEdges, int[] levels, int denseTokens) {
    if (levels.length != entropyEdges.length + 1) {
      throw Checks.invalid("levels", entropyEdges.length + " edges make " + (entropyEdges.length + 1)
          + " ranges, but there are " + levels.length + " levels");
    }
    Checks.atLeast("denseTokens", denseTokens, 0);
    return new LayerGates(order.clone(), entropyEdges.clone(), levels.clone(), denseTokens, false);
  }

  /**
   * The same gates, in prompts too, with the number of parts of the first range of entropy. For measuring: prompts are
   * evaluated as decoding would, many tokens at a time.
   *
   * @return the gates (never null)
   */
  public LayerGates inPrompts() {
    return new LayerGates(order, entropyEdges, levels, denseTokens, true);
  }

  /**
   * Parts, the first to be left out first.
   *
   * @return a copy (never null)
   */
  public int[] order() {
    return order.clone();
  }

  /**
   * Bounds of entropy.
   *
   * @return a copy (never null)
   */
  public float[] entropyEdges() {
    return entropyEdges.clone();
  }

  /**
   * How many parts are left out, for each range of entropy.
   *
   * @return a copy (never null)
   */
  public int[] levels() {
    return levels.clone();
  }

  /**
   * Steps that leave nothing out after an unsure one.
   *
   * @return at least 0
   */
  public int denseTokens() {
    return denseTokens;
  }

  /**
   * Whether prompts leave parts out too.
   *
   * @return false unless made by {@link #inPrompts()}
   */
  public boolean prompts() {
    return prompts;
  }

  @Override
  public String toString() {
    return "LayerGates[order=" + Arrays.toString(order) + ", entropyEdges=" + Arrays.toString(entropyEdges)
        + ", levels=" + Arrays.toString(levels) + ", denseTokens=" + denseTokens + ", prompts=" + prompts + "]";
  }
}
