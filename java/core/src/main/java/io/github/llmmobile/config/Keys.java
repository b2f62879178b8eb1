package io.github.llmmobile.config;

import java.util.Collection;

/** Finds the key that someone may have meant. */
final class Keys {
  private Keys() {}

  /** The second half of an error about an unknown key: the nearest known one, or all if none is near. */
  static String hint(String unknown, Collection<String> known) {
    String nearest = "";
    int least = Integer.MAX_VALUE;
    for (String key : known) {
      // What has been cut short is near, however much is missing.
      int distance = unknown.length() > 3 && key.startsWith(unknown) ? 0 : distance(unknown, key);
      if (distance < least) {
        least = distance;
        nearest = key;
      }
    }
    // A third of the letters: beyond that a hint misleads more often than it helps.
    if (least <= Math.max(2, Math.max(unknown.length(), nearest.length()) / 3)) {
      return "did you mean " + nearest + "?";
    }
    return "known keys are " + String.join(", ", known);
  }

  /** How many letters must be added, removed or changed to turn one text into the other (Levenshtein, 1966). */
  static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(change, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}
