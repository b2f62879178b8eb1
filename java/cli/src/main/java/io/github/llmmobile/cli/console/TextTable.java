package io.github.llmmobile.cli.console;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Columns of text, as wide as their widest cell. Cells are plain text, without escape sequences. */
public final class TextTable {
  private static final String GAP = "  ";

  private final boolean[] right;
  private final List<String[]> rows = new ArrayList<>();
  private boolean heading;

  /**
   * A table without rows.
   *
   * @param columns one letter per column: {@code l} for left, {@code r} for right (required)
   */
  public TextTable(String columns) {
    right = new boolean[columns.length()];
    for (int i = 0; i < right.length; i++) {
      right[i] = columns.charAt(i) == 'r';
    }
  }

  /**
   * Puts a heading in front.
   *
   * @param cells one per column (required)
   * @return this
   */
  public TextTable heading(String... cells) {
    heading = true;
    rows.add(0, checked(cells));
    return this;
  }

  /**
   * Adds a row.
   *
   * @param cells one per column (required)
   * @return this
   */
  public TextTable row(String... cells) {
    rows.add(checked(cells));
    return this;
  }

  /**
   * Lays the table out.
   *
   * @param style colours of the heading (required)
   * @return the lines, each ended by a line feed and free of trailing spaces (never null)
   */
  public String render(Style style) {
    int[] widths = new int[right.length];
    for (String[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        widths[i] = Math.max(widths[i], row[i].codePointCount(0, row[i].length()));
      }
    }
    StringBuilder text = new StringBuilder();
    for (int r = 0; r < rows.size(); r++) {
      String line = line(rows.get(r), widths);
      text.append(heading && r == 0 ? style.bold(line) : line).append('\n');
    }
    return text.toString();
  }

  private String line(String[] row, int[] widths) {
    StringBuilder line = new StringBuilder();
    for (int i = 0; i < row.length; i++) {
      String padding = " ".repeat(widths[i] - row[i].codePointCount(0, row[i].length()));
      line.append(i == 0 ? "" : GAP).append(right[i] ? padding + row[i] : row[i] + padding);
    }
    return line.toString().stripTrailing();
  }

  private String[] checked(String[] cells) {
    if (cells.length != right.length) {
      throw new IllegalArgumentException(right.length + " columns, but cells " + Arrays.toString(cells));
    }
    return cells.clone();
  }
}
