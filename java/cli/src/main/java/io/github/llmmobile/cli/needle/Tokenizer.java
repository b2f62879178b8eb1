package io.github.llmmobile.cli.needle;

/** Text to tokens. */
public interface Tokenizer {
  /**
   * The tokens of a text.
   *
   * @param text the text (required)
   * @param start whether it begins a context, and gets what the model wants there
   * @return ids (never null)
   */
  int[] tokenize(String text, boolean start);
}
