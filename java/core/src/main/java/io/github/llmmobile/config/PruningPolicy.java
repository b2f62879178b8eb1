package io.github.llmmobile.config;

import java.util.Locale;

/** What decides which tokens pruning keeps. All but the first are controls: what attention must do better than. */
public enum PruningPolicy {
  /** The attention that tokens get. */
  ATTENTION,
  /** Their position: the newest stay. */
  RECENCY,
  /** Chance. */
  RANDOM;

  /**
   * The name in JSON.
   *
   * @return the constant's name in lower case, such as {@code attention} (never null)
   */
  public String jsonName() {
    return name().toLowerCase(Locale.ROOT);
  }

  static PruningPolicy read(String name, String path) {
    for (PruningPolicy policy : values()) {
      if (policy.jsonName().equals(name)) {
        return policy;
      }
    }
    throw ConfigReader.error(path, "must be attention, recency or random, but is " + ConfigReader.quoted(name));
  }
}
