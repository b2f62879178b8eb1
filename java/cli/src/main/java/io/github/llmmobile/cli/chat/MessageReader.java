package io.github.llmmobile.cli.chat;

import org.jspecify.annotations.Nullable;

/**
 * Puts lines together to messages. A line that ends with a backslash goes on with the next one. A line that begins
 * with three quotation marks opens a block that ends with the next line that ends with three of them.
 */
final class MessageReader {
  private static final String QUOTES = "\"\"\"";

  private final ChatInput input;

  MessageReader(ChatInput input) {
    this.input = input;
  }

  /**
   * The next message.
   *
   * @return its text, perhaps empty; null at the end of the input. What an unfinished block has so far counts.
   * @throws ChatInput.LineInterruptedException if the user pressed Ctrl-C; the message is dropped
   */
  @Nullable String next() {
    String line = input.readLine(false);
    if (line == null) {
      return null;
    }
    return line.startsWith(QUOTES) ? block(line.substring(QUOTES.length())) : continued(line);
  }

  private String block(String firstLine) {
    StringBuilder text = new StringBuilder();
    String line = firstLine;
    while (line != null) {
      boolean last = line.endsWith(QUOTES);
      String content = last ? line.substring(0, line.length() - QUOTES.length()) : line;
      boolean bareMark = content.isEmpty() && (last || text.length() == 0);
      if (!bareMark) {
        text.append(text.length() == 0 ? "" : "\n").append(content);
      }
      if (last) {
        break;
      }
      line = input.readLine(true);
    }
    return text.toString();
  }

  private String continued(String firstLine) {
    StringBuilder text = new StringBuilder();
    String line = firstLine;
    while (line != null && line.endsWith("\\")) {
      text.append(line, 0, line.length() - 1).append('\n');
      line = input.readLine(true);
    }
    return text.append(line == null ? "" : line).toString();
  }
}
