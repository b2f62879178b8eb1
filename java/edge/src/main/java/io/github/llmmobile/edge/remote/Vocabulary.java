package io.github.llmmobile.edge.remote;

/** Between texts and tokens of the device's model. */
interface Vocabulary {
  /** Tokens of plain text; control tokens are not looked for. */
  int[] tokenize(String text);

  /** Text of tokens without that of control tokens; U+FFFD stands for bytes that form no character. */
  String detokenize(int[] tokens);
}
