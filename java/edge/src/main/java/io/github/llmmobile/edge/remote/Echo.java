package io.github.llmmobile.edge.remote;

import io.github.llmmobile.edge.remote.RemoteException.Kind;

/**
 * Takes away what an endpoint repeats: some, llama-server among them, send the part of an answer that they continue once
 * more in front of what they add.
 */
final class Echo {
  private final String repeated;
  private final StringBuilder seen = new StringBuilder();
  private boolean over;

  /** Of a part of an answer; "" for an endpoint that repeats nothing. */
  Echo(String repeated) {
    // Blanks in front get lost where answers are taken apart.
    this.repeated = withoutBlanksInFront(repeated);
    over = this.repeated.isEmpty();
  }

  /**
   * What of a text is new.
   *
   * @throws RemoteException PROTOCOL if it repeats something else
   */
  String strip(String text) {
    if (over) {
      return text;
    }
    seen.append(text);
    String all = seen.length() == text.length() ? text : seen.toString();
    String trimmed = withoutBlanksInFront(all);
    if (trimmed.length() < repeated.length()) {
      if (!repeated.startsWith(trimmed)) {
        throw new RemoteException(Kind.PROTOCOL, "the endpoint repeats another answer than it was given");
      }
      return "";
    }
    if (!trimmed.startsWith(repeated)) {
      throw new RemoteException(Kind.PROTOCOL, "the endpoint repeats another answer than it was given");
    }
    over = true;
    return trimmed.substring(repeated.length());
  }

  private static String withoutBlanksInFront(String text) {
    int from = 0;
    while (from < text.length() && Character.isWhitespace(text.charAt(from))) {
      from++;
    }
    return text.substring(from);
  }
}
