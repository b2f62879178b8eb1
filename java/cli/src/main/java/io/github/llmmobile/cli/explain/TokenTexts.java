package io.github.llmmobile.cli.explain;

import java.util.Arrays;
import java.util.function.Function;

/**
 * Texts of runs of tokens that make up the text of all when they are put together. A character whose bytes lie in
 * several tokens belongs to the run that holds the last of them, so that none comes in pieces.
 */
final class TokenTexts {
  /** More tokens than a character can be spread over, with some room for tokens without text. */
  private static final int AROUND = 8;

  private final int[] tokens;
  private final Function<int[], String> decoder;

  /**
   * Texts of a history.
   *
   * @param tokens ids
   * @param decoder gives the text of tokens; incomplete characters become U+FFFD
   */
  TokenTexts(int[] tokens, Function<int[], String> decoder) {
    this.tokens = tokens;
    this.decoder = decoder;
  }

  /** The text of the tokens from one position to before another. */
  String between(int from, int to) {
    // Read together with their neighbours: a text cut short agrees with them up to its last whole character.
    int begin = Math.max(0, from - AROUND);
    String whole = decode(begin, Math.min(tokens.length, to + AROUND));
    int start = common(decode(begin, from), whole);
    int end = to == tokens.length ? whole.length() : common(decode(begin, to), whole);
    return whole.substring(start, Math.max(start, end));
  }

  private String decode(int from, int to) {
    return from == to ? "" : decoder.apply(Arrays.copyOfRange(tokens, from, to));
  }

  /** Length of what two texts both begin with, in whole characters. */
  private static int common(String a, String b) {
    int most = Math.min(a.length(), b.length());
    int n = 0;
    while (n < most && a.charAt(n) == b.charAt(n)) {
      n++;
    }
    return n > 0 && Character.isHighSurrogate(a.charAt(n - 1)) ? n - 1 : n;
  }
}
