package io.github.llmmobile.edge;

import static io.github.llmmobile.edge.SplitFixture.GREEDY;
import static io.github.llmmobile.edge.SplitFixture.address;
import static io.github.llmmobile.edge.SplitFixture.options;
import static io.github.llmmobile.edge.SplitFixture.prompt;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.ContextFullException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LayerRange;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmModel;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.ModelOptions;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.edge.keys.CertificatePin;
import io.github.llmmobile.edge.keys.KeyFolder;
import io.github.llmmobile.edge.worker.Worker;
import io.github.llmmobile.edge.worker.WorkerOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A session that is split between this process's two halves of the tiny model. */
class SplitSessionTest {
  private static Worker worker;
  private static LlmModel model;

  @BeforeAll
  static void start() {
    worker = SplitFixture.worker();
    model = TinyModels.deepModel();
  }

  @AfterAll
  static void stop() {
    if (worker != null) {
      worker.close();
      assertEquals(0, worker.sessionCount());
    }
  }

  private static SplitSession session(SplitOptions.Builder options) {
    return SplitSession.open(model, address(worker), options.build());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void splitAnywhereGivesTheTokensOfTheWhole(int split) {
    for (int seed = 0; seed < 10; seed++) {
      int[] prompt = prompt(seed, 1 + 20 * seed);
      try (SplitSession session = session(options().split(split))) {
        SplitFixture.Heard heard = new SplitFixture.Heard();
        SplitResult result = session.generate(prompt, GREEDY, heard);
        assertArrayEquals(SplitFixture.local(prompt, GREEDY), result.tokens());
        assertEquals(Arrays.stream(result.tokens()).boxed().collect(java.util.stream.Collectors.toList()), heard.tokens);
        assertEquals(result.text(), heard.text.toString());
        assertEquals(0, heard.count(SplitEvent.Where.LOCAL));
        assertEquals(heard.steps.size(), result.stats().splitSteps());
        assertEquals(1, result.stats().connections());
        assertEquals(0, result.stats().losses());
      }
    }
  }

  @Test
  void theTextIsThatOfTheTokens() {
    int[] prompt = model.tokenize("hello world", true, false);
    try (SplitSession session = session(options())) {
      SplitResult result = session.generate(prompt, GREEDY, new SplitListener() {});
      int[] all = Arrays.copyOf(prompt, prompt.length + result.tokens().length);
      System.arraycopy(result.tokens(), 0, all, prompt.length, result.tokens().length);
      assertEquals(model.detokenize(all, false), model.detokenize(prompt, false) + result.text());
    }
  }

  @Test
  void theSamplerGivesTheSameTokensWhereverCandidatesComeFrom() {
    GenerationOptions sampled = GenerationOptions.builder().temperature(1.5f).seed(5).maxTokens(40).build();
    int[] prompt = prompt(3, 30);
    int[] first;
    try (SplitSession session = session(options())) {
      first = session.generate(prompt, sampled, new SplitListener() {}).tokens();
      assertArrayEquals(first, session.generate(prompt, sampled, new SplitListener() {}).tokens());
    }
    try (SplitSession alone = session(options().gate((rows, bytes) -> Optional.of("test")))) {
      SplitResult result = alone.generate(prompt, sampled, new SplitListener() {});
      assertArrayEquals(first, result.tokens());
      assertEquals(0, result.stats().splitSteps());
    }
    int[] greedy = SplitFixture.local(prompt, GREEDY);
    assertTrue(!Arrays.equals(greedy, Arrays.copyOf(first, greedy.length)));
  }

  @Test
  void aConversationGoesOnWithoutEvaluatingItsBeginningAgain() {
    int[] prompt = prompt(1, 40);
    try (SplitSession session = session(options())) {
      SplitResult first = session.generate(prompt, GREEDY, new SplitListener() {});
      int[] longer = Arrays.copyOf(prompt, prompt.length + first.tokens().length + 10);
      System.arraycopy(first.tokens(), 0, longer, prompt.length, first.tokens().length);
      Arrays.fill(longer, prompt.length + first.tokens().length, longer.length, 77);
      SplitResult second = session.generate(longer, GREEDY, new SplitListener() {});
      assertTrue(second.reusedTokens() >= prompt.length + first.tokens().length - 1);
      assertArrayEquals(SplitFixture.local(longer, GREEDY), second.tokens());
      // Another ending after half of the prompt: both sides go back.
      int[] other = Arrays.copyOf(prompt, 30);
      other[29] = 99;
      SplitResult third = session.generate(other, GREEDY, new SplitListener() {});
      assertEquals(29, third.reusedTokens());
      assertArrayEquals(SplitFixture.local(other, GREEDY), third.tokens());
    }
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void aLossyCodecLosesTheSameHereAndThere(RowCodec codec) {
    int[] prompt = prompt(9, 50);
    SplitResult there;
    try (SplitSession session = session(options().codec(codec).split(2))) {
      there = session.generate(prompt, GREEDY, new SplitListener() {});
      assertEquals(0, there.stats().localSteps());
    }
    try (SplitSession session =
        session(options().codec(codec).split(2).gate((rows, bytes) -> Optional.of("test")))) {
      assertArrayEquals(there.tokens(), session.generate(prompt, GREEDY, new SplitListener() {}).tokens());
    }
    // What one token adds to the bare record.
    double framing = there.stats().sentBytesPerToken() - codec.recordBytes(model.info().embedding());
    assertTrue(framing > 16 && framing <= 64, framing + "");
  }

  @ParameterizedTest
  @EnumSource(RowCodec.class)
  void reducedRowsLoseTheSameHereAndThere(RowCodec codec, @TempDir Path folder) {
    RowBasis basis = TinyBasis.write(folder.resolve("a.basis"), 1);
    int[] prompt = prompt(9, 50);
    SplitOptions.Builder options = options().codec(codec).split(2).basis(basis).keepDims(40);
    SplitResult there;
    try (Worker reading = Worker.start(SplitFixture.workerOptions().basis(basis).build())) {
      try (SplitSession session = SplitSession.open(model, address(reading), options.build())) {
        there = session.generate(prompt, GREEDY, new SplitListener() {});
        assertEquals(0, there.stats().localSteps());
        double framing = there.stats().sentBytesPerToken() - session.format().recordBytes();
        assertTrue(framing > 16 && framing <= 64, framing + "");
      }
      try (SplitSession session = SplitSession.open(
          model, address(reading), options.gate((rows, bytes) -> Optional.of("test")).build())) {
        assertArrayEquals(there.tokens(), session.generate(prompt, GREEDY, new SplitListener() {}).tokens());
      }
    }
  }

  private static void refuses(ErrorCode code, String says, Worker worker, SplitOptions.Builder options) {
    LlmException e = assertThrows(LlmException.class,
        () -> SplitSession.open(TinyModels.deepModel(), address(worker), options.build()));
    assertEquals(code, e.code(), e.getMessage());
    assertTrue(e.getMessage().contains(says), e.getMessage());
  }

  @Test
  void bothSidesNeedTheSameBasis(@TempDir Path folder) {
    RowBasis basis = TinyBasis.write(folder.resolve("a.basis"), 1);
    RowBasis other = TinyBasis.write(folder.resolve("b.basis"), 2);
    refuses(ErrorCode.REMOTE_REFUSED, "has no basis", worker, options().split(2).basis(basis));
    refuses(ErrorCode.RANGE, "one of [2, 3]", worker, options().split(4).basis(basis));
    refuses(ErrorCode.RANGE, "keepDims", worker, options().split(2).basis(basis).keepDims(63));
    try (Worker reading = Worker.start(SplitFixture.workerOptions().basis(other).build())) {
      refuses(ErrorCode.REMOTE_REFUSED, "has another basis", reading, options().split(2).basis(basis));
    }
    WorkerOptions wrong = SplitFixture.workerOptions().model(TinyModels.other()).basis(basis).build();
    assertEquals(ErrorCode.BASIS_INVALID, assertThrows(LlmException.class, () -> Worker.start(wrong)).code());
  }

  @Test
  void aGateMakesStepsLocalAndGapsAreFilledInOneGo() {
    int[] prompt = prompt(4, 30);
    int[] calls = {0};
    SplitGate gate = (rows, bytes) -> {
      assertEquals(rows * 256L, bytes);
      return calls[0]++ % 5 == 4 ? Optional.empty() : Optional.of("narrow");
    };
    try (SplitSession session = session(options().gate(gate))) {
      SplitFixture.Heard heard = new SplitFixture.Heard();
      SplitResult result = session.generate(prompt, GREEDY, heard);
      assertArrayEquals(SplitFixture.local(prompt, GREEDY), result.tokens());
      assertTrue(heard.count(SplitEvent.Where.SPLIT) >= 4);
      assertEquals("gate: narrow", heard.steps.get(0).reason());
      assertEquals(34, heard.steps.get(4).rows());
      assertEquals(5, heard.steps.get(9).rows());
    }
  }

  @Test
  void aDeviceWithHalfTheModelNeedsItsWorker() {
    int[] prompt = prompt(6, 20);
    ModelOptions half = ModelOptions.builder().path(TinyModels.deep()).layers(LayerRange.of(0, 2)).build();
    try (LlmModel lower = LlmModel.load(half)) {
      SplitOptions options = options().split(2).localFallback(false).build();
      try (SplitSession session = SplitSession.open(lower, address(worker), options)) {
        assertArrayEquals(
            SplitFixture.local(prompt, GREEDY), session.generate(prompt, GREEDY, new SplitListener() {}).tokens());
      }
      SplitOptions alone = options().split(2).localFallback(false)
          .gate((rows, bytes) -> Optional.of("narrow")).build();
      try (SplitSession session = SplitSession.open(lower, address(worker), alone)) {
        LlmException e = assertThrows(
            LlmException.class, () -> session.generate(prompt, GREEDY, new SplitListener() {}));
        assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
      }
    }
  }

  @Test
  void theContextEndsWhereItSays() {
    GenerationOptions endless = GenerationOptions.builder().temperature(0).maxTokens(-1).build();
    try (SplitSession session = session(options().contextTokens(256))) {
      assertThrows(ContextFullException.class,
          () -> session.generate(prompt(1, 257), endless, new SplitListener() {}));
      SplitResult result = session.generate(prompt(1, 250), endless, new SplitListener() {});
      if (result.stopReason() != StopReason.END) {
        assertEquals(StopReason.CONTEXT_FULL, result.stopReason());
        assertEquals(7, result.tokens().length);
      }
    }
  }

  @Test
  void cancellingEndsTheAnswerAndNotTheSession() {
    int[] prompt = prompt(2, 30);
    try (SplitSession session = session(options())) {
      SplitResult cut = session.generate(prompt, GREEDY, new SplitListener() {
        private int count;

        @Override
        public void onToken(int token, String text) {
          if (++count == 5) {
            session.cancel();
          }
        }
      });
      assertEquals(StopReason.CANCELLED, cut.stopReason());
      int[] whole = SplitFixture.local(prompt, GREEDY);
      assertArrayEquals(Arrays.copyOf(whole, 5), cut.tokens());
      assertArrayEquals(whole, session.generate(prompt, GREEDY, new SplitListener() {}).tokens());
    }
  }

  /** The tokens of the whole model, with candidates from the worker and from here. */
  private static void assertLikeTheWhole(int[] prompt, GenerationOptions generation) {
    int[] expected = SplitFixture.local(prompt, generation);
    for (SplitGate gate : List.<SplitGate>of((rows, bytes) -> Optional.empty(), (rows, bytes) -> Optional.of("test"))) {
      try (SplitSession session = session(options().gate(gate))) {
        assertArrayEquals(expected, session.generate(prompt, generation, new SplitListener() {}).tokens());
      }
    }
  }

  @Test
  void penaltiesAndBiasesGiveTheTokensOfTheWhole() {
    int[] prompt = prompt(11, 40);
    int[] plain = SplitFixture.local(prompt, GREEDY);
    for (GenerationOptions generation : List.of(
        GREEDY.toBuilder().repeatPenalty(1.3f).build(),
        GREEDY.toBuilder().repeatPenalty(5f).penaltyLastN(-1).build(),
        GREEDY.toBuilder().frequencyPenalty(0.7f).presencePenalty(0.4f).penaltyLastN(9).build(),
        GREEDY.toBuilder().logitBias(Map.of(plain[0], Double.NEGATIVE_INFINITY, plain[1], -2.0, 300, 0.0)).build(),
        GREEDY.toBuilder().repeatPenalty(1.1f).frequencyPenalty(0.2f).ignoreEos(true).maxTokens(60)
            .logitBias(Map.of(plain[0], -0.5)).build())) {
      assertLikeTheWhole(prompt, generation);
      assertTrue(!Arrays.equals(plain, SplitFixture.local(prompt, generation)), "it should make a difference");
    }
    LlmException e = assertThrows(LlmException.class, () -> assertLikeTheWhole(
        prompt, GREEDY.toBuilder().logitBias(Map.of(100_000, -1.0)).build()));
    assertEquals(ErrorCode.RANGE, e.code());
  }

  /** More tokens have penalties than there are candidates: what is chosen is still what it is elsewhere. */
  @Test
  void aWindowOfMoreTokensThanCandidatesIsTheSameHereAndThere() {
    GenerationOptions generation =
        GREEDY.toBuilder().repeatPenalty(1.5f).penaltyLastN(-1).ignoreEos(true).maxTokens(10).build();
    int[] prompt = IntStream.range(3, 373).toArray();
    int[] there;
    try (SplitSession session = session(options())) {
      there = session.generate(prompt, generation, new SplitListener() {}).tokens();
    }
    try (SplitSession session = session(options().gate((rows, bytes) -> Optional.of("test")))) {
      assertArrayEquals(there, session.generate(prompt, generation, new SplitListener() {}).tokens());
    }
  }

  @Test
  void theEndIsIgnoredIfThatIsWanted() {
    GenerationOptions endless = GREEDY.toBuilder().ignoreEos(true).maxTokens(100).build();
    int[] prompt = prompt(1, 30);
    assertLikeTheWhole(prompt, endless);
    try (SplitSession session = session(options())) {
      // As likely as anything else, the end would come soon.
      SplitResult wild = session.generate(prompt,
          endless.toBuilder().temperature(1000).topK(200).topP(1).minP(0).seed(1).build(), new SplitListener() {});
      assertEquals(100, wild.tokens().length);
      assertEquals(StopReason.MAX_TOKENS, wild.stopReason());
    }
  }

  @Test
  void stopStringsEndTheAnswerBeforeThem() {
    int[] prompt = model.tokenize("hello world", true, false);
    try (SplitSession session = session(options())) {
      String whole = session.generate(prompt, GREEDY, new SplitListener() {}).text();
      String stop = whole.substring(whole.length() / 2, whole.length() / 2 + 3);
      GenerationOptions stopping = GREEDY.toBuilder().stop(List.of("never comes", stop)).build();
      SplitFixture.Heard heard = new SplitFixture.Heard();
      SplitResult result = session.generate(prompt, stopping, heard);
      assertEquals(StopReason.STOP_STRING, result.stopReason());
      assertEquals(whole.substring(0, whole.indexOf(stop)), result.text());
      assertEquals(result.text(), heard.text.toString());
      try (LlmSession alone = model.newSession(
          SessionOptions.builder().contextTokens(TinyModels.CONTEXT).threads(1).build())) {
        GenerationResult expected = alone.generate(Prompt.tokens(prompt), stopping);
        assertEquals(expected.text(), result.text());
        assertArrayEquals(expected.tokens(), result.tokens());
      }
      // What only looks like the beginning of one comes out at the end.
      GenerationOptions held = GREEDY.toBuilder().stop(List.of(whole.substring(whole.length() - 2) + "never")).build();
      assertEquals(whole, session.generate(prompt, held, new SplitListener() {}).text());
    }
  }

  @Test
  void whatCandidatesDoNotSufficeForIsRefused() {
    try (SplitSession session = session(options())) {
      for (GenerationOptions bad : List.of(
          GenerationOptions.builder().topK(0).build(),
          GenerationOptions.builder().repeatPenalty(0.9f).build(),
          GenerationOptions.builder().presencePenalty(-0.1f).build(),
          GenerationOptions.builder().logitBias(Map.of(7, 1.0)).build(),
          GenerationOptions.builder().topK(256).logitBias(Map.of(7, -1.0)).build(),
          GenerationOptions.builder().typicalP(0.5f).build(),
          GenerationOptions.builder().dryMultiplier(1).build(),
          GenerationOptions.builder().mirostat(2).build(),
          GenerationOptions.builder().grammar("root ::= \"a\"").build())) {
        LlmException e = assertThrows(
            LlmException.class, () -> session.generate(prompt(1, 3), bad, new SplitListener() {}));
        assertEquals(ErrorCode.NOT_AVAILABLE, e.code());
      }
      LlmException e = assertThrows(
          LlmException.class, () -> session.generate(new int[0], GREEDY, new SplitListener() {}));
      assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    }
  }

  private static void refused(ErrorCode code, SplitOptions.Builder options) {
    LlmException e = assertThrows(LlmException.class, () -> session(options));
    assertEquals(code, e.code(), e.getMessage());
  }

  @Test
  void whatTheWorkerDoesNotHaveIsRefusedAtOnce() {
    refused(ErrorCode.RANGE, options().split(TinyModels.LAYERS));
    refused(ErrorCode.REMOTE_REFUSED, options().contextTokens(4 * TinyModels.CONTEXT));
    try (LlmModel other = LlmModel.load(ModelOptions.of(TinyModels.other()))) {
      LlmException e = assertThrows(
          LlmException.class, () -> SplitSession.open(other, address(worker), options().split(1).build()));
      assertEquals(ErrorCode.REMOTE_REFUSED, e.code());
      assertTrue(e.getMessage().contains("fingerprint"), e.getMessage());
    }
    try (Worker late = Worker.start(SplitFixture.workerOptions().layers(LayerRange.of(3, 5)).build())) {
      LlmException e = assertThrows(
          LlmException.class, () -> SplitSession.open(model, address(late), options().split(2).build()));
      assertEquals(ErrorCode.REMOTE_REFUSED, e.code());
      try (SplitSession session = SplitSession.open(model, address(late), options().build())) {
        assertEquals(3, session.split());
      }
    }
  }

  @Test
  void tlsWithCertificatesOfTheFolderAndNoOthers(@TempDir Path folder) {
    KeyFolder keys = KeyFolder.create(folder.resolve("a"), List.of());
    KeyFolder strangers = KeyFolder.create(folder.resolve("b"), List.of());
    int[] prompt = prompt(8, 20);
    try (Worker secure = Worker.start(SplitFixture.workerOptions().keys(keys).build())) {
      String hostPort = "localhost:" + secure.port();
      try (SplitSession session = SplitSession.open(
          model, WorkerAddress.of(hostPort, keys), options().localFallback(false).build())) {
        assertArrayEquals(
            SplitFixture.local(prompt, GREEDY), session.generate(prompt, GREEDY, new SplitListener() {}).tokens());
      }
      SplitOptions noFallback = options().localFallback(false).build();
      for (WorkerAddress bad : List.of(
          WorkerAddress.of(hostPort, strangers), WorkerAddress.insecure(hostPort))) {
        LlmException e =
            assertThrows(LlmException.class, () -> SplitSession.open(model, bad, noFallback));
        assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
      }
    }
  }

  @Test
  void aPinnedWorkerIsThatOneAndNoOtherOfTheAuthority(@TempDir Path folder) throws IOException {
    KeyFolder keys = KeyFolder.create(folder.resolve("a"), List.of());
    CertificatePin other = KeyFolder.create(folder.resolve("b"), List.of()).pin().orElseThrow();
    try (Worker secure = Worker.start(SplitFixture.workerOptions().keys(keys).build())) {
      WorkerAddress address = WorkerAddress.of("localhost:" + secure.port(), keys);
      SplitSession.open(model, address.pinned(keys.pin().orElseThrow()), options().build()).close();
      // With a fallback too: whoever answers there is not the worker.
      LlmException e =
          assertThrows(LlmException.class, () -> SplitSession.open(model, address.pinned(other), options().build()));
      assertEquals(ErrorCode.REMOTE_REFUSED, e.code());
      assertTrue(e.getMessage().contains("its certificate is " + keys.pin().orElseThrow() + ", and not " + other),
          e.getMessage());
      Path file = folder.resolve("a/worker.pin");
      Files.writeString(file, other + "\n");
      assertEquals(ErrorCode.REMOTE_REFUSED,
          assertThrows(LlmException.class, () -> SplitSession.open(model, address, options().build())).code());
      Files.delete(file);
      SplitSession.open(model, address, options().build()).close();
      assertEquals(ErrorCode.INVALID_ARGUMENT,
          assertThrows(LlmException.class, () -> address(worker).pinned(other)).code());
    }
  }

  @Test
  void withoutTlsOnlyTheLoopbackInterfaceIsUsed() {
    LlmException client = assertThrows(LlmException.class,
        () -> SplitSession.open(model, WorkerAddress.insecure("192.0.2.1:7443"), options().build()));
    assertEquals(ErrorCode.INVALID_ARGUMENT, client.code());
    LlmException server = assertThrows(LlmException.class, () -> Worker.start(
        SplitFixture.workerOptions().listen(new java.net.InetSocketAddress("0.0.0.0", 0)).build()));
    assertEquals(ErrorCode.INVALID_ARGUMENT, server.code());
  }

  @ParameterizedTest
  @ValueSource(strings = {"localhost", "localhost:", ":7443", "localhost:70000", "a b:1", "http://x:1", "::1:7443"})
  void addressesThatAreNone(String text) {
    LlmException e = assertThrows(LlmException.class, () -> WorkerAddress.insecure(text));
    assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
  }

  @Test
  void addressesAreWrittenAsTheyAreRead() {
    for (String text : List.of("localhost:7443", "[::1]:7443", "127.0.0.1:1")) {
      assertEquals(text, WorkerAddress.insecure(text).toString());
    }
  }
}
