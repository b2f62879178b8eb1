package io.github.llmmobile.cli.needle;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/** Builds the prompts of one filler: the same text each time, with a needle at another place. */
public final class NeedlePrompts {
  private static final String FACT = "The secret code of the harbour is";
  private static final String REMEMBER = "Remember it.";
  private static final String QUESTION = "What is the secret code of the harbour?";
  private static final String QUESTION_FIRST = QUESTION + " The answer is somewhere in this text.\n\n";
  private static final String QUESTION_LAST = "\n\n" + QUESTION;

  private final NeedlePlan plan;
  private final Filler filler;
  private final Tokenizer tokenizer;
  private final Filler.Source source;
  private final List<String> sentences = new ArrayList<>();
  /** Tokens of the first i sentences. Exact but for what tokens do where sentences meet. */
  private final List<Integer> sums = new ArrayList<>(List.of(0));

  private NeedlePrompts(NeedlePlan plan, Filler filler, Tokenizer tokenizer) {
    this.plan = plan;
    this.filler = filler;
    this.tokenizer = tokenizer;
    source = filler.sentences(plan.seed());
  }

  /**
   * One prompt per filler and depth.
   *
   * @param plan what is measured (required)
   * @param fillers the texts (required)
   * @param tokenizer that of the model (required)
   * @return the prompts by filler, then by depth (never null)
   * @throws IllegalArgumentException if the context has no room for the needle, or the tokens do not allow fair keys
   */
  public static List<NeedlePrompt> build(NeedlePlan plan, List<Filler> fillers, Tokenizer tokenizer) {
    List<NeedlePrompt> prompts = new ArrayList<>();
    for (Filler filler : fillers) {
      NeedlePrompts builder = new NeedlePrompts(plan, filler, tokenizer);
      for (int depth : plan.depths()) {
        prompts.add(builder.at(depth));
      }
    }
    return prompts;
  }

  private NeedlePrompt at(int depth) {
    SplittableRandom random = new SplittableRandom(plan.seed() * 31 + filler.name().hashCode() * 131L + depth);
    List<String> keys = NeedleKeys.draw(random, key -> tokenizer.tokenize(ending(key), false).length);
    String needle = FACT + " " + keys.get(0) + ". " + REMEMBER;

    int place = place(depth, needle);
    String before = text(0, place);
    int position = tokenizer.tokenize(before, true).length;
    int[] tokens = tokens(before, needle, place);
    int[] context = Arrays.copyOf(tokens, plan.tokens());
    int[] gap = Arrays.copyOfRange(tokens, plan.tokens(), plan.tokens() + plan.gap());

    int[][] endings = keys.stream().map(key -> tokenizer.tokenize(ending(key), false)).toArray(int[][]::new);
    int lead = common(endings);
    int[][] keyTokens = Arrays.stream(endings).map(ending -> Arrays.copyOfRange(ending, lead, ending.length))
        .toArray(int[][]::new);
    // A tokeniser may join the end of the question with what follows; the step ends before that.
    int asked = plan.opening() == NeedlePlan.Opening.PROMPT
        ? lead
        : Math.min(lead, common(new int[][] {tokenizer.tokenize(QUESTION_LAST, false), endings[0]}));
    return new NeedlePrompt(filler.name(), depth, position, context, gap, Arrays.copyOf(endings[0], asked),
        Arrays.copyOfRange(endings[0], asked, lead), keys, keyTokens);
  }

  private static String ending(String key) {
    return QUESTION_LAST + " " + FACT + " " + key;
  }

  /** Number of sentences in front of the needle: the one that comes nearest to the depth and lets the needle fit. */
  private int place(int depth, String needle) {
    int head = tokenizer.tokenize(text(0, 0), true).length;
    int room = plan.tokens() - head - tokenizer.tokenize(" " + needle, false).length;
    double wanted = room * depth / 100.0;
    int place = 0;
    while (sum(place + 1) <= wanted) {
      place++;
    }
    if (sum(place + 1) - wanted < wanted - sum(place)) {
      place++;
    }
    while (tokenizer.tokenize(join(text(0, place), needle), true).length > plan.tokens()) {
      if (place == 0) {
        throw new IllegalArgumentException("--tokens has no room for the needle: " + plan.tokens());
      }
      place--;
    }
    return place;
  }

  /** At least as many tokens as context and gap take. */
  private int[] tokens(String before, String needle, int place) {
    int wanted = plan.tokens() + plan.gap();
    int last = place;
    while (sum(last) < wanted) {
      last++;
    }
    int[] tokens;
    do {
      tokens = tokenizer.tokenize(join(join(before, needle), sentences(place, last)), true);
      last++;
    } while (tokens.length < wanted);
    return tokens;
  }

  /** The text up to a sentence, with the question in front if it is stated there. */
  private String text(int first, int end) {
    return join(plan.order() == NeedlePlan.Order.QUESTION_AWARE ? QUESTION_FIRST : "", sentences(first, end));
  }

  private String sentences(int first, int end) {
    sum(end);
    return String.join(" ", sentences.subList(first, end));
  }

  private static String join(String before, String after) {
    return before.isEmpty() || after.isEmpty() || before.endsWith("\n") ? before + after : before + " " + after;
  }

  private int sum(int count) {
    while (sentences.size() < count) {
      String sentence = source.next();
      sums.add(sums.get(sentences.size()) + tokenizer.tokenize(" " + sentence, false).length);
      sentences.add(sentence);
    }
    return sums.get(count);
  }

  /** Length of what all of them begin with. */
  private static int common(int[][] arrays) {
    int length = arrays[0].length;
    for (int[] array : arrays) {
      int mismatch = Arrays.mismatch(arrays[0], array);
      length = Math.min(length, mismatch < 0 ? length : mismatch);
    }
    return length;
  }
}
