package io.github.llmmobile.edge.remote;

import java.util.Arrays;

/**
 * An answer as tokens of the device's model and as text, side by side, whoever said which part. Tokens that the device
 * chose stay as they are; text from elsewhere is tokenised from the beginning of the word that it continues, so that the
 * device's model reads words as it is used to.
 */
final class AnswerTokens {
  private static final char INCOMPLETE = '\ufffd';
  /** More tokens than that form no single character; then U+FFFD is what the model says. */
  private static final int LONGEST_CHARACTER = 8;
  /** Tokens in front that detokenising sees: the first of a text may lose its blank. */
  private static final int CONTEXT = 4;
  /** How far back a word may begin. */
  private static final int LONGEST_WORD = 8;
  private static final String[] ANCHORS = {"", "\n", "."};

  private final Vocabulary vocabulary;
  private final int promptTokens;
  private final StringBuilder text = new StringBuilder();
  private int[] ids;
  /** For each token the length of the text with it. */
  private int[] ends;
  /** For each token whether its text begins where that of the one before ends. */
  private boolean[] begins;
  private int count;
  /** Tokens whose text is known. */
  private int read;

  AnswerTokens(Vocabulary vocabulary, int[] prompt) {
    this.vocabulary = vocabulary;
    promptTokens = prompt.length;
    ids = Arrays.copyOf(prompt, prompt.length + 64);
    ends = new int[ids.length];
    begins = new boolean[ids.length];
    count = prompt.length;
    read = count;
  }

  /** Prompt and answer. */
  int[] all() {
    return Arrays.copyOf(ids, count);
  }

  /** Tokens of the answer. */
  int size() {
    return count - promptTokens;
  }

  /** The answer so far, whole characters only. */
  String text() {
    return text.toString();
  }

  /** Whether the last token leaves a character incomplete. */
  boolean incomplete() {
    return read < count;
  }

  /** Takes a token of the device. Gives the text that became complete with it. */
  String append(int id) {
    grow();
    begins[count] = read == count;
    ids[count++] = id;
    String fresh = after(read, count);
    if (!fresh.isEmpty() && fresh.charAt(fresh.length() - 1) == INCOMPLETE && count - read < LONGEST_CHARACTER) {
      ends[count - 1] = text.length();
      return "";
    }
    text.append(fresh);
    ends[count - 1] = text.length();
    read = count;
    return fresh;
  }

  /** At the end: the text of the last tokens, but for the character that they leave incomplete. */
  String rest() {
    String rest = after(read, count);
    int length = rest.length();
    while (length > 0 && rest.charAt(length - 1) == INCOMPLETE) {
      length--;
    }
    return rest.substring(0, length);
  }

  /** Text of tokens [from, to) where they stand. */
  private String after(int from, int to) {
    int begin = Math.max(0, from - CONTEXT);
    String before = vocabulary.detokenize(Arrays.copyOfRange(ids, begin, from));
    String with = vocabulary.detokenize(Arrays.copyOfRange(ids, begin, to));
    return with.startsWith(before) ? with.substring(before.length())
        : vocabulary.detokenize(Arrays.copyOfRange(ids, from, to));
  }

  /** Takes text from elsewhere. Tokens that have no text yet are dropped: nobody has seen them. */
  void append(String more) {
    if (more.isEmpty()) {
      return;
    }
    count = read;
    int from = wordBegin(more);
    int kept = end(from);
    String tail = text.substring(kept) + more;
    String whole = text + more;
    int[] tokens = tokensOf(tail, from);
    count = from;
    read = from;
    text.setLength(kept);
    for (int token : tokens) {
      append(token);
    }
    if (read < count || !whole.contentEquals(text)) {
      // No tokens give this text back; then its tokens are one piece, and the text is what was said.
      text.setLength(0);
      text.append(whole);
      for (int i = from; i < count; i++) {
        ends[i] = text.length();
        begins[i] = i == from;
      }
      read = count;
    }
  }

  /** The token that begins the word which the text continues; the end if it begins one itself, or none is near. */
  private int wordBegin(String more) {
    if (Character.isWhitespace(more.charAt(0))) {
      return count;
    }
    for (int i = count - 1; i >= promptTokens && i >= count - LONGEST_WORD; i--) {
      int at = end(i);
      if (begins[i] && at < text.length() && (i == promptTokens || Character.isWhitespace(text.charAt(at)))) {
        return i;
      }
    }
    return count;
  }

  private int end(int tokens) {
    return tokens == promptTokens ? 0 : ends[tokens - 1];
  }

  /**
   * Tokens of a text that follows others. Some tokenisers put a blank in front of every text; something in front of it,
   * whose tokens are then left out, keeps them from that. What gives the text back is taken.
   */
  private int[] tokensOf(String tail, int from) {
    int[] first = new int[0];
    for (String anchor : ANCHORS) {
      int[] anchorTokens = anchor.isEmpty() ? new int[0] : vocabulary.tokenize(anchor);
      int[] together = vocabulary.tokenize(anchor + tail);
      if (together.length < anchorTokens.length
          || !Arrays.equals(anchorTokens, Arrays.copyOf(together, anchorTokens.length))) {
        continue;
      }
      int[] tokens = Arrays.copyOfRange(together, anchorTokens.length, together.length);
      if (gives(tokens, from, tail)) {
        return tokens;
      }
      first = first.length == 0 ? tokens : first;
    }
    return first;
  }

  private boolean gives(int[] tokens, int from, String tail) {
    int begin = Math.max(0, from - CONTEXT);
    int[] context = Arrays.copyOfRange(ids, begin, from);
    int[] with = Arrays.copyOf(context, context.length + tokens.length);
    System.arraycopy(tokens, 0, with, context.length, tokens.length);
    return vocabulary.detokenize(with).equals(vocabulary.detokenize(context) + tail);
  }

  private void grow() {
    if (count == ids.length) {
      ids = Arrays.copyOf(ids, 2 * count);
      ends = Arrays.copyOf(ends, 2 * count);
      begins = Arrays.copyOf(begins, 2 * count);
    }
  }
}
