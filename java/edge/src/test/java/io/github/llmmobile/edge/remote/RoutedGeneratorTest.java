package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.GenerationResult;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.LlmSession;
import io.github.llmmobile.Prompt;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.edge.policy.CircuitBreaker;
import io.github.llmmobile.edge.policy.DeviceState;
import io.github.llmmobile.edge.policy.LinkEstimator;
import io.github.llmmobile.edge.policy.Place;
import io.github.llmmobile.edge.policy.Reason;
import io.github.llmmobile.edge.policy.RemotePolicy;
import io.github.llmmobile.edge.policy.RoutingEvent;
import io.github.llmmobile.edge.policy.Uncertainty;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Both models at once: a tiny one here, and one that is played over there. */
class RoutedGeneratorTest {
  private static final String PROMPT = "hello world and";
  private static final GenerationOptions GREEDY = GenerationOptions.greedy().toBuilder().maxTokens(60).build();
  private static final String FINISH = "{\"choices\":[{\"text\":\"\",\"finish_reason\":\"%s\"}]}";

  /** Enough for an endpoint on a busy machine; only those that hang take that long. */
  private static final int WAIT_MILLIS = 1500;

  /** How the played endpoint behaves when it is asked. */
  private enum Mode { WELL, DROP, REFUSE, BUSY, HANG_AT_ONCE, BREAK_OFF, HANG, RUBBISH, ENDS }

  private final List<String> asked = new ArrayList<>();
  private final List<String> said = new ArrayList<>();
  private final StringBuilder heard = new StringBuilder();
  private final List<String> heardRemote = new ArrayList<>();
  private final List<RoutingEvent> events = new ArrayList<>();
  private final AtomicInteger counter = new AtomicInteger();
  private volatile Mode mode = Mode.WELL;
  private volatile boolean continues = true;
  private volatile boolean echoes;
  private ScriptedServer server;
  private LlmSession session;

  @BeforeEach
  void open() throws IOException {
    server = new ScriptedServer(this::play);
    session = Models.tiny().newSession(Models.tinySession());
  }

  @AfterEach
  void close() throws IOException {
    session.close();
    server.close();
  }

  /** Says words with numbers, none twice, so that nothing can be lost or doubled without being seen. */
  private void play(ScriptedServer.Seen request, ScriptedServer.Reply reply) throws IOException {
    if (request.line.startsWith("GET ")) {
      reply.json("{\"data\":[{\"id\":\"big\"}]}");
      return;
    }
    JsonObject body = JsonParser.parseString(request.body).getAsJsonObject();
    boolean chat = body.has("messages");
    if (!body.has("stream")) {
      int prompt = chat ? 5 + body.getAsJsonArray("messages").size() * (continues ? 1 : 6) : 3;
      reply.json("{\"choices\":[{\"text\":\"" + (echoes && prompt == 7 ? "onex" : "x")
          + "\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":" + prompt + "}}");
      return;
    }
    if (!chat && body.get("prompt").getAsString().equals("1, 2, 3,")) {
      reply.json("{\"choices\":[{\"text\":\"x\",\"finish_reason\":\"length\"}]}");
      return;
    }
    Mode now = mode;
    synchronized (asked) {
      if (chat) {
        JsonArray messages = body.getAsJsonArray("messages");
        JsonObject last = messages.get(messages.size() - 1).getAsJsonObject();
        asked.add(last.get("role").getAsString().equals("assistant") ? last.get("content").getAsString() : "");
      } else {
        asked.add(body.get("prompt").getAsString());
      }
    }
    switch (now) {
      case DROP:
        return;
      case REFUSE:
        reply.status(400, "", "{}");
        return;
      case BUSY:
        reply.status(503, "Retry-After: 60\r\n", "");
        return;
      case HANG_AT_ONCE:
        reply.untilGone();
        return;
      default:
        break;
    }
    reply.streamHead();
    String repeated = "";
    if (chat && echoes) {
      synchronized (asked) {
        repeated = asked.get(asked.size() - 1);
      }
    }
    int most = Math.min(body.get("max_tokens").getAsInt(), 40);
    int until = now == Mode.WELL ? most : Math.min(3, most);
    for (int i = 0; i < until; i++) {
      String word = " w" + counter.incrementAndGet();
      synchronized (asked) {
        said.add(word);
      }
      word = (i == 0 ? repeated : "") + word;
      JsonObject event = JsonParser.parseString(chat ? "{\"choices\":[{\"delta\":{}}]}" : "{\"choices\":[{}]}")
          .getAsJsonObject();
      JsonObject choice = event.getAsJsonArray("choices").get(0).getAsJsonObject();
      (chat ? choice.getAsJsonObject("delta") : choice).add(chat ? "content" : "text", new JsonPrimitive(word));
      reply.event(event.toString());
    }
    if (now == Mode.HANG) {
      reply.untilGone();
    } else if (now == Mode.RUBBISH) {
      reply.raw("data: {\n\n");
    } else if (now != Mode.BREAK_OFF) {
      reply.event(String.format(FINISH, now == Mode.ENDS ? "stop" : "length"));
      reply.event("[DONE]");
    }
  }

  private RemoteModelClient client() {
    return new RemoteModelClient(RemoteEndpoint.of(server.url()), new JdkHttpTransport());
  }

  private RoutedGenerator.Builder builder(double share) {
    return RoutedGenerator.builder(Models.tiny(), session, client()).share(share).burstTokens(4)
        .deadlines(WAIT_MILLIS, WAIT_MILLIS).events(events::add);
  }

  private RoutedResult generate(RoutedGenerator generator, GenerationOptions options) {
    return generate(generator, RoutedPrompt.text(PROMPT), options, CancellationToken.none());
  }

  private RoutedResult generate(RoutedGenerator generator, RoutedPrompt prompt, GenerationOptions options,
      CancellationToken cancellation) {
    return generator.generate(prompt, options, (text, place) -> {
      heard.append(text);
      if (place == Place.REMOTE) {
        heardRemote.add(text);
      }
    }, cancellation);
  }

  /** What the device says by itself; a tiny model likes to end in the midst of a character. */
  private void assertAlone(RoutedResult result) {
    try (LlmSession other = Models.tiny().newSession(Models.tinySession())) {
      GenerationResult alone = other.generate(Prompt.text(PROMPT), GREEDY);
      assertEquals(alone.text().replaceAll("\ufffd+$", ""), result.text());
    }
    assertEquals(60, result.routing().localTokens());
  }

  /** What was heard is the result, and each request went on exactly where the text then ended. */
  private void checkNothingLostOrDoubled(RoutedResult result) {
    assertEquals(heard.toString(), result.text());
    synchronized (asked) {
      for (String request : asked) {
        assertTrue((PROMPT + heard).startsWith(request), () -> "asked to continue something else: " + request);
      }
      int from = 0;
      for (String word : heardRemote) {
        int at = said.subList(from, said.size()).indexOf(word);
        assertTrue(at >= 0, () -> word + " was never said, or heard twice");
        from += at + 1;
      }
    }
    int tokens = 0;
    for (RoutingEvent event : events) {
      assertEquals(tokens, event.position(), () -> events.toString());
      tokens += event.tokens();
    }
    assertEquals(result.routing().localTokens() + result.routing().remoteTokens(), tokens, () -> events.toString());
  }

  @Test
  void withoutAShareTheDeviceWorksAlone() {
    RoutedResult result = generate(builder(0).build(), GREEDY);
    assertAlone(result);
    assertEquals(StopReason.MAX_TOKENS, result.stopReason());
    assertEquals(0, server.seen.size());
    assertEquals(1, events.size(), "one run of local tokens");
  }

  @Test
  void withAFullShareTheOtherModelWritesAll() {
    RoutedResult result = generate(builder(1).build(), GREEDY);
    checkNothingLostOrDoubled(result);
    assertEquals(1, result.routing().remoteShare());
    assertEquals(StopReason.MAX_TOKENS, result.stopReason());
    assertEquals(2, asked.size(), "40 words, then 20");
    assertEquals(String.join("", said), result.text());
  }

  @Test
  void hardTokensComeInBursts() {
    RoutedResult result = generate(builder(0.3).build(), GREEDY.toBuilder().maxTokens(300).build());
    checkNothingLostOrDoubled(result);
    assertEquals(heardRemote, said);
    assertEquals(0.3, result.routing().remoteShare(), 0.12, result::toString);
    assertEquals(result.routing().bursts(), asked.size());
    assertTrue(result.routing().bytesUp() > 0 && result.routing().bytesDown() > 0, result::toString);
    RoutingEvent burst = events.stream().filter(event -> event.place() == Place.REMOTE).findFirst().orElseThrow();
    assertEquals(Reason.HARD, burst.reason());
    assertEquals(4, burst.tokens());
    assertTrue(burst.uncertainty() > 0.05 && burst.bytesUp() > 0 && burst.nanos() > 0, burst::toString);
  }

  @ParameterizedTest
  @EnumSource(Uncertainty.class)
  void allMeasuresWork(Uncertainty measure) {
    RoutedResult result = generate(builder(0.3).uncertainty(measure).build(), GREEDY);
    checkNothingLostOrDoubled(result);
    assertTrue(result.routing().remoteTokens() > 0, result::toString);
  }

  @ParameterizedTest
  @EnumSource(value = Mode.class, names = {"DROP", "REFUSE", "BUSY", "HANG_AT_ONCE"})
  void anEndpointThatSaysNothingChangesNothing(Mode bad) {
    mode = bad;
    RoutedResult result = generate(builder(0.3).build(), GREEDY);
    checkNothingLostOrDoubled(result);
    assertAlone(result);
    assertTrue(result.routing().failures() > 0, result::toString);
    assertEquals(0, result.routing().remoteTokens());
  }

  @Test
  void anEndpointThatIsNotThereChangesNothing() throws IOException {
    server.close();
    RoutedResult result = generate(builder(0.3).build(), GREEDY);
    assertAlone(result);
    assertTrue(events.stream().anyMatch(event -> event.reason() == Reason.REMOTE_FAILED), events::toString);
  }

  @ParameterizedTest
  @EnumSource(value = Mode.class, names = {"BREAK_OFF", "HANG", "RUBBISH"})
  void whatCameBeforeAFailureStays(Mode bad) {
    mode = bad;
    RoutedResult result = generate(builder(0.3).build(), GREEDY);
    checkNothingLostOrDoubled(result);
    assertTrue(result.routing().remoteTokens() >= 3, result::toString);
    assertTrue(result.text().contains(" w1 w2 w3"), result::text);
    assertEquals(60, result.routing().localTokens() + result.routing().remoteTokens());
  }

  /** Answers through an endpoint that does something else each time; -Dllmm.sessions=1000 for more of them. */
  @Test
  void nothingIsLostOrDoubledWhateverFails() {
    Random random = new Random(7);
    Mode[] modes = {Mode.WELL, Mode.WELL, Mode.DROP, Mode.REFUSE, Mode.BUSY, Mode.BREAK_OFF, Mode.RUBBISH, Mode.HANG};
    int remote = 0;
    int failures = 0;
    int sessions = Integer.getInteger("llmm.sessions", 40);
    for (int i = 0; i < sessions; i++) {
      events.clear();
      heard.setLength(0);
      heardRemote.clear();
      synchronized (asked) {
        asked.clear();
      }
      RoutedGenerator generator = RoutedGenerator.builder(Models.tiny(), session, client()).share(0.4).burstTokens(4)
          .deadlines(WAIT_MILLIS, WAIT_MILLIS).events(event -> {
            events.add(event);
            // HANG costs a deadline; once in a while is enough.
            mode = modes[random.nextInt(modes.length - (random.nextInt(24) == 0 ? 0 : 1))];
          }).build();
      RoutedResult result = generate(generator, GREEDY);
      checkNothingLostOrDoubled(result);
      assertEquals(60, result.routing().localTokens() + result.routing().remoteTokens());
      remote += result.routing().remoteTokens();
      failures += result.routing().failures();
    }
    assertTrue(remote > 5 * sessions && failures > sessions / 2, remote + " remote tokens, " + failures + " failures");
  }

  @Test
  void theOtherModelMayEndTheAnswer() {
    mode = Mode.ENDS;
    RoutedResult result = generate(builder(0.3).build(), GREEDY);
    checkNothingLostOrDoubled(result);
    assertEquals(StopReason.END, result.stopReason());
    assertTrue(result.text().endsWith(" w3"), result::text);
  }

  @Test
  void unlessItIsToGoOn() {
    mode = Mode.ENDS;
    RoutedResult result = generate(builder(0.3).build(), GREEDY.toBuilder().ignoreEos(true).build());
    checkNothingLostOrDoubled(result);
    assertEquals(StopReason.MAX_TOKENS, result.stopReason());
  }

  @Test
  void stopStringsCountAcrossBothModels() {
    RoutedResult result = generate(builder(1).build(), GREEDY.toBuilder().stop(List.of("3 w4")).build());
    assertEquals(StopReason.STOP_STRING, result.stopReason());
    assertEquals(" w1 w2 w", result.text());
    assertEquals(result.text(), heard.toString());
    assertEquals(4, result.routing().remoteTokens());
  }

  @Test
  void cancellingStopsWithWhatThereIs() {
    CancellationToken cancellation = new CancellationToken();
    mode = Mode.HANG;
    RoutedGenerator generator = builder(1).build();
    RoutedResult result = generator.generate(RoutedPrompt.text(PROMPT), GREEDY, (text, place) -> {
      heard.append(text);
      cancellation.cancel();
    }, cancellation);
    assertEquals(StopReason.CANCELLED, result.stopReason());
    assertEquals(heard.toString(), result.text());
    assertEquals(CircuitBreaker.State.CLOSED, generator.client.breaker().state());
  }

  @Test
  void whatTheListenerThrowsComesOutAndEndsTheExchange() throws InterruptedException {
    mode = Mode.HANG;
    RoutedGenerator generator = builder(1).build();
    assertThrows(IllegalStateException.class, () -> generator.generate(RoutedPrompt.text(PROMPT), GREEDY,
        (text, place) -> {
          throw new IllegalStateException("enough");
        }, CancellationToken.none()));
    assertTrue(server.exchangeEnded(), "the connection stays open");
    mode = Mode.WELL;
    generate(generator, GREEDY);
    assertTrue(heard.length() > 0, "the generator cannot be used again");
  }

  // ---- policy -------------------------------------------------------------------------------------------------

  private RoutedGenerator policed(double share, RemotePolicy.Builder policy, RemoteModelClient client) {
    return RoutedGenerator.builder(Models.tiny(), session, client).share(share).burstTokens(4)
        .deadlines(WAIT_MILLIS, WAIT_MILLIS).events(events::add)
        .policy(policy.build()).build();
  }

  @Test
  void localOnlyMeansThatNothingIsSent() {
    RemoteModelClient client = client();
    RoutedResult result = generate(policed(1, RemotePolicy.builder(DeviceState.desktop(), client.link(),
        client.breaker()).localOnly(true), client), GREEDY);
    assertAlone(result);
    assertEquals(0, server.seen.size());
    assertEquals(Reason.LOCAL_ONLY, events.get(0).reason());
  }

  @Test
  void belowTheBandwidthThresholdNothingIsSent() {
    LinkEstimator link = new LinkEstimator(1, System::nanoTime);
    link.sample(100_000, 100_000_000_000L);
    RemoteModelClient client = new RemoteModelClient(RemoteEndpoint.of(server.url()), new JdkHttpTransport(),
        new CircuitBreaker(System::nanoTime), link);
    RoutedResult result = generate(policed(1, RemotePolicy.builder(DeviceState.desktop(), link, client.breaker()),
        client), GREEDY);
    assertAlone(result);
    assertEquals(0, server.seen.size());
    assertEquals(Reason.BANDWIDTH, events.get(0).reason());
  }

  @Test
  void anUnknownLinkIsMeasuredBeforeAnythingIsSent() {
    LinkEstimator link = new LinkEstimator(0.001, System::nanoTime);
    RemoteModelClient client = new RemoteModelClient(RemoteEndpoint.of(server.url()), new JdkHttpTransport(),
        new CircuitBreaker(System::nanoTime), link);
    RoutedResult result = generate(policed(1, RemotePolicy.builder(DeviceState.desktop(), link, client.breaker()),
        client), GREEDY);
    assertTrue(link.goodputMbps().isPresent());
    assertEquals(1, result.routing().remoteShare());
  }

  @Test
  void theCostLimitEndsRemoteWork() {
    RemoteModelClient client = client();
    RoutedResult result = generate(policed(0.5, RemotePolicy.builder(DeviceState.desktop(), client.link(),
        client.breaker()).tokenLimit(8), client), GREEDY.toBuilder().maxTokens(200).build());
    checkNothingLostOrDoubled(result);
    assertEquals(8, result.routing().remoteTokens());
    assertEquals(Reason.COST, events.get(events.size() - 1).reason());
  }

  // ---- requests -----------------------------------------------------------------------------------------------

  @Test
  void easyRequestsStayAndHardOnesGo() {
    RoutedGenerator generator = builder(0.5).level(RoutedGenerator.Level.REQUEST).build();
    int away = 0;
    for (int i = 0; i < 60; i++) {
      events.clear();
      RoutedResult result = generate(generator, RoutedPrompt.text("hello " + i + " world " + i * i),
          GREEDY.toBuilder().maxTokens(4).build(), CancellationToken.none());
      assertEquals(1, events.size(), events::toString);
      boolean remote = result.routing().remoteTokens() > 0;
      assertEquals(remote ? 4 : 0, result.routing().remoteTokens());
      assertEquals(remote ? Reason.HARD : Reason.EASY, events.get(0).reason());
      away += remote ? 1 : 0;
    }
    assertEquals(30, away, 12);
  }

  @Test
  void aRequestThatBreaksOffIsFinishedHere() {
    mode = Mode.BREAK_OFF;
    RoutedResult result = generate(builder(1).level(RoutedGenerator.Level.REQUEST).build(), GREEDY);
    checkNothingLostOrDoubled(result);
    assertEquals(3, result.routing().remoteTokens());
    assertEquals(57, result.routing().localTokens());
    assertEquals(Reason.REMOTE_FAILED, events.get(1).reason());
    assertEquals(1, asked.size());
  }

  @Test
  void whatDoesNotFitGoesAwayOrFails() throws IOException {
    RoutedPrompt large = RoutedPrompt.text("hello ".repeat(session.contextTokens()));
    RoutedResult result = generate(builder(0.1).build(), large, GREEDY, CancellationToken.none());
    assertEquals(1, result.routing().remoteShare());
    assertEquals(Reason.DOES_NOT_FIT, events.get(0).reason());
    server.close();
    LlmException e = assertThrows(LlmException.class,
        () -> generate(builder(0.1).build(), large, GREEDY, CancellationToken.none()));
    assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
    RemoteModelClient client = client();
    LlmException full = assertThrows(LlmException.class, () -> generate(policed(0.1, RemotePolicy.builder(
        DeviceState.desktop(), client.link(), client.breaker()).localOnly(true), client), large, GREEDY,
        CancellationToken.none()));
    assertEquals(ErrorCode.CONTEXT_FULL, full.code());
  }

  // ---- conversations ------------------------------------------------------------------------------------------

  private static final RoutedPrompt CHAT = RoutedPrompt.chat(List.of(ChatMessage.user(PROMPT)));

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void conversationsAreContinuedByTheirAnswers(boolean repeats) {
    echoes = repeats;
    RoutedResult result = generate(builder(0.3).build(), CHAT, GREEDY, CancellationToken.none());
    assertEquals(heard.toString(), result.text());
    assertTrue(result.routing().remoteTokens() > 0, result::toString);
    assertEquals(said, heardRemote);
    assertEquals(0, result.routing().failures());
    for (String request : asked) {
      assertTrue(heard.toString().startsWith(request), request);
    }
  }

  @Test
  void anEndpointThatCannotContinueTakesWholeConversationsOnly() {
    continues = false;
    LlmException e = assertThrows(LlmException.class,
        () -> generate(builder(0.3).build(), CHAT, GREEDY, CancellationToken.none()));
    assertEquals(ErrorCode.NOT_AVAILABLE, e.code());
    assertEquals(1, generate(builder(1).build(), CHAT, GREEDY, CancellationToken.none()).routing().remoteShare());
  }

  // ---- sampling -----------------------------------------------------------------------------------------------

  @Test
  void aSeedRepeatsAnAnswerAndIsNotTheSameAtEveryStep() {
    GenerationOptions seeded = GenerationOptions.builder().maxTokens(40).temperature(2).topK(0).topP(1).minP(0).seed(5)
        .build();
    String first = generate(builder(0).build(), seeded).text();
    assertEquals(first, generate(builder(0).build(), seeded).text());
    assertNotEquals(first, generate(builder(0).build(), seeded.toBuilder().seed(6).build()).text());
    assertTrue(first.chars().distinct().count() > 10, first);
  }

  @Test
  void whatHasNoMeaningAcrossTwoModelsIsRefused() {
    RoutedGenerator generator = builder(0.1).build();
    for (GenerationOptions bad : List.of(GREEDY.toBuilder().grammar("root ::= \"a\"").build(),
        GREEDY.toBuilder().jsonSchema("{}").build(), GREEDY.toBuilder().draftTokens(4).build(),
        GREEDY.toBuilder().mirostat(2).build(), GREEDY.toBuilder().logprobs(true).build())) {
      LlmException e = assertThrows(LlmException.class, () -> generate(generator, bad));
      assertEquals(ErrorCode.INVALID_ARGUMENT, e.code());
    }
    assertFalse(RoutedPrompt.text("secret").toString().contains("secret"));
  }
}
