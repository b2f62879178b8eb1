package io.github.llmmobile.edge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Real models, of which a worker process has the last layers: over TLS, rows as f32, the tokens are those of the whole model.
 * {@code ci/edge-equality}.
 */
@Timeout(7200)
class SplitEqualityTest {
  private static final int PROMPTS = Integer.getInteger("llmm.edge.equality", 0);
  private static final int CONTEXT = 1024;
  private static final int PASSAGE_CHARS = 30;
  private static final GenerationOptions GREEDY = GenerationOptions.builder().temperature(0).maxTokens(48).build();

  /** The prompts of ci/, and then passages of essays, each longer than the one before. */
  private static List<String> prompts() throws IOException {
    List<String> prompts = new ArrayList<>(RealModels.prompts());
    String text = Files.readString(RealModels.file(RealModels.TEXT));
    int at = 0;
    for (int chars = PASSAGE_CHARS; prompts.size() < PROMPTS; chars += PASSAGE_CHARS) {
      prompts.add(text.substring(at, at + chars));
      at += chars;
    }
    return prompts.subList(0, PROMPTS);
  }

  @ParameterizedTest
  @CsvSource({RealModels.DEFAULT + ",8 15 22", RealModels.GEMMA + ",9"})
  void theTokensAreThoseOfTheWholeModel(String name, String splits, @TempDir Path folder) throws IOException {
    assumeTrue(PROMPTS > 0, "takes minutes; ci/edge-equality runs it");
    WorkerProcess.assumeProgram();
    Path file = RealModels.file(name);
    String[] layers = splits.split(" ");
    KeyFolder keys = KeyFolder.create(folder.resolve("keys"), List.of());
    WorkerOptions worker = WorkerOptions.builder().model(file).layers(LayerRange.of(Integer.parseInt(layers[0]), 0))
        .contextTokens(CONTEXT).threads(1).listen(SplitFixture.loopback(0)).keys(keys).build();
    try (LlmModel model = LlmModel.load(ModelOptions.of(file)); WorkerProcess process = new WorkerProcess(worker)) {
      WorkerAddress address = WorkerAddress.of("localhost:" + process.port(), keys);
      int tokens = 0;
      int split = 0;
      int local = 0;
      int longest = 0;
      for (String text : prompts()) {
        int[] prompt = model.tokenize(text, true, false);
        longest = Math.max(longest, prompt.length);
        int[] expected = RealModels.answer(model, prompt, CONTEXT, GREEDY);
        for (String layer : layers) {
          SplitOptions options = SplitFixture.options().contextTokens(CONTEXT).split(Integer.parseInt(layer)).build();
          try (SplitSession session = SplitSession.open(model, address, options)) {
            SplitResult result = session.generate(prompt, GREEDY, new SplitListener() {});
            assertArrayEquals(expected, result.tokens(), () -> "split at " + layer + ": " + text);
            split += result.stats().splitSteps();
            local += result.stats().localSteps();
            tokens += expected.length;
          }
        }
      }
      System.out.printf(Locale.ROOT, "%s: %d prompts of up to %d tokens, split at %s: %d tokens, all the same;"
          + " steps: %d split, %d local%n", name, PROMPTS, longest, String.join(", ", layers), tokens, split, local);
      // On a busy machine a prompt may take longer than its deadline. That cannot be the rule.
      assertTrue(100 * local <= split);
    }
  }
}
