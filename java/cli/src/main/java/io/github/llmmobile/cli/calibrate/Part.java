package io.github.llmmobile.cli.calibrate;

/** Numbers of parts in words. */
final class Part {
  private Part() {}

  static int layer(int part) {
    return part / 2;
  }

  static String kind(int part) {
    return part % 2 == 0 ? "attention" : "feed-forward";
  }

  static String name(int part) {
    return kind(part) + " " + layer(part);
  }
}
