package io.github.llmmobile.cli.needle;

import java.util.List;

/** One needle in its haystack, as tokens, with the question and the keys to choose from. */
public final class NeedlePrompt {
  final String filler;
  final int depth;
  /** Tokens in front of the needle. */
  final int position;
  final int[] context;
  /** Evaluated one by one after the context. */
  final int[] gap;
  /** Evaluated in one step. */
  final int[] question;
  /** Evaluated one by one after the question. */
  final int[] opening;
  /** The right one first. */
  final List<String> keys;
  /** Of the same length each, in the order of {@link #keys}. */
  final int[][] keyTokens;

  NeedlePrompt(String filler, int depth, int position, int[] context, int[] gap, int[] question, int[] opening,
      List<String> keys, int[][] keyTokens) {
    this.filler = filler;
    this.depth = depth;
    this.position = position;
    this.context = context;
    this.gap = gap;
    this.question = question;
    this.opening = opening;
    this.keys = List.copyOf(keys);
    this.keyTokens = keyTokens;
  }

  /** {@return the room that a session needs for it, in tokens} */
  public int contextTokens() {
    return context.length + gap.length + question.length + opening.length + keyTokens[0].length;
  }
}
