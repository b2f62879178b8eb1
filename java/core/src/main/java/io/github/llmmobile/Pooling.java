package io.github.llmmobile;

/** How the hidden states of a text's tokens become one vector. */
public enum Pooling {
  /** Their mean. */
  MEAN,
  /** That of the first token. */
  CLS,
  /** That of the last token. */
  LAST
}
