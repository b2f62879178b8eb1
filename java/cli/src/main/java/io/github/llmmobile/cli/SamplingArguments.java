package io.github.llmmobile.cli;

import io.github.llmmobile.GenerationOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How the next token is chosen, and when to stop. An option that is not given keeps the library's default. */
final class SamplingArguments {
  @Option(names = "--temperature", paramLabel = "T", description = "Randomness, default 0.8; 0 is greedy.")
  @Nullable Float temperature;

  @Option(names = "--seed", paramLabel = "N", description = "Seed, 0 to 4294967295. Default: drawn anew each time.")
  @Nullable Long seed;

  @Option(names = "--top-k", paramLabel = "N", description = "Keep the N best tokens, default 40; 0 keeps all.")
  @Nullable Integer topK;

  @Option(names = "--top-p", paramLabel = "P", description = "Keep the best tokens up to this mass, default 0.95.")
  @Nullable Float topP;

  @Option(names = "--min-p", paramLabel = "P",
      description = "Drop tokens below this share of the best one's probability, default 0.05.")
  @Nullable Float minP;

  @Option(names = "--typical-p", paramLabel = "P", description = "Locally typical sampling, default 1 (off).")
  @Nullable Float typicalP;

  @Option(names = "--repeat-penalty", paramLabel = "X", description = "Penalty for repetition, default 1 (off).")
  @Nullable Float repeatPenalty;

  @Option(names = "--frequency-penalty", paramLabel = "X", description = "Penalty per occurrence, default 0 (off).")
  @Nullable Float frequencyPenalty;

  @Option(names = "--presence-penalty", paramLabel = "X", description = "Penalty for presence, default 0 (off).")
  @Nullable Float presencePenalty;

  @Option(names = "--penalty-last-n", paramLabel = "N",
      description = "Tokens that penalties look back at, default 64; -1 for all.")
  @Nullable Integer penaltyLastN;

  @Option(names = "--dry-multiplier", paramLabel = "X", description = "DRY penalty, default 0 (off).")
  @Nullable Float dryMultiplier;

  @Option(names = "--dry-base", paramLabel = "X", description = "Growth of the DRY penalty, default 1.75.")
  @Nullable Float dryBase;

  @Option(names = "--dry-allowed-length", paramLabel = "N",
      description = "Repeated tokens without DRY penalty, default 2.")
  @Nullable Integer dryAllowedLength;

  @Option(names = "--dry-penalty-last-n", paramLabel = "N",
      description = "Tokens that DRY looks back at, default -1 (all).")
  @Nullable Integer dryPenaltyLastN;

  @Option(names = "--dry-sequence-breaker", paramLabel = "S",
      description = "Text that ends a repetition. May be given more than once; replaces the default ones.")
  List<String> drySequenceBreakers = new ArrayList<>();

  @Option(names = "--mirostat", paramLabel = "0|1|2", description = "Mirostat version, default 0 (off).")
  @Nullable Integer mirostat;

  @Option(names = "--mirostat-tau", paramLabel = "X", description = "Mirostat target entropy, default 5.")
  @Nullable Float mirostatTau;

  @Option(names = "--mirostat-eta", paramLabel = "X", description = "Mirostat learning rate, default 0.1.")
  @Nullable Float mirostatEta;

  @Option(names = "--logit-bias", paramLabel = "ID=BIAS",
      description = "Adds BIAS to a token's logit; -inf forbids the token. May be given more than once.")
  Map<Integer, String> logitBias = new LinkedHashMap<>();

  @Option(names = "--stop", paramLabel = "S",
      description = "Text that ends the answer and is not part of it. May be given more than once.")
  List<String> stop = new ArrayList<>();

  @Option(names = "--draft", paramLabel = "N",
      description = "Draft up to N tokens at once from what the text repeats, 1 to 16; 8 suits most. Default: none.")
  @Nullable Integer draftTokens;

  @Option(names = "--ignore-eos", description = "Go on where the model would end its answer.")
  boolean ignoreEos;

  @Option(names = "--grammar", paramLabel = "FILE", description = "Answer only what this GBNF grammar allows.")
  @Nullable Path grammar;

  @Option(names = "--json-schema", paramLabel = "FILE", description = "Answer only JSON that fits this schema.")
  @Nullable Path jsonSchema;

  /** The options for one answer of at most {@code maxTokens} tokens. */
  GenerationOptions options(int maxTokens) {
    if (grammar != null && jsonSchema != null) {
      throw CliException.usage("--grammar and --json-schema exclude each other", "give only one of them");
    }
    GenerationOptions.Builder b = GenerationOptions.builder().maxTokens(maxTokens);
    ifGiven(temperature, b::temperature);
    ifGiven(seed, b::seed);
    ifGiven(topK, b::topK);
    ifGiven(topP, b::topP);
    ifGiven(minP, b::minP);
    ifGiven(typicalP, b::typicalP);
    ifGiven(repeatPenalty, b::repeatPenalty);
    ifGiven(frequencyPenalty, b::frequencyPenalty);
    ifGiven(presencePenalty, b::presencePenalty);
    ifGiven(penaltyLastN, b::penaltyLastN);
    ifGiven(dryMultiplier, b::dryMultiplier);
    ifGiven(dryBase, b::dryBase);
    ifGiven(dryAllowedLength, b::dryAllowedLength);
    ifGiven(dryPenaltyLastN, b::dryPenaltyLastN);
    ifGiven(mirostat, b::mirostat);
    ifGiven(mirostatTau, b::mirostatTau);
    ifGiven(mirostatEta, b::mirostatEta);
    ifGiven(draftTokens, b::draftTokens);
    ifGiven(grammar, path -> b.grammar(TextInput.file(path)));
    ifGiven(jsonSchema, path -> b.jsonSchema(TextInput.file(path)));
    if (!drySequenceBreakers.isEmpty()) {
      b.drySequenceBreakers(drySequenceBreakers);
    }
    return b.logitBias(biases()).stop(stop).ignoreEos(ignoreEos).build();
  }

  private Map<Integer, Double> biases() {
    Map<Integer, Double> biases = new LinkedHashMap<>();
    logitBias.forEach((token, text) -> biases.put(token, bias(token, text)));
    return biases;
  }

  private static double bias(int token, String text) {
    if (text.equals("-inf")) {
      return Double.NEGATIVE_INFINITY;
    }
    try {
      return Double.parseDouble(text);
    } catch (NumberFormatException e) {
      throw CliException.usage("--logit-bias " + token + "=" + text + ": not a number",
          "write ID=BIAS such as 42=-1.5, or 42=-inf to forbid the token");
    }
  }

  private static <T> void ifGiven(@Nullable T value, Consumer<T> setter) {
    if (value != null) {
      setter.accept(value);
    }
  }
}
