package io.github.llmmobile.cli.explain;

/** Text inside HTML. */
public final class Html {
  private static final int CONTROL_PICTURES = 0x2400;
  private static final char DELETE = 0x7f;
  private static final char DELETE_PICTURE = 0x2421;

  private Html() {}

  /**
   * Text as it stands between tags and within quotation marks. Control characters, which HTML cannot hold, become their
   * pictures; line feeds and tabs stay.
   *
   * @param text the text (required)
   * @return as HTML (never null)
   */
  public static String escape(String text) {
    StringBuilder html = new StringBuilder(text.length() + 16);
    for (int i = 0; i < text.length(); i++) {
      append(html, text.charAt(i));
    }
    return html.toString();
  }

  private static void append(StringBuilder html, char c) {
    switch (c) {
      case '&' -> html.append("&amp;");
      case '<' -> html.append("&lt;");
      case '>' -> html.append("&gt;");
      case '"' -> html.append("&quot;");
      case '\'' -> html.append("&#39;");
      case '\n', '\t' -> html.append(c);
      case DELETE -> html.append(DELETE_PICTURE);
      default -> html.append(c < ' ' ? (char) (CONTROL_PICTURES + c) : c);
    }
  }
}
