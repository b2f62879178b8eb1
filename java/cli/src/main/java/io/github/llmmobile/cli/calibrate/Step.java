package io.github.llmmobile.cli.calibrate;

/**
 * A step that decodes a token: what is known before it, and what it costs to leave parts out of this step alone.
 *
 * @param before what the model said of the token
 * @param surprise minus the logarithm of the probability that the token had then
 * @param state the hidden state after the last layer of the token before, divided by its root mean square
 * @param stateBefore the one before that
 * @param word the hidden state that goes into the first layer in this step, divided likewise
 * @param divergence of what the step says without the parts from what it says with them, nats
 * @param loss minus the logarithm of the probability of the token that follows, with the parts
 * @param lossWithout the same without them
 */
record Step(Sureness before, double surprise, float[] state, float[] stateBefore, float[] word, double divergence,
    double loss, double lossWithout) {
  /**
   * How sure a model is.
   *
   * @param entropy nats
   * @param first probability of the most probable token
   * @param second of the one after it
   */
  record Sureness(double entropy, double first, double second) {
    static Sureness of(Prediction prediction) {
      return new Sureness(prediction.entropy(), prediction.first(), prediction.second());
    }
  }

  /** The cosine between the last two hidden states. */
  double similarity() {
    double sum = 0;
    for (int i = 0; i < state.length; i++) {
      sum += (double) state[i] * stateBefore[i];
    }
    return sum / state.length;
  }
}
