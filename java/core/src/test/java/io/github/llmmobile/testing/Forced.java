package io.github.llmmobile.testing;

import io.github.llmmobile.GenerationOptions;

/** Answers that are known beforehand: a grammar that allows only one. */
public final class Forced {
  private Forced() {}

  /** Options under which any model answers exactly this text. */
  public static GenerationOptions.Builder text(String text) {
    StringBuilder grammar = new StringBuilder("root ::= \"");
    for (char c : text.toCharArray()) {
      switch (c) {
        case '"':
        case '\\':
          grammar.append('\\').append(c);
          break;
        case '\n':
          grammar.append("\\n");
          break;
        default:
          grammar.append(c);
      }
    }
    return GenerationOptions.greedy().toBuilder().grammar(grammar.append('"').toString());
  }
}
