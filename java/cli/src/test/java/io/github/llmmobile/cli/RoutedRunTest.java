package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.cli.TestCli.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code run} and {@code routing} with an endpoint that is played here. */
class RoutedRunTest {
  @TempDir Path folder;
  private Path model;

  @BeforeEach
  void writeModel() throws IOException {
    model = TinyModelFile.in(folder);
  }

  private Outcome run(TestCli cli, String url, String... more) {
    Stream<String> start = Stream.of("run", "--model", model.toString(), "--raw", "--temperature", "0", "--max-tokens",
        "40", "--remote-model", url);
    return cli.cache(folder).run(Stream.concat(start, Stream.of(more)).toArray(String[]::new));
  }

  private static JsonObject json(Outcome outcome) {
    assertEquals(0, outcome.code(), outcome.err());
    return JsonParser.parseString(outcome.out()).getAsJsonObject();
  }

  @Test
  void aShareOfTheAnswerComesFromAfar() throws IOException {
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      JsonObject json = json(run(new TestCli(), endpoint.url(), "--remote-share", "0.4", "--json", "hello world"));
      JsonObject routing = json.getAsJsonObject("routing");
      assertTrue(json.get("text").getAsString().contains(" far far far"), json::toString);
      int remote = routing.get("remote_tokens").getAsInt();
      assertTrue(remote >= 8, routing::toString);
      assertEquals(40, remote + routing.get("local_tokens").getAsInt());
      assertEquals(0, routing.get("failures").getAsInt());
      JsonArray decisions = routing.getAsJsonArray("decisions");
      int tokens = 0;
      for (JsonElement decision : decisions) {
        tokens += decision.getAsJsonObject().get("tokens").getAsInt();
      }
      assertEquals(40, tokens);
      assertTrue(Files.list(folder.resolve("routing")).findAny().isPresent(), "nothing was learned");
    }
  }

  @Test
  void whatWasLearnedIsUsedAndRubbishIsIgnored() throws IOException {
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      run(new TestCli(), endpoint.url(), "hello");
      Path learned = Files.list(folder.resolve("routing")).findFirst().orElseThrow();
      assertEquals(0, run(new TestCli(), endpoint.url(), "hello").code());
      for (String rubbish : new String[] {"", "{", "{\"uncertainties\":[2]}", "{\"uncertainties\":{}}", "[]"}) {
        Files.writeString(learned, rubbish);
        assertEquals(0, run(new TestCli(), endpoint.url(), "hello").code(), rubbish);
      }
    }
  }

  @Test
  void decisionsAndStatisticsAreShown() throws IOException {
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      Outcome outcome = run(new TestCli(), endpoint.url(), "--remote-share", "0.4", "--explain-routing", "--stats",
          "hello world");
      assertEquals(0, outcome.code(), outcome.err());
      assertTrue(outcome.err().contains("the device's model is unsure ("), outcome.err());
      assertTrue(outcome.err().contains("the device's model is sure enough"), outcome.err());
      assertTrue(outcome.err().contains("% remote), in "), outcome.err());
      assertTrue(outcome.err().contains("ms per token"), outcome.err());
    }
  }

  @Test
  void allOrNothing() throws IOException {
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      Outcome all = run(new TestCli(), endpoint.url(), "--remote-share", "1", "hello");
      assertEquals(" far".repeat(40) + "\n", all.out());
      int asked = endpoint.keys.size();
      Outcome none = run(new TestCli(), endpoint.url(), "--remote-share", "0", "hello");
      assertFalse(none.out().contains(" far"), none.out());
      assertEquals(asked, endpoint.keys.size(), "something was sent");
    }
  }

  @Test
  void keysComeFromTheEnvironment() throws IOException {
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      run(new TestCli().variable("LLMM_REMOTE_KEY", "sk-1"), endpoint.url(), "--remote-share", "1", "hello");
      assertTrue(endpoint.keys.size() > 3);
      endpoint.keys.forEach(key -> assertEquals("Bearer sk-1", key));
    }
  }

  @Test
  void withoutTheEndpointTheDeviceAnswersUnlessItIsStrict() throws IOException {
    String gone;
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      gone = endpoint.url();
    }
    Outcome outcome = run(new TestCli(), gone, "--json", "hello");
    assertEquals(0, outcome.code(), outcome.err());
    assertTrue(outcome.err().startsWith("warning: no connection to the endpoint"), outcome.err());
    JsonObject routing = JsonParser.parseString(outcome.out()).getAsJsonObject().getAsJsonObject("routing");
    assertEquals(40, routing.get("local_tokens").getAsInt());
    assertEquals("endpoint_down",
        routing.getAsJsonArray("decisions").get(0).getAsJsonObject().get("reason").getAsString());
    Outcome strict = run(new TestCli(), gone, "--strict", "hello");
    assertEquals(1, strict.code(), strict.err());
  }

  @Test
  void anEndpointThatCannotContinueGetsWholeRequests() throws IOException {
    try (FakeEndpoint endpoint = new FakeEndpoint(false)) {
      Outcome outcome = new TestCli().cache(folder).run("run", "--model", model.toString(), "--temperature", "0",
          "--max-tokens", "10", "--remote-model", endpoint.url(), "--remote-share", "0.5", "hello");
      assertEquals(0, outcome.code(), outcome.err());
      assertTrue(outcome.err().startsWith("warning: the endpoint cannot continue"), outcome.err());
    }
  }

  @Test
  void theBandwidthThresholdIsKept() throws IOException {
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      JsonObject json = json(run(new TestCli(), endpoint.url(), "--bandwidth-threshold", "100 Gbps", "--json", "hello"));
      JsonObject first = json.getAsJsonObject("routing").getAsJsonArray("decisions").get(0).getAsJsonObject();
      assertEquals("bandwidth", first.get("reason").getAsString());
      assertEquals(40, first.get("tokens").getAsInt());
    }
  }

  @Test
  void mistakesAreNamed() throws IOException {
    assertEquals(2, run(new TestCli(), "ftp://x", "hello").code());
    assertEquals(2, run(new TestCli(), "http://127.0.0.1:1", "--remote-share", "1.5", "hello").code());
    assertEquals(2, run(new TestCli(), "http://127.0.0.1:1", "--remote-burst", "0", "hello").code());
    assertEquals(2, run(new TestCli(), "http://127.0.0.1:1", "--draft", "8", "hello").code());
    Outcome explain = new TestCli().cache(folder).run("run", "--model", model.toString(), "--explain-routing", "x");
    assertEquals(2, explain.code());
    assertTrue(explain.err().contains("--remote-model"), explain.err());
    Outcome key = run(new TestCli().variable("LLMM_REMOTE_KEY", "sk-1"), "http://192.0.2.1:8080", "hello");
    assertEquals(2, key.code());
    assertTrue(key.err().contains("in the clear") && !key.err().contains("sk-1"), key.err());
  }

  @Test
  void routingPrintsItsTable() throws IOException {
    Path prompts = Files.writeString(folder.resolve("prompts.txt"), "hello world\n\nthe and\n");
    try (FakeEndpoint endpoint = new FakeEndpoint(true)) {
      String[] line = {"routing", "--model", model.toString(), "--remote-model", endpoint.url(), "--prompts",
          prompts.toString(), "--max-tokens", "20", "--shares", "0.2,0.5"};
      Outcome table = new TestCli().cache(folder).run(line);
      assertEquals(0, table.code(), table.err());
      assertTrue(table.out().contains("agrees by itself at"), table.out());
      assertEquals(4, table.out().lines().count(), table.out());
      JsonObject json = json(new TestCli().cache(folder).run(
          Stream.concat(Stream.of(line), Stream.of("--json", "--no-free")).toArray(String[]::new)));
      assertTrue(json.get("places").getAsInt() > 20, json::toString);
      JsonObject row = json.getAsJsonArray("rows").get(1).getAsJsonObject();
      assertEquals(0.5, row.get("routed_share").getAsDouble(), 0.3);
      assertTrue(row.get("free_share").isJsonNull());
      assertEquals(2, new TestCli().cache(folder).run("routing", "--model", model.toString(), "--remote-model",
          endpoint.url(), "--prompts", prompts.toString(), "--shares", "1").code());
    }
  }
}
