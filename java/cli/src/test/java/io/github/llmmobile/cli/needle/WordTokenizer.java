package io.github.llmmobile.cli.needle;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Words with the space before them, single digits and signs are tokens; 0 begins a text. */
final class WordTokenizer implements Tokenizer {
  private static final Pattern PIECE = Pattern.compile(" ?[A-Za-z]+| ?[0-9]|\\s|[^\\sA-Za-z0-9]");

  private final Map<String, Integer> ids = new HashMap<>();
  private final List<String> pieces = new ArrayList<>(List.of("<s>"));

  @Override
  public int[] tokenize(String text, boolean start) {
    List<Integer> tokens = new ArrayList<>();
    if (start) {
      tokens.add(0);
    }
    Matcher matcher = PIECE.matcher(text);
    while (matcher.find()) {
      tokens.add(ids.computeIfAbsent(matcher.group(), piece -> {
        pieces.add(piece);
        return pieces.size() - 1;
      }));
    }
    return tokens.stream().mapToInt(Integer::intValue).toArray();
  }

  String text(int... tokens) {
    StringBuilder text = new StringBuilder();
    for (int token : tokens) {
      text.append(pieces.get(token));
    }
    return text.toString();
  }
}
