package io.github.llmmobile.config;

import java.util.Locale;

/** How many parts of a profile's order are left out. */
public enum LayerMode {
  /** As many as an error budget allows, more where the model is sure of the token at hand. */
  AUTO,
  /** As many as a share of the work has, the same in every step. */
  STATIC;

  /**
   * The name in JSON.
   *
   * @return the constant's name in lower case, such as {@code auto} (never null)
   */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }

  static LayerMode read(String name, String path) {
    for (LayerMode mode : values()) {
      if (mode.jsonName().equals(name)) {
        return mode;
      }
    }
    throw ConfigReader.error(path, "must be auto or static, but is " + ConfigReader.quoted(name));
  }
}
