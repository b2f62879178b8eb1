package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.SessionOptions;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.RoutingEvent;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Against a real server: the same model there and here, so that texts can be compared to the letter. */
@Tag("model")
class LlamaServerTest {
  private static final CancellationToken NEVER = CancellationToken.none();
  private static final int PATIENCE_MILLIS = 60_000;
  private static final String COUNTING = "1, 2, 3, 4, 5, 6, 7,";
  private static final String STORY = "The history of the steam engine begins";
  private static final GenerationOptions GREEDY = GenerationOptions.greedy().toBuilder().maxTokens(24).build();
  private static LlamaServer server;

  @BeforeAll
  static void start() throws IOException, InterruptedException {
    Models.smol();
    server = LlamaServer.start(Models.smolPath());
  }

  @AfterAll
  static void stop() throws InterruptedException {
    if (server != null) {
      server.close();
    }
  }

  static Stream<RemoteModelClient> clients() {
    RemoteModelClient jdk = server.client();
    return Stream.of(jdk, new RemoteModelClient(jdk.endpoint(), new UrlConnectionTransport()));
  }

  private static LlmSession session() {
    return Models.smol().newSession(SessionOptions.builder().contextTokens(1024).threads(1).build());
  }

  private static List<RemoteToken> run(RemoteModelClient client, RemoteRequest request) {
    List<RemoteToken> tokens = new ArrayList<>();
    long deadline = System.nanoTime() + PATIENCE_MILLIS * 1_000_000L;
    try (RemoteCall call = client.start(request)) {
      for (RemoteToken token = call.next(deadline, NEVER); token != null; token = call.next(deadline, NEVER)) {
        tokens.add(token);
      }
      assertTrue(call.finishReason().isPresent(), call::toString);
    }
    return tokens;
  }

  private static String text(List<RemoteToken> tokens) {
    StringBuilder text = new StringBuilder();
    tokens.forEach(token -> text.append(token.text()));
    return text.toString();
  }

  private static String alone(String prompt) {
    try (LlmSession session = session()) {
      return session.generate(Prompt.text(prompt), GREEDY).text();
    }
  }

  @ParameterizedTest
  @MethodSource("clients")
  void theProbeFindsWhatItCanDo(RemoteModelClient client) {
    RemoteDescription what = client.describe(PATIENCE_MILLIS, NEVER);
    assertTrue(what.completions() && what.chat() && what.completionLogprobs() && what.chatLogprobs(), what::toString);
    assertTrue(what.continuesChat() && what.contextTokens().isPresent() && !what.model().isEmpty(), what::toString);
    client.measureUplink(PATIENCE_MILLIS, NEVER);
    assertTrue(client.link().goodputMbps().orElseThrow() > 1, () -> client.link().toString());
  }

  @ParameterizedTest
  @MethodSource("clients")
  void completionsAreTheSameAtOncePieceByPieceAndHere(RemoteModelClient client) {
    RemoteRequest.Builder request = RemoteRequest.text(COUNTING).maxTokens(24).greedy();
    List<RemoteToken> streamed = run(client, request.build());
    assertEquals(alone(COUNTING), text(streamed));
    assertEquals(24, streamed.size());
    assertEquals(text(streamed), text(run(client, request.stream(false).build())));
  }

  @Test
  void logProbabilitiesAreThoseOfTheModelHere() {
    List<RemoteToken> tokens = run(server.client(),
        RemoteRequest.text(STORY).maxTokens(3).greedy().topLogprobs(2).build());
    try (LlmSession session = session()) {
      GenerationResult here =
          session.generate(Prompt.text(STORY), GREEDY.toBuilder().maxTokens(3).logprobs(true).build());
      for (int i = 0; i < 3; i++) {
        RemoteToken token = tokens.get(i);
        assertEquals(here.logprobs().orElseThrow().get(i).logprob(), token.logprob().orElseThrow(), 0.05);
        assertEquals(2, token.alternatives().size());
        assertEquals(token.logprob().orElseThrow(), token.best().orElseThrow().logprob(), 1e-9);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("clients")
  void conversationsAreAnsweredAndContinued(RemoteModelClient client) {
    RemoteRequest.Builder question = RemoteRequest.chat(List.of(
        ChatMessage.user("What is the capital of France? Answer with one word."))).maxTokens(16).greedy();
    assertTrue(text(run(client, question.build())).contains("Paris"));
    client.describe(PATIENCE_MILLIS, NEVER);
    String rest = text(run(client, question.answerSoFar("The capital of France is").maxTokens(1).build()));
    assertEquals(" Paris", rest);
  }

  @Test
  void stopStringsAndRefusalsAreUnderstood() {
    assertEquals("8, 9", text(run(server.client(), RemoteRequest.text("1, 2, 3, 4, 5, 6, 7, ").maxTokens(24).greedy()
        .stop(List.of(", 10")).build())).strip());
    RemoteException e = assertThrows(RemoteException.class, () -> run(server.client(),
        RemoteRequest.text("word ".repeat(4000)).maxTokens(1).build()));
    assertEquals(RemoteException.Kind.REFUSED, e.kind());
  }

  /** The one slot of the server is free again at once. */
  @ParameterizedTest
  @MethodSource("clients")
  void cancellingFreesTheServer(RemoteModelClient client) {
    for (int i = 0; i < 5; i++) {
      try (RemoteCall call = client.start(RemoteRequest.text(STORY).maxTokens(1500).greedy().build())) {
        call.next(System.nanoTime() + PATIENCE_MILLIS * 1_000_000L, NEVER);
      }
      assertEquals(1, run(client, RemoteRequest.text(COUNTING).maxTokens(1).greedy().build()).size());
    }
  }

  // ---- routing ------------------------------------------------------------------------------------------------

  private final List<RoutingEvent> events = new ArrayList<>();

  private RoutedResult routed(RemoteModelClient client, RoutedPrompt prompt, double share, RoutedListener listener) {
    try (LlmSession session = session()) {
      return RoutedGenerator.builder(Models.smol(), session, client).share(share).events(events::add)
          .deadlines(PATIENCE_MILLIS, PATIENCE_MILLIS).build().generate(prompt, GREEDY, listener, NEVER);
    }
  }

  /**
   * With the same model at both ends it does not matter who writes: any character lost or doubled would show. First
   * paragraphs are compared: line breaks in a row are one token or several, and between the models only text travels.
   */
  @Test
  void answersOfBothAreThatOfOne() {
    int remote = 0;
    for (String prompt : new String[] {STORY, COUNTING, "Once upon a time", "The three primary colours are red,",
        "Dear Sir or Madam, I am writing"}) {
      RoutedResult result = routed(server.client(), RoutedPrompt.text(prompt), 0.4, (text, place) -> {});
      assertEquals(paragraph(alone(prompt)), paragraph(result.text()));
      remote += result.routing().remoteTokens();
      assertEquals(0, result.routing().failures());
    }
    assertTrue(remote > 8, remote + " remote tokens");
  }

  private static String paragraph(String text) {
    int end = text.indexOf('\n');
    return end < 0 ? text : text.substring(0, end);
  }

  @Test
  void conversationsOfBothAreThatOfOne() {
    List<ChatMessage> messages = List.of(ChatMessage.user("Tell me about the moon."));
    String alone;
    try (LlmSession session = session()) {
      alone = session.generate(Prompt.chat(messages), GREEDY).text();
    }
    RoutedResult result = routed(server.client(), RoutedPrompt.chat(messages), 0.4, (text, place) -> {});
    assertEquals(paragraph(alone), paragraph(result.text()));
    assertTrue(result.routing().remoteTokens() > 0, result::toString);
  }

  /** Killed while it writes: the answer is the one without it. */
  @Test
  void aServerThatIsKilledLosesNothing() throws Exception {
    try (LlamaServer victim = LlamaServer.start(Models.smolPath())) {
      StringBuilder heard = new StringBuilder();
      int[] pieces = new int[1];
      RoutedResult result = routed(victim.client(), RoutedPrompt.text(STORY), 1, (text, place) -> {
        heard.append(text);
        if (place == Place.REMOTE && ++pieces[0] == 5) {
          try {
            victim.kill();
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        }
      });
      assertEquals(alone(STORY), result.text());
      assertEquals(heard.toString(), result.text());
      assertTrue(result.routing().remoteTokens() >= 5 && result.routing().localTokens() > 0, result::toString);
      assertEquals(Reason.REMOTE_FAILED, events.get(1).reason());
      assertEquals(StopReason.MAX_TOKENS, result.stopReason());
    }
  }

  /** Another family with another tokeniser writes what is hard. */
  @Test
  void anotherModelHelpsThroughText() throws Exception {
    try (LlamaServer gemma = LlamaServer.start(Models.gemmaPath())) {
      RemoteModelClient client = gemma.client();
      StringBuilder heard = new StringBuilder();
      StringBuilder remote = new StringBuilder();
      RoutedResult result = routed(client, RoutedPrompt.text(STORY), 0.5, (text, place) -> {
        heard.append(text);
        remote.append(place == Place.REMOTE ? text : "");
      });
      assertEquals(heard.toString(), result.text());
      assertTrue(result.routing().remoteTokens() > 0 && result.routing().localTokens() > 0, result::toString);
      assertFalse(remote.toString().contains("\ufffd"));
      assertTrue(result.routing().remoteShare() < 0.9, result::toString);
    }
  }
}
