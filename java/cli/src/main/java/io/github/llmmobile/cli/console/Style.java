package io.github.llmmobile.cli.console;

/**
 * Colours of a stream, or none.
 *
 * @param enabled whether escape sequences are written
 */
public record Style(boolean enabled) {
  /**
   * Emphasis, for headings and labels.
   *
   * @param text what to show (required)
   * @return the text, in colour where that is wanted (never null)
   */
  public String bold(String text) {
    return wrap("1", text);
  }

  /**
   * Less important text.
   *
   * @param text what to show (required)
   * @return the text, in colour where that is wanted (never null)
   */
  public String faint(String text) {
    return wrap("2", text);
  }

  /**
   * Errors.
   *
   * @param text what to show (required)
   * @return the text, in colour where that is wanted (never null)
   */
  public String red(String text) {
    return wrap("31", text);
  }

  /**
   * Good news.
   *
   * @param text what to show (required)
   * @return the text, in colour where that is wanted (never null)
   */
  public String green(String text) {
    return wrap("32", text);
  }

  /**
   * Warnings.
   *
   * @param text what to show (required)
   * @return the text, in colour where that is wanted (never null)
   */
  public String yellow(String text) {
    return wrap("33", text);
  }

  /**
   * Prompts and hints.
   *
   * @param text what to show (required)
   * @return the text, in colour where that is wanted (never null)
   */
  public String cyan(String text) {
    return wrap("36", text);
  }

  private String wrap(String code, String text) {
    return enabled ? "\u001b[" + code + "m" + text + "\u001b[0m" : text;
  }
}
