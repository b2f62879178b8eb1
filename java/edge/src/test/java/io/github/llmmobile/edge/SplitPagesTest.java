package io.github.llmmobile.edge;

import static io.github.llmmobile.edge.SplitFixture.GREEDY;
import static io.github.llmmobile.edge.SplitFixture.address;
import static io.github.llmmobile.edge.SplitFixture.options;
import static io.github.llmmobile.edge.SplitFixture.prompt;
import static io.github.llmmobile.edge.SplitFixture.workerOptions;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.github.llmmobile.ContextFullException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.TechniqueReport;
import io.github.llmmobile.config.InferenceConfig;
import io.github.llmmobile.config.LayerCompressionConfig;
import io.github.llmmobile.config.MemoryManagerConfig;
import io.github.llmmobile.config.TokenPruningConfig;
import io.github.llmmobile.edge.policy.PageCosts;
import io.github.llmmobile.edge.proto.Code;
import io.github.llmmobile.edge.proto.Pages;
import io.github.llmmobile.edge.wire.ProtocolException;
import io.github.llmmobile.edge.wire.Rows;
import io.github.llmmobile.edge.wire.Wire;
import io.github.llmmobile.edge.worker.Worker;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Keys and values in pages, at the worker and here: the tokens are the same wherever they are made. */
class SplitPagesTest {
  /** Any of 256 candidates, by its rank: a difference that swaps two of them soon is another token. */
  private static final GenerationOptions WILD =
      GenerationOptions.builder().temperature(1000).topK(256).topP(1).minP(0).seed(7).maxTokens(40).build();

  private static SplitPages pages(boolean fourBit) {
    return SplitPages.of(MemoryManagerConfig.builder().pageSize(16).quantizationEnabled(fourBit).recentWindow(32)
        .pinnedPrefix(16).build());
  }

  private static InferenceConfig memory(int mb, Path spill) {
    MemoryManagerConfig.Builder memory =
        MemoryManagerConfig.builder().maxMemoryMb(mb).pageSize(16).quantizationEnabled(false);
    if (spill != null) {
      memory.spillDirectory(spill);
    }
    return InferenceConfig.builder().memoryManager(memory.build()).build();
  }

  /** Answers to prompts that go back to the middle of the last answer, into the first prompt, and a little. */
  private static int[][] conversation(SplitSession session, SplitListener listener) {
    int[] first = prompt(1, 150);
    int[][] answers = new int[4][];
    answers[0] = session.generate(first, WILD, listener).tokens();
    answers[1] = session.generate(and(first, answers[0], 10), WILD, listener).tokens();
    int[] third = Arrays.copyOf(first, 120);
    third[119] = 99;
    answers[2] = session.generate(third, WILD, listener).tokens();
    answers[3] = session.generate(and(third, answers[2], WILD.maxTokens()), WILD, listener).tokens();
    return answers;
  }

  /** A prompt, some tokens of an answer to it, and another one. */
  private static int[] and(int[] prompt, int[] answer, int most) {
    int count = Math.min(most, Math.max(0, answer.length - 2));
    int[] longer = Arrays.copyOf(prompt, prompt.length + count + 1);
    System.arraycopy(answer, 0, longer, prompt.length, count);
    longer[prompt.length + count] = 99;
    return longer;
  }

  private static int[][] conversation(Worker worker, SplitOptions.Builder options) {
    try (SplitSession session = SplitSession.open(TinyModels.deepModel(), address(worker), options.build())) {
      return conversation(session, new SplitListener() {});
    }
  }

  /** A worker's options with pages of so many bits; 0 for none. */
  private static WorkerOptions.Builder worker(int bits) {
    return bits == 0 ? workerOptions() : workerOptions().pages(pages(bits == 4));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 16, 4})
  void theSameTokensComeOfPagesHereAndThereAndHalfway(int bits) {
    try (Worker worker = Worker.start(worker(bits).build())) {
      int[][] there = conversation(worker, options());
      int[][] here = conversation(worker, options().gate((rows, bytes) -> Optional.of("test")));
      assertArrayEquals(there, here);
      for (int seed = 0; seed < 2; seed++) {
        Random random = new Random(seed);
        int[][] halfway = conversation(worker,
            options().gate((rows, bytes) -> random.nextInt(30) == 0 ? Optional.of("test") : Optional.empty()));
        assertArrayEquals(there, halfway, "seed " + seed);
      }
      if (bits == 4) {
        // The control: 4 bits are not 16 bits, so tokens that are the same say something.
        try (Worker exact = Worker.start(workerOptions().pages(pages(false)).build())) {
          assertFalse(Arrays.deepEquals(conversation(exact, options()), there));
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 16, 4})
  void workersThatDieAreNotMissed(int bits) throws IOException {
    WorkerOptions pages = worker(bits).build();
    Worker first = Worker.start(pages);
    try (Worker second = Worker.start(pages); FaultProxy proxy = new FaultProxy(first.port())) {
      int[][] expected = conversation(second, options());
      int[] heard = {0};
      try (SplitSession session =
          SplitSession.open(TinyModels.deepModel(), proxy.address(), options().build())) {
        assertEquals(bits == 0 ? Optional.empty() : Optional.of(pages(bits == 4)), session.pages());
        assertArrayEquals(expected, conversation(session, new SplitListener() {
          @Override
          public void onToken(int token, String text) {
            int third = expected[0].length + expected[1].length;
            if (++heard[0] == third + 5) {
              proxy.target(second.port());
              first.close();
            } else if (heard[0] == third + 10) {
              Eventually.await("the other worker has the session", () -> session.stats().connections() == 2);
            }
          }
        }));
        assertEquals(1, session.stats().losses());
        assertTrue(session.stats().localSteps() > 0 && session.stats().splitSteps() > 60);
      }
    } finally {
      first.close();
    }
  }

  @Test
  void pagesInAFileGiveTheSameTokensWithinTheShareOfASession(@TempDir Path folder) {
    int context = 4096;
    int[] prompt = prompt(4, 2800);
    WorkerOptions.Builder roomy = workerOptions().contextTokens(context).pages(pages(false)).maxSessions(1);
    SplitOptions.Builder options = options().contextTokens(context).split(1);
    SplitOptions.Builder alone = options().contextTokens(context).split(1).gate((rows, bytes) -> Optional.of("test"));
    int[] expected;
    long all;
    try (Worker worker = Worker.start(roomy.build())) {
      all = worker.sessionBytes();
      expected = answer(worker, options, prompt);
      // What this device has is bounded too, of its layers and of the worker's.
      assertThrows(ContextFullException.class, () -> answer(worker, alone.techniques(memory(3, null)), prompt));
      assertArrayEquals(answer(worker, options.techniques(memory(64, null)), prompt),
          answer(worker, alone.techniques(memory(3, folder.resolve("here"))), prompt));
      options.techniques(InferenceConfig.empty());
    }
    long less = all - 600_000;
    try (Worker worker = Worker.start(
        roomy.maxMemoryBytes(less).spillDirectory(folder.resolve("there")).build())) {
      assertTrue(worker.sessionBytes() <= less, worker.sessionBytes() + "");
      assertArrayEquals(expected, answer(worker, options, prompt));
    }
  }

  private static int[] answer(Worker worker, SplitOptions.Builder options, int[] prompt) {
    try (SplitSession session = SplitSession.open(TinyModels.deepModel(), address(worker), options.build())) {
      return session.generate(prompt, WILD, new SplitListener() {}).tokens();
    }
  }

  @Test
  void aDeviceWithAMemoryManagerGivesTheTokensOfAnUnpagedWorker() {
    try (Worker worker = SplitFixture.worker()) {
      int[][] expected = conversation(worker, options());
      InferenceConfig memory = memory(4, null);
      Random random = new Random(1);
      int[][] halfway = conversation(worker, options().techniques(memory)
          .gate((rows, bytes) -> random.nextInt(30) == 0 ? Optional.of("test") : Optional.empty()));
      // Pages have kernels of their own in the device's layers, so these tokens are only the same among themselves.
      assertArrayEquals(conversation(worker, options().techniques(memory)), halfway);
      InferenceConfig exact = memory(MemoryManagerConfig.builder().maxMemoryMb(4).quantizationEnabled(false)
          .exactAttention(true).build());
      assertArrayEquals(expected, conversation(worker, options().techniques(exact)));
    }
  }

  private static InferenceConfig memory(MemoryManagerConfig memory) {
    return InferenceConfig.builder().memoryManager(memory).build();
  }

  @Test
  void theDevicesLayersPruneAndQuantiseAsTheyLikeAndNothingElseChanges() {
    InferenceConfig techniques = InferenceConfig.builder()
        .memoryManager(MemoryManagerConfig.builder().maxMemoryMb(8).pageSize(16).recentWindow(32).probeEnabled(false).build())
        .tokenPruning(TokenPruningConfig.builder().keepRatio(0.5).minTokens(64).build()).build();
    try (Worker worker = SplitFixture.worker()) {
      int[][] there = conversation(worker, options().split(3).techniques(techniques));
      assertArrayEquals(there, conversation(worker,
          options().split(3).techniques(techniques).gate((rows, bytes) -> Optional.of("test"))));
      assertFalse(Arrays.deepEquals(there, conversation(worker, options().split(3))));
      try (SplitSession session =
          SplitSession.open(TinyModels.deepModel(), address(worker), options().split(3).techniques(techniques).build())) {
        conversation(session, new SplitListener() {});
        assertEquals(List.of("memory_manager", "token_pruning"), active(session));
        assertTrue(session.deviceStats().kvPagesQ4() > 0);
        assertTrue(session.deviceStats().pruneSteps() > 0);
      }
    }
  }

  private static List<String> active(SplitSession session) {
    return session.techniques().stream().filter(report -> report.status() == TechniqueReport.Status.ACTIVE)
        .map(TechniqueReport::technique).sorted().collect(Collectors.toList());
  }

  @Test
  void whatDoesNotActIsRefusedIfItMustNotBeLeftOut() {
    try (Worker worker = SplitFixture.worker()) {
      refuses(worker, ErrorCode.NOT_AVAILABLE, "token_pruning_config", InferenceConfig.builder().strict(true)
          .tokenPruning(TokenPruningConfig.builder().build()).build());
      refuses(worker, ErrorCode.NOT_AVAILABLE, "layer_compression_config", InferenceConfig.builder().strict(true)
          .layerCompression(LayerCompressionConfig.builder().build()).build());
      refuses(worker, ErrorCode.NOT_AVAILABLE, "eviction_enabled", InferenceConfig.builder().strict(true)
          .memoryManager(MemoryManagerConfig.builder().evictionEnabled(true).build()).build());
    }
    try (Worker worker = Worker.start(workerOptions().contextTokens(4096).pages(pages(true)).build())) {
      LlmException e = assertThrows(LlmException.class, () -> SplitSession.open(TinyModels.deepModel(), address(worker),
          options().contextTokens(4096).techniques(memory(2, null)).build()));
      assertEquals(ErrorCode.OUT_OF_MEMORY, e.code());
      assertTrue(e.getMessage().contains("their share is 1 MB"), e.getMessage());
      SplitSession.open(TinyModels.deepModel(), address(worker),
          options().contextTokens(4096).techniques(memory(2, null)).exactReplay(false).build()).close();
    }
    LlmException e = assertThrows(LlmException.class, () -> SplitPages.of(
        MemoryManagerConfig.builder().evictionEnabled(true).build()));
    assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    assertEquals(ErrorCode.INVALID_ARGUMENT, assertThrows(LlmException.class,
        () -> workerOptions().pages(pages(true)).maxMemoryBytes(1 << 30).spillDirectory(Path.of("x")).build()).code());
  }

  private static void refuses(Worker worker, ErrorCode code, String says, InferenceConfig techniques) {
    LlmException e = assertThrows(LlmException.class, () -> SplitSession.open(
        TinyModels.deepModel(), address(worker), options().techniques(techniques).build()));
    assertEquals(code, e.code(), e.getMessage());
    assertTrue(e.getMessage().contains(says), e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whatIsReservedIsEnough(boolean fourBit) {
    int context = 2048;
    SessionOptions options = SessionOptions.builder().contextTokens(context).layers(LayerRange.of(1, 0)).threads(1).build();
    LlmModel model = TinyModels.deepModel();
    PageCosts costs = PageCosts.measure(model, options, pages(fourBit));
    InferenceConfig config = memory(pages(fourBit).config(Integer.MAX_VALUE, null));
    try (LlmSession session = model.newSession(options, config)) {
      for (int at = 0; at < context; at += 512) {
        session.evalHidden(new int[512], Rows.allocate(512, model.info().embedding()), null);
      }
      long peak = session.stats().kvPeakBytes();
      long reserved = costs.cacheBytes(context);
      assertTrue(peak <= reserved && reserved < 2 * peak, peak + " of " + reserved);
      assertEquals(fourBit, session.stats().kvPagesQ4() > 0);
    }
  }

  @Test
  void whoKnowsNoPagesGetsNone() {
    try (Worker worker = Worker.start(workerOptions().layers(LayerRange.of(2, 0)).pages(pages(true)).build());
        Worker plain = Worker.start(workerOptions().layers(LayerRange.of(2, 0)).build())) {
      assertEquals(candidates(plain), candidates(worker));
      refusesPages(plain, Wire.pages(pages(true)));
      refusesPages(worker, Wire.pages(pages(false)));
      refusesPages(worker, Pages.newBuilder().setTokens(17).build());
      refusesPages(worker, Wire.pages(pages(true)).toBuilder().setRecent(-1).build());
    }
  }

  private static ByteString candidates(Worker worker) {
    try (RawClient client = new RawClient(address(worker))) {
      client.open(1, 1, 1);
      client.send(RawClient.body(RawClient.step(0, 200, 0)));
      client.body();
      client.send(RawClient.body(RawClient.step(200, 20, 40)));
      return client.body().getResult().getCandidates();
    }
  }

  private static void refusesPages(Worker worker, Pages pages) {
    try (RawClient client = new RawClient(address(worker))) {
      client.start();
      client.sendOpen(client.wrap(client.soundOpen(2, 1).setPages(pages), 1));
      ProtocolException end = client.end();
      assertEquals(Code.PAGES_MISMATCH, end.code());
      assertFalse(end.passes());
    }
  }

  @Test
  void aDeviceWithHalfTheModelKeepsItsPartInPages() {
    ModelOptions half = ModelOptions.builder().path(TinyModels.deep()).layers(LayerRange.of(0, 2)).build();
    try (LlmModel lower = LlmModel.load(half);
        Worker worker = SplitFixture.worker();
        SplitSession session = SplitSession.open(lower, address(worker), options().split(2).localFallback(false)
            .techniques(memory(MemoryManagerConfig.builder().maxMemoryMb(2).recentWindow(32).build())).build())) {
      session.generate(prompt(3, 200), GREEDY, new SplitListener() {});
      assertEquals(List.of("memory_manager"), active(session));
    }
  }
}
