package io.github.llmmobile.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.TokenLogprob;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.ProgressBar;
import io.github.llmmobile.cli.console.TextTable;
import io.github.llmmobile.cli.routing.Agreement;
import io.github.llmmobile.cli.routing.Agreement.Outcome;
import io.github.llmmobile.cli.routing.Agreement.Place;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.edge.policy.Uncertainty;
import io.github.llmmobile.edge.remote.RemoteModelClient;
import io.github.llmmobile.edge.remote.RoutedGenerator;
import io.github.llmmobile.edge.remote.RoutedPrompt;
import io.github.llmmobile.edge.remote.RoutedResult;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code routing}: what it brings to hand hard tokens to a larger model. */
@Command(name = "routing", header = "Measure what routing hard tokens to a larger model brings.",
    description = "The larger model continues each prompt alone. Then, for each share: at how many places of those texts a"
        + " routed answer stays the same, beside choosing tokens at random, and how much of an answer that both write"
        + " freely is the same (ROUGE-L). Greedy, without the chat template.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile routing --remote-model http://127.0.0.1:8080 --prompts prompts.txt",
      "  llm-mobile routing --remote-model http://127.0.0.1:8080 --prompts prompts.txt --shares 0.05,0.2",
    })
final class RoutingCommand implements Callable<Integer> {
  private static final int RANDOM_GOES = 100;
  /** What is measured is what comes out, not whether it comes in time. */
  private static final int PATIENCE_MILLIS = 30_000;

  private final CliEnvironment env;

  @Option(names = "--prompts", required = true, paramLabel = "FILE",
      description = "Prompts, one per line; \\n is a line break.")
  @Nullable Path prompts;

  @Option(names = "--shares", paramLabel = "X,X,...", split = ",", defaultValue = "0.05,0.12,0.25,0.5",
      description = "Remote shares to try, default ${DEFAULT-VALUE}.")
  List<Double> shares = List.of();

  @Option(names = "--remote-burst", paramLabel = "N", defaultValue = "" + RoutedGenerator.DEFAULT_BURST_TOKENS,
      description = "Tokens that the larger model writes when it is asked, default ${DEFAULT-VALUE}.")
  int burst = RoutedGenerator.DEFAULT_BURST_TOKENS;

  @Option(names = "--measure", paramLabel = "top1|margin|entropy", defaultValue = "top1",
      description = "How unsureness is measured, default ${DEFAULT-VALUE}.")
  Uncertainty measure = Uncertainty.TOP1;

  @Option(names = "--no-free", description = "Leave out the answers that both write freely, which take time.")
  boolean noFree;

  @Mixin RemoteArguments remote = new RemoteArguments();
  @Mixin ModelArguments models = new ModelArguments();
  @Mixin ConfigArguments configuration = new ConfigArguments();
  @Mixin CommonArguments common = new CommonArguments();

  RoutingCommand(CliEnvironment env) {
    this.env = env;
  }

  /** One line of the table; NaN where nothing was measured. */
  private record Row(double target, Outcome routed, Outcome random, double freeShare, double free, double freeRandom,
      double bytesPerToken, double millisPerToken) {}

  @Override
  public Integer call() {
    InferenceConfig config = configuration.merged();
    int maxTokens = configuration.maxTokens(config, 64);
    List<String> lines = TextInput.file(Objects.requireNonNull(prompts)).lines()
        .filter(line -> !line.isBlank()).map(line -> line.replace("\\n", "\n")).toList();
    for (double share : shares) {
      if (!(share > 0 && share < 1)) {
        throw CliException.usage("--shares must be above 0 and below 1, but one is " + share, "0.12 is a good one");
      }
    }
    if (lines.isEmpty() || maxTokens < 1 || burst < 1) {
      throw CliException.usage("there must be a prompt, and at least 1 token per answer and per burst",
          "see llm-mobile routing --help");
    }
    GenerationOptions options = GenerationOptions.greedy().toBuilder().maxTokens(maxTokens).build();
    // The link is not what is measured here.
    RemoteModelClient client = remote.client(env, 0);
    try (Cancellation cancellation = new Cancellation(env.interrupts());
        OpenSession open = OpenSession.open(env, models, RoutedRun.ofSession(config), 0, cancellation)) {
      client.describe(10_000, cancellation.token());
      List<String> texts = new ArrayList<>();
      List<Place> places = new ArrayList<>();
      try (ProgressBar bar = new ProgressBar(env, "measuring")) {
        for (String prompt : lines) {
          RoutedGenerator alone = generator(open, client, 1, session -> 1);
          texts.add(answer(alone, prompt, options, cancellation.token()).text());
          places.addAll(places(open.model(), open.session(), prompt, texts.get(texts.size() - 1)));
          bar.update((double) texts.size() / lines.size() / (1 + 2 * shares.size()));
        }
        List<Row> rows = new ArrayList<>();
        for (double share : shares) {
          rows.add(row(open, client, share, lines, texts, places, options, cancellation));
          bar.update((1 + 2.0 * rows.size()) / (1 + 2 * shares.size()));
        }
        report(rows, places);
      }
    }
    return ExitCode.OK.number();
  }

  private RoutedGenerator generator(OpenSession open, RemoteModelClient client, double share,
      ToDoubleFunction<LlmSession> by) {
    return RoutedGenerator.builder(open.model(), open.session(), client).share(share).burstTokens(burst).measure(by)
        .deadlines(PATIENCE_MILLIS, PATIENCE_MILLIS).build();
  }

  private RoutedResult answer(RoutedGenerator generator, String prompt, GenerationOptions options,
      CancellationToken cancellation) {
    RoutedResult result = generator.generate(RoutedPrompt.text(prompt), options, (text, place) -> {}, cancellation);
    if (cancellation.isCancelled()) {
      throw new CliException(ExitCode.INTERRUPTED, "interrupted", "");
    }
    if (result.routing().failures() > 0) {
      throw new CliException(ExitCode.RUNTIME, "the endpoint failed while it was measured", "see its log");
    }
    return result;
  }

  /** What the device's model would have said at each place of a text. */
  private List<Place> places(LlmModel model, LlmSession session, String prompt, String text) {
    int[] begin = model.tokenize(prompt, true, false);
    int[] all = model.tokenize(prompt + text, true, false);
    List<Place> places = new ArrayList<>();
    int from = 0;
    while (from < begin.length && from < all.length && begin[from] == all[from]) {
      from++;
    }
    session.rewind(0);
    session.eval(Arrays.copyOf(all, from));
    String rest = prompt + text;
    for (int i = from; i < all.length; i++) {
      String before = model.detokenize(Arrays.copyOf(all, i), false);
      int[] guessed = Arrays.copyOf(all, i + 1);
      List<TokenLogprob> top = session.topLogprobs(2);
      guessed[i] = top.get(0).token();
      // Another tokenisation of the same text is the same text.
      String guess = model.detokenize(guessed, false);
      double uncertainty = measure == Uncertainty.ENTROPY ? measure.of(session.logits())
          : measure.of(top.get(0).logprob(), top.get(1).logprob());
      places.add(new Place(uncertainty, guess.length() > before.length() && rest.startsWith(guess)));
      session.eval(all[i]);
    }
    return places;
  }

  private Row row(OpenSession open, RemoteModelClient client, double share, List<String> lines, List<String> texts,
      List<Place> places, GenerationOptions options, Cancellation cancellation) {
    Outcome routed = Agreement.routed(places, share, burst);
    // At the share that came out, so that the two can be compared.
    Outcome random = Agreement.random(places, routed.share(), burst, RANDOM_GOES);
    if (noFree) {
      return new Row(share, routed, random, Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN);
    }
    Random lots = new Random(1);
    RoutedGenerator byUncertainty = generator(open, client, share, this::unsure);
    RoutedGenerator byLot = generator(open, client, share, session -> lots.nextDouble());
    double same = 0;
    double sameByLot = 0;
    long remoteTokens = 0;
    long tokens = 0;
    long bytes = 0;
    long nanos = 0;
    for (int i = 0; i < lines.size(); i++) {
      RoutedResult result = answer(byUncertainty, lines.get(i), options, cancellation.token());
      same += Agreement.rougeL(result.text(), texts.get(i));
      remoteTokens += result.routing().remoteTokens();
      tokens += result.routing().localTokens() + result.routing().remoteTokens();
      bytes += result.routing().bytesUp() + result.routing().bytesDown();
      nanos += result.routing().localNanos() + result.routing().remoteNanos();
      sameByLot += Agreement.rougeL(answer(byLot, lines.get(i), options, cancellation.token()).text(), texts.get(i));
    }
    return new Row(share, routed, random, (double) remoteTokens / tokens, same / lines.size(),
        sameByLot / lines.size(), (double) bytes / tokens, nanos / 1e6 / tokens);
  }

  private double unsure(LlmSession session) {
    if (measure == Uncertainty.ENTROPY) {
      return measure.of(session.logits());
    }
    List<TokenLogprob> top = session.topLogprobs(2);
    return measure.of(top.get(0).logprob(), top.get(1).logprob());
  }

  private void report(List<Row> rows, List<Place> places) {
    if (common.json) {
      env.out().println(Json.line(json(rows, places)));
      return;
    }
    env.out().printf(Locale.ROOT, "%d places; the model here agrees by itself at %.1f %%%n", places.size(),
        100 * Agreement.alone(places));
    TextTable table = new TextTable("rrrrrrrrr").heading("share", "is", "agrees", "random", "free is", "same",
        "random", "bytes/token", "ms/token");
    for (Row row : rows) {
      table.row(percent(row.target), percent(row.routed.share()), percent(row.routed.agreement()),
          percent(row.random.agreement()), percent(row.freeShare), percent(row.free), percent(row.freeRandom),
          number(row.bytesPerToken), number(row.millisPerToken));
    }
    env.out().print(table.render(env.outStyle()));
  }

  private static String percent(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.1f %%", 100 * value);
  }

  private static String number(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.1f", value);
  }

  private JsonObject json(List<Row> rows, List<Place> places) {
    JsonObject json = new JsonObject();
    json.addProperty("places", places.size());
    json.addProperty("agreement_alone", Agreement.alone(places));
    JsonArray array = new JsonArray();
    for (Row row : rows) {
      JsonObject one = new JsonObject();
      one.addProperty("share", row.target);
      one.addProperty("routed_share", row.routed.share());
      one.addProperty("routed_agreement", row.routed.agreement());
      one.addProperty("random_share", row.random.share());
      one.addProperty("random_agreement", row.random.agreement());
      one.add("free_share", Json.number(row.freeShare));
      one.add("free_rouge_l", Json.number(row.free));
      one.add("free_random_rouge_l", Json.number(row.freeRandom));
      one.add("bytes_per_token", Json.number(row.bytesPerToken));
      one.add("ms_per_token", Json.number(row.millisPerToken));
      array.add(one);
    }
    json.add("rows", array);
    JsonArray uncertainties = new JsonArray();
    JsonArray agrees = new JsonArray();
    places.forEach(place -> {
      uncertainties.add(place.uncertainty());
      agrees.add(place.agrees());
    });
    json.add("uncertainties", uncertainties);
    json.add("agrees", agrees);
    return json;
  }
}
