package io.github.llmmobile.cli.needle;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/** The text around a needle: as many sentences as are asked for, from a seed. */
public final class Filler {
  /** Names of the built-in fillers. */
  public static final List<String> BUILT_IN = List.of("essay", "noise", "repeat");

  /** A sentence of a file is cut after this many words, so that needles can be put anywhere. */
  private static final int MOST_WORDS = 30;
  private static final double LEFT_OUT = 0.2;

  /** A filler's way to make the sentences of one more round. */
  private interface Rounds {
    List<String> next(SplittableRandom random);
  }

  private final String name;
  private final Rounds rounds;

  private Filler(String name, Rounds rounds) {
    this.name = name;
    this.rounds = rounds;
  }

  /**
   * A built-in filler: {@code essay} is prose that varies from round to round, {@code noise} are random common words,
   * {@code repeat} the same few sentences over and over.
   *
   * @param name one of {@link #BUILT_IN} (required)
   * @return the filler (never null)
   * @throws IllegalArgumentException if there is none of that name
   */
  public static Filler builtIn(String name) {
    switch (name) {
      case "essay":
        return new Filler(name, Filler::essay);
      case "noise":
        return new Filler(name, Filler::noise);
      case "repeat":
        return new Filler(name, random -> FillerText.REPEAT);
      default:
        throw new IllegalArgumentException("--filler must be of " + String.join(", ", BUILT_IN) + ", but is " + name);
    }
  }

  /**
   * A text of the user, from its beginning; it starts over where it is too short. White space becomes single spaces.
   *
   * @param name for reports (required)
   * @param text the text (required)
   * @return the filler (never null)
   * @throws IllegalArgumentException if the text has no words
   */
  public static Filler of(String name, String text) {
    List<String> sentences = new ArrayList<>();
    for (String sentence : text.strip().split("(?<=[.!?])\\s+")) {
      String[] words = sentence.strip().split("\\s+");
      for (int start = 0; start < words.length; start += MOST_WORDS) {
        String[] part = Arrays.copyOfRange(words, start, Math.min(words.length, start + MOST_WORDS));
        sentences.add(String.join(" ", part));
      }
    }
    sentences.removeIf(String::isEmpty);
    if (sentences.isEmpty()) {
      throw new IllegalArgumentException("there are no words in " + name);
    }
    return new Filler(name, random -> sentences);
  }

  /** {@return the name} */
  public String name() {
    return name;
  }

  /** Sentences without end. */
  Source sentences(long seed) {
    return new Source(new SplittableRandom(seed));
  }

  /** Sentences without end, each without white space around it. */
  final class Source {
    private final SplittableRandom random;
    private List<String> round = List.of();
    private int next;

    private Source(SplittableRandom random) {
      this.random = random;
    }

    String next() {
      if (next == round.size()) {
        round = rounds.next(random);
        next = 0;
      }
      return round.get(next++);
    }
  }

  private static List<String> essay(SplittableRandom random) {
    List<String> round = new ArrayList<>();
    for (String sentence : FillerText.ESSAY) {
      if (random.nextDouble() >= LEFT_OUT) {
        round.add(fill(sentence, random));
      }
    }
    return round.isEmpty() ? Collections.singletonList(fill(FillerText.ESSAY.get(0), random)) : round;
  }

  private static String fill(String sentence, SplittableRandom random) {
    String person = pick(FillerText.PERSONS, random);
    return sentence.replace("{person}", person).replace("{person_}", capital(person))
        .replace("{place}", pick(FillerText.PLACES, random)).replace("{thing}", pick(FillerText.THINGS, random))
        .replace("{season}", pick(FillerText.SEASONS, random));
  }

  private static List<String> noise(SplittableRandom random) {
    int words = 8 + random.nextInt(8);
    List<String> sentence = new ArrayList<>();
    for (int i = 0; i < words; i++) {
      sentence.add(pick(FillerText.WORDS, random));
    }
    return List.of(capital(String.join(" ", sentence)) + ".");
  }

  private static String pick(List<String> list, SplittableRandom random) {
    return list.get(random.nextInt(list.size()));
  }

  private static String capital(String text) {
    return text.substring(0, 1).toUpperCase(Locale.ROOT) + text.substring(1);
  }
}
