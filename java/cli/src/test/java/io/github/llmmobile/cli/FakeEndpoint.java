package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Plays an OpenAI-compatible endpoint whose model says {@code " far"} again and again. */
final class FakeEndpoint implements AutoCloseable {
  final List<String> keys = new CopyOnWriteArrayList<>();
  private final HttpServer server;
  private final boolean continues;

  FakeEndpoint(boolean continues) throws IOException {
    this.continues = continues;
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::answer);
    server.start();
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  private void answer(HttpExchange exchange) throws IOException {
    String key = exchange.getRequestHeaders().getFirst("Authorization");
    keys.add(key == null ? "" : key);
    byte[] body = exchange.getRequestBody().readAllBytes();
    if (exchange.getRequestMethod().equals("GET")) {
      send(exchange, "application/json", "{\"data\":[{\"id\":\"big\"}]}");
      return;
    }
    JsonObject request = JsonParser.parseString(new String(body, StandardCharsets.UTF_8)).getAsJsonObject();
    int tokens = request.get("max_tokens").getAsInt();
    boolean chat = request.has("messages");
    int prompt = chat ? request.getAsJsonArray("messages").size() * (continues ? 1 : 9) : 1;
    String usage = ",\"usage\":{\"prompt_tokens\":" + prompt + ",\"completion_tokens\":" + tokens + "}}";
    if (!request.has("stream")) {
      send(exchange, "application/json", "{\"choices\":[{\"text\":\" far\",\"finish_reason\":\"length\"}]" + usage);
      return;
    }
    StringBuilder events = new StringBuilder();
    for (int i = 0; i < tokens; i++) {
      events.append("data: {\"choices\":[{").append(chat ? "\"delta\":{\"content\":\" far\"}" : "\"text\":\" far\"")
          .append("}]}\n\n");
    }
    events.append("data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]").append(usage)
        .append("\n\ndata: [DONE]\n\n");
    send(exchange, "text/event-stream", events.toString());
  }

  private static void send(HttpExchange exchange, String type, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", type);
    exchange.sendResponseHeaders(200, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
