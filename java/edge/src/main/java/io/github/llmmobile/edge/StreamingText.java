package io.github.llmmobile.edge;

import io.github.llmmobile.LlmModel;
import java.util.Arrays;

/** The text of tokens as they come, in whole characters. */
final class StreamingText {
  private static final int CONTEXT = 4;
  /** The bytes of a character are at most that many tokens. */
  private static final int MAX_WAIT = 4;

  private final LlmModel model;
  private int[] tokens;
  private int count;
  // Tokens [from, shown) are text that is out already and stands before what comes: some tokens' text depends on it.
  private int from;
  private int shown;

  /** Text that follows a prompt. */
  StreamingText(LlmModel model, int[] prompt) {
    this.model = model;
    int kept = Math.min(CONTEXT, prompt.length);
    tokens = Arrays.copyOf(Arrays.copyOfRange(prompt, prompt.length - kept, prompt.length), 64);
    count = kept;
    shown = kept;
  }

  /** The text that is complete with a token; it may be empty. */
  String add(int token) {
    if (count == tokens.length) {
      tokens = Arrays.copyOf(tokens, 2 * count);
    }
    tokens[count++] = token;
    return take(count - shown >= MAX_WAIT);
  }

  /** What is left when no more tokens come. */
  String end() {
    return take(true);
  }

  private String take(boolean incomplete) {
    String before = model.detokenize(Arrays.copyOfRange(tokens, from, shown), false);
    String all = model.detokenize(Arrays.copyOfRange(tokens, from, count), false);
    if (all.length() <= before.length() || !incomplete && all.endsWith("\ufffd")) {
      return "";
    }
    String text = all.substring(before.length());
    from = shown;
    shown = count;
    return text;
  }
}
