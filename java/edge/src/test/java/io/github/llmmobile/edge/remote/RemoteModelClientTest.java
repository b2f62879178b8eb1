package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.edge.policy.CircuitBreaker;
import io.github.llmmobile.edge.policy.LinkEstimator;
import io.github.llmmobile.edge.remote.RemoteException.Kind;
import io.github.llmmobile.edge.remote.ScriptedServer.Script;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The client against servers that behave, and against others. */
class RemoteModelClientTest {
  private static final CancellationToken NEVER = CancellationToken.none();
  private static final RemoteRequest REQUEST = RemoteRequest.text("Once").maxTokens(8).greedy().build();

  static Stream<HttpTransport> transports() {
    return Stream.of(new JdkHttpTransport(), new UrlConnectionTransport());
  }

  private static RemoteModelClient client(ScriptedServer server, HttpTransport transport) {
    return new RemoteModelClient(RemoteEndpoint.of(server.url()), transport);
  }

  private static long soon() {
    return System.nanoTime() + 20_000_000_000L;
  }

  private static List<String> texts(RemoteCall call) {
    List<String> texts = new ArrayList<>();
    for (RemoteToken token = call.next(soon(), NEVER); token != null; token = call.next(soon(), NEVER)) {
      texts.add(token.text());
    }
    return texts;
  }

  private static Kind failure(RemoteModelClient client) {
    try (RemoteCall call = client.start(REQUEST)) {
      return assertThrows(RemoteException.class, () -> texts(call)).kind();
    }
  }

  private static String piece(String text) {
    return "{\"choices\":[{\"text\":\"" + text + "\"}]}";
  }

  private static final Script TWO_TOKENS = (request, reply) -> {
    reply.streamHead();
    reply.event(piece(" upon"));
    reply.event(piece(" a"));
    reply.event("{\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,"
        + "\"completion_tokens\":2}}");
    reply.event("[DONE]");
  };

  @ParameterizedTest
  @MethodSource("transports")
  void streamsTokensAndCounts(HttpTransport transport) throws IOException {
    try (ScriptedServer server = new ScriptedServer(TWO_TOKENS);
        RemoteCall call = client(server, transport).start(REQUEST)) {
      assertEquals(List.of(" upon", " a"), texts(call));
      assertNull(call.next(soon(), NEVER), "the end stays the end");
      assertEquals("length", call.finishReason().orElseThrow());
      assertEquals(2, call.tokens());
      assertEquals(3, call.promptTokens());
      assertEquals(server.seen.get(0).body.length(), call.bytesUp());
      assertTrue(call.bytesDown() > 100, call::toString);
      assertEquals("POST /v1/completions HTTP/1.1", server.seen.get(0).line);
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void answersAtOnceAreUnderstoodToo(HttpTransport transport) throws IOException {
    try (ScriptedServer server = new ScriptedServer((request, reply) -> reply.json(piece(" upon a")));
        RemoteCall call = client(server, transport).start(REQUEST)) {
      assertEquals(List.of(" upon a"), texts(call));
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void keysTravelInTheHeaderAlone(HttpTransport transport) throws IOException {
    try (ScriptedServer server = new ScriptedServer(TWO_TOKENS)) {
      RemoteModelClient client =
          new RemoteModelClient(RemoteEndpoint.of(server.url()).withApiKey("sk-1").withModel("big"), transport);
      try (RemoteCall call = client.start(REQUEST)) {
        texts(call);
      }
      assertTrue(server.seen.get(0).head.contains("Authorization: Bearer sk-1\r\n"), server.seen.get(0).head);
      assertTrue(server.seen.get(0).body.contains("\"model\":\"big\""));
      assertFalse(server.seen.get(0).body.contains("sk-1"));
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void redirectsAreNotFollowed(HttpTransport transport) throws IOException {
    try (ScriptedServer other = new ScriptedServer(TWO_TOKENS);
        ScriptedServer server = new ScriptedServer((request, reply) ->
            reply.status(307, "Location: " + other.url() + "/v1/completions\r\n", ""))) {
      assertEquals(Kind.REFUSED, failure(client(server, transport)));
      assertEquals(0, other.seen.size());
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void theDeadlineEndsTheExchange(HttpTransport transport) throws Exception {
    try (ScriptedServer server = new ScriptedServer((request, reply) -> {
          reply.streamHead();
          reply.event(piece(" upon"));
          reply.untilGone();
        });
        RemoteCall call = client(server, transport).start(REQUEST)) {
      assertEquals(" upon", call.next(soon(), NEVER).text());
      RemoteException e = assertThrows(RemoteException.class, () -> call.next(System.nanoTime(), NEVER));
      assertEquals(Kind.TIMEOUT, e.kind());
      assertEquals(ErrorCode.REMOTE_UNAVAILABLE, e.code());
      assertTrue(server.exchangeEnded(), "the connection stays open");
      assertThrows(RemoteException.class, () -> call.next(soon(), NEVER), "nothing comes after a failure");
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void cancellingEndsTheExchange(HttpTransport transport) throws Exception {
    CancellationToken cancellation = new CancellationToken();
    try (ScriptedServer server = new ScriptedServer((request, reply) -> {
          cancellation.cancel();
          reply.untilGone();
        });
        RemoteCall call = client(server, transport).start(REQUEST)) {
      RemoteException e = assertThrows(RemoteException.class, () -> call.next(soon(), cancellation));
      assertEquals(ErrorCode.CANCELLED, e.code());
      assertTrue(server.exchangeEnded(), "the connection stays open");
    }
  }

  @Test
  void anInterruptCancelsAndStaysSet() throws IOException {
    try (ScriptedServer server = new ScriptedServer((request, reply) -> reply.untilGone());
        RemoteCall call = client(server, new JdkHttpTransport()).start(REQUEST)) {
      Thread.currentThread().interrupt();
      assertEquals(Kind.CANCELLED, assertThrows(RemoteException.class, () -> call.next(soon(), NEVER)).kind());
      assertTrue(Thread.interrupted());
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void whatFailsBeforeTheFirstTokenIsTriedOnceMore(HttpTransport transport) throws IOException {
    List<Integer> statuses = new ArrayList<>(List.of(503));
    try (ScriptedServer server = new ScriptedServer((request, reply) -> {
          synchronized (statuses) {
            if (!statuses.isEmpty()) {
              reply.status(statuses.remove(0), "Retry-After: 0\r\n", "busy");
              return;
            }
          }
          TWO_TOKENS.answer(request, reply);
        })) {
      RemoteModelClient client = client(server, transport);
      try (RemoteCall call = client.start(REQUEST)) {
        assertEquals(List.of(" upon", " a"), texts(call));
      }
      assertEquals(2, server.seen.size());
      statuses.addAll(List.of(503, 503));
      assertEquals(Kind.BUSY, failure(client));
      assertEquals(4, server.seen.size(), "no third attempt");
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void whatFailsAfterwardsIsNotTriedAgain(HttpTransport transport) throws IOException {
    try (ScriptedServer server = new ScriptedServer((request, reply) -> {
          reply.streamHead();
          reply.event(piece(" upon"));
        })) {
      try (RemoteCall call = client(server, transport).start(REQUEST)) {
        assertEquals(" upon", call.next(soon(), NEVER).text());
        assertEquals(Kind.CONNECTION, assertThrows(RemoteException.class, () -> call.next(soon(), NEVER)).kind());
      }
      assertEquals(1, server.seen.size());
    }
  }

  @Test
  void longWaitsAreNotWaitedFor() throws IOException {
    try (ScriptedServer server =
        new ScriptedServer((request, reply) -> reply.status(429, "Retry-After: 3600\r\n", ""))) {
      try (RemoteCall call = client(server, new JdkHttpTransport()).start(REQUEST)) {
        RemoteException e = assertThrows(RemoteException.class, () -> texts(call));
        assertEquals(3_600_000, e.retryAfterMillis());
      }
      assertEquals(1, server.seen.size());
    }
  }

  @Test
  void aWrongKeyPutsTheEndpointOutOfUse() throws IOException {
    try (ScriptedServer server = new ScriptedServer((request, reply) -> reply.status(401, "", "{}"))) {
      RemoteModelClient client = client(server, new JdkHttpTransport());
      assertEquals(Kind.AUTH, failure(client));
      assertEquals(CircuitBreaker.State.DISABLED, client.breaker().state());
      assertEquals(Kind.BREAKER_OPEN, assertThrows(RemoteException.class, () -> client.start(REQUEST)).kind());
      assertEquals(1, server.seen.size());
    }
  }

  @Test
  void fiveFailuresOpenTheBreaker() throws IOException {
    RemoteModelClient client;
    try (ScriptedServer server = new ScriptedServer(TWO_TOKENS)) {
      client = client(server, new JdkHttpTransport());
    }
    for (int i = 0; i < 5; i++) {
      assertEquals(Kind.CONNECTION, failure(client));
    }
    assertEquals(Kind.BREAKER_OPEN, assertThrows(RemoteException.class, () -> client.start(REQUEST)).kind());
  }

  @Test
  void refusalsOfARequestDoNotOpenTheBreaker() throws IOException {
    try (ScriptedServer server =
        new ScriptedServer((request, reply) -> reply.status(400, "", "{\"error\":{\"message\":\"Once\"}}"))) {
      RemoteModelClient client = client(server, new JdkHttpTransport());
      for (int i = 0; i < 6; i++) {
        try (RemoteCall call = client.start(REQUEST)) {
          RemoteException e = assertThrows(RemoteException.class, () -> texts(call));
          assertEquals(ErrorCode.REMOTE_REFUSED, e.code());
          assertEquals(400, e.status());
          assertFalse(String.valueOf(e.getMessage()).contains("Once"), "what was said is repeated");
        }
      }
      assertEquals(CircuitBreaker.State.CLOSED, client.breaker().state());
    }
  }

  @ParameterizedTest
  @MethodSource("transports")
  void rubbishIsAnErrorAndNothingWorse(HttpTransport transport) throws IOException {
    for (String rubbish : List.of("data: {\"choices\":[{\"te\n\n", "data: \u0000\n\n", "data: [1,2]\n\n")) {
      try (ScriptedServer server = new ScriptedServer((request, reply) -> {
        reply.streamHead();
        reply.raw(rubbish);
      })) {
        assertEquals(Kind.PROTOCOL, failure(client(server, transport)), rubbish);
      }
    }
    try (ScriptedServer server = new ScriptedServer((request, reply) -> reply.raw("no HTTP at all\r\n\r\n"))) {
      assertEquals(Kind.CONNECTION, failure(client(server, transport)));
    }
    try (ScriptedServer server = new ScriptedServer((request, reply) -> {
      reply.streamHead();
      reply.raw("data: " + "x".repeat(300_000));
    })) {
      assertEquals(Kind.TOO_LARGE, failure(client(server, transport)));
    }
  }

  @Test
  void closingFromAnotherThreadEndsTheWait() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    try (ScriptedServer server = new ScriptedServer((request, reply) -> {
          asked.countDown();
          reply.untilGone();
        });
        RemoteCall waiting = client(server, new JdkHttpTransport()).start(REQUEST)) {
      Thread closer = new Thread(() -> {
        try {
          asked.await();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
        close(waiting);
      });
      closer.start();
      assertEquals(Kind.CANCELLED, assertThrows(RemoteException.class, () -> waiting.next(soon(), NEVER)).kind());
      closer.join();
    }
  }

  private static void close(RemoteCall call) {
    call.close();
  }

  // ---- the probe ----------------------------------------------------------------------------------------------

  /** Plays an endpoint: which parts it has, and how it continues answers. */
  private static Script endpoint(boolean completions, boolean chat, boolean logprobs, String continues) {
    return (request, reply) -> {
      if (request.line.startsWith("GET /v1/models ")) {
        reply.json("{\"data\":[{\"id\":\"big\",\"meta\":{\"n_ctx_train\":4096}}]}");
        return;
      }
      JsonObject body = JsonParser.parseString(request.body).getAsJsonObject();
      boolean isChat = request.line.startsWith("POST /v1/chat/completions ");
      if (!(isChat ? chat : completions) || body.has("logprobs") && !logprobs) {
        reply.status(isChat ? 404 : 400, "", "{}");
        return;
      }
      int prompt = 10;
      if (isChat && body.getAsJsonArray("messages").size() == 2) {
        boolean does = continues.equals("plain") || continues.equals("echo")
            || continues.equals("flags") && body.has("continue_final_message");
        prompt += does ? 1 : 6;
      }
      String text = isChat && prompt == 11 && continues.equals("echo") ? "onex" : "x";
      String scored = logprobs && body.has("logprobs")
          ? ",\"logprobs\":{\"content\":[{\"token\":\"x\",\"logprob\":-1,\"top_logprobs\":[{\"token\":\"x\","
              + "\"logprob\":-1}]}]}" : "";
      reply.json("{\"choices\":[{" + (isChat ? "\"message\":{\"content\":\"" + text + "\"}" : "\"text\":\"x\"")
          + ",\"finish_reason\":\"length\"" + scored + "}],\"usage\":{\"prompt_tokens\":" + prompt + "}}");
    };
  }

  private static RemoteDescription describe(Script script) throws IOException {
    try (ScriptedServer server = new ScriptedServer(script)) {
      return client(server, new JdkHttpTransport()).describe(20_000, NEVER);
    }
  }

  @Test
  void theProbeDescribesTheEndpoint() throws IOException {
    RemoteDescription all = describe(endpoint(true, true, true, "plain"));
    assertEquals("big", all.model());
    assertEquals(4096, all.contextTokens().orElseThrow());
    assertTrue(all.completions() && all.chat() && all.completionLogprobs() && all.chatLogprobs()
        && all.continuesChat() && all.roundTripNanos() > 0, all::toString);
    RemoteDescription texts = describe(endpoint(true, false, false, "no"));
    assertTrue(texts.completions() && !texts.chat() && !texts.completionLogprobs() && !texts.continuesChat(),
        texts::toString);
    RemoteDescription gateway = describe(endpoint(false, true, false, "no"));
    assertTrue(!gateway.completions() && gateway.chat() && !gateway.continuesChat(), gateway::toString);
    RemoteDescription echo = describe(endpoint(true, true, true, "echo"));
    assertTrue(echo.continuesChat() && echo.echoes() && !all.echoes(), echo::toString);
    RemoteDescription flags = describe(endpoint(true, true, true, "flags"));
    assertEquals(RemoteDescription.Continuation.FLAGS, flags.continuation());
  }

  @Test
  void whatIsNoEndpointIsRefused() throws IOException {
    assertEquals(Kind.REFUSED,
        assertThrows(RemoteException.class, () -> describe((request, reply) -> reply.status(404, "", ""))).kind());
    assertEquals(Kind.PROTOCOL,
        assertThrows(RemoteException.class, () -> describe((request, reply) -> reply.json("<html>"))).kind());
    assertEquals(Kind.AUTH,
        assertThrows(RemoteException.class, () -> describe((request, reply) -> reply.status(403, "", ""))).kind());
  }

  @Test
  void theProbeMeasuresTheUplink() throws IOException {
    LinkEstimator link = new LinkEstimator(1, System::nanoTime);
    try (ScriptedServer server = new ScriptedServer(endpoint(true, true, true, "plain"))) {
      RemoteModelClient client = new RemoteModelClient(RemoteEndpoint.of(server.url()), new JdkHttpTransport(),
          new CircuitBreaker(System::nanoTime), link);
      assertEquals(LinkEstimator.Gate.UNKNOWN, link.gate());
      client.measureUplink(20_000, NEVER);
      assertTrue(link.goodputMbps().orElseThrow() > 0);
      assertFalse(link.wantsProbe(false));
      assertTrue(server.seen.stream().anyMatch(seen -> seen.body.length() > 32 * 1024));
    }
  }

  @Test
  void secretsStayOutOfTexts() {
    RemoteEndpoint endpoint = RemoteEndpoint.of("https://host").withApiKey("sk-1");
    RemoteModelClient client = new RemoteModelClient(endpoint, new UrlConnectionTransport());
    HttpTransport.Request request = client.request(endpoint.base(), "what the user says");
    for (Object shown : List.of(client, request, REQUEST, RemoteRequest.text("what the user says").build())) {
      String text = shown.toString().toLowerCase(Locale.ROOT);
      assertFalse(text.contains("sk-1") || text.contains("what the user"), text);
    }
  }
}
