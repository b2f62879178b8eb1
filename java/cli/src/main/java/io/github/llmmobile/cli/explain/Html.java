package io.github.llmmobile.cli.explain;

/** Pages, and text inside HTML. */
public final class Html {
  private static final int CONTROL_PICTURES = 0x2400;
  private static final char DELETE = 0x7f;
  private static final char DELETE_PICTURE = 0x2421;

  private static final String HEAD = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
      <meta name="viewport" content="width=device-width">
      <style>
      body { font: 16px/1.5 sans-serif; margin: 1.5rem auto; padding: 0 1rem; color: #111; background: #fff; }
      h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
      table { border-collapse: collapse; } svg { width: 100%; height: auto; }
      """;

  private Html() {}

  /**
   * The beginning of a page without scripts that loads nothing, up to its heading.
   *
   * @param title the heading, as text (required)
   * @param style style sheet of what the page has besides (required)
   * @return the page so far, in its body (never null)
   */
  public static StringBuilder page(String title, String style) {
    String heading = escape(title);
    return new StringBuilder(HEAD).append(style).append("</style>\n<title>").append(heading)
        .append("</title>\n</head>\n<body>\n<h1>").append(heading).append("</h1>\n");
  }

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
