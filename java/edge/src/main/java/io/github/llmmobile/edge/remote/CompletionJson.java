package io.github.llmmobile.edge.remote;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.edge.remote.RemoteDescription.Continuation;
import io.github.llmmobile.edge.remote.RemoteToken.Alternative;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The JSON of completions and chat completions, with and without streaming. */
final class CompletionJson {
  private CompletionJson() {}

  // ---- requests -----------------------------------------------------------------------------------------------

  static JsonObject of(RemoteRequest request, String model, Continuation continuation) {
    JsonObject json = new JsonObject();
    if (!model.isEmpty()) {
      json.addProperty("model", model);
    }
    boolean chat = request.prompt() == null;
    if (chat) {
      addMessages(json, request, continuation);
    } else {
      json.addProperty("prompt", request.prompt());
    }
    json.addProperty("max_tokens", request.maxTokens());
    request.temperature().ifPresent(value -> json.addProperty("temperature", shortened(value)));
    request.topP().ifPresent(value -> json.addProperty("top_p", shortened(value)));
    request.frequencyPenalty().ifPresent(value -> json.addProperty("frequency_penalty", shortened(value)));
    request.presencePenalty().ifPresent(value -> json.addProperty("presence_penalty", shortened(value)));
    request.seed().ifPresent(value -> json.addProperty("seed", value));
    if (!request.stop().isEmpty()) {
      JsonArray stop = new JsonArray();
      request.stop().forEach(stop::add);
      json.add("stop", stop);
    }
    request.topLogprobs().ifPresent(n -> {
      if (chat) {
        json.addProperty("logprobs", true);
        json.addProperty("top_logprobs", n);
      } else {
        json.addProperty("logprobs", n);
      }
    });
    if (request.stream()) {
      json.addProperty("stream", true);
    }
    return json;
  }

  /** 0.8 rather than 0.800000011920929. */
  private static Number shortened(double value) {
    return Double.valueOf(Float.toString((float) value));
  }

  private static void addMessages(JsonObject json, RemoteRequest request, Continuation continuation) {
    JsonArray messages = new JsonArray();
    for (ChatMessage message : request.messages()) {
      messages.add(message(message.role(), message.content()));
    }
    if (!request.answer().isEmpty()) {
      messages.add(message("assistant", request.answer()));
      if (continuation == Continuation.FLAGS) {
        json.addProperty("add_generation_prompt", false);
        json.addProperty("continue_final_message", true);
      }
    }
    json.add("messages", messages);
  }

  private static JsonObject message(String role, String content) {
    JsonObject json = new JsonObject();
    json.addProperty("role", role);
    json.addProperty("content", content);
    return json;
  }

  // ---- answers ------------------------------------------------------------------------------------------------

  /** What one event, or a whole answer, holds. */
  static final class Part {
    final List<RemoteToken> tokens = new ArrayList<>();
    @Nullable String finishReason;
    int completionTokens = -1;
    int promptTokens = -1;
  }

  /**
   * Reads an event of a stream or an answer that came at once; both forms of log-probabilities are understood.
   *
   * @param echo takes away what is repeated
   * @throws RemoteException PROTOCOL if it is none; REFUSED if it is an error that came in the midst of a stream
   */
  static Part read(String text, Echo echo) {
    try {
      JsonElement parsed = JsonParser.parseString(text);
      if (!parsed.isJsonObject()) {
        throw protocol("an event is not a JSON object");
      }
      return read(parsed.getAsJsonObject(), echo);
    } catch (JsonParseException | IllegalStateException | ClassCastException | UnsupportedOperationException
        | NumberFormatException e) {
      // The cause may repeat what the model says.
      throw protocol("an event is not the JSON that it should be");
    } catch (StackOverflowError e) {
      throw protocol("an event is nested too deeply");
    }
  }

  private static Part read(JsonObject json, Echo echo) {
    if (isObject(json, "error")) {
      throw new RemoteException(RemoteException.Kind.REFUSED, "the endpoint broke off with an error");
    }
    Part part = new Part();
    if (isObject(json, "usage")) {
      part.completionTokens = integer(json.getAsJsonObject("usage"), "completion_tokens");
      part.promptTokens = integer(json.getAsJsonObject("usage"), "prompt_tokens");
    }
    if (!json.has("choices") || !json.get("choices").isJsonArray()) {
      throw protocol("an event has no choices");
    }
    for (JsonElement choice : json.getAsJsonArray("choices")) {
      readChoice(choice.getAsJsonObject(), echo, part);
    }
    return part;
  }

  private static void readChoice(JsonObject choice, Echo echo, Part part) {
    String text = string(choice, "text");
    for (String holder : new String[] {"delta", "message"}) {
      if (text == null && isObject(choice, holder)) {
        text = string(choice.getAsJsonObject(holder), "content");
      }
    }
    String reason = string(choice, "finish_reason");
    if (reason != null) {
      part.finishReason = reason;
    }
    List<RemoteToken> scored = isObject(choice, "logprobs")
        ? logprobs(choice.getAsJsonObject("logprobs")) : Collections.emptyList();
    addTokens(text == null ? "" : echo.strip(text), scored, part);
  }

  /** The text is what counts: texts of tokens may be parts of characters, or markers that are not shown. */
  private static void addTokens(String text, List<RemoteToken> scored, Part part) {
    StringBuilder joined = new StringBuilder();
    scored.forEach(token -> joined.append(token.text()));
    if (joined.toString().equals(text)) {
      part.tokens.addAll(scored);
    } else if (scored.size() == 1) {
      RemoteToken only = scored.get(0);
      part.tokens.add(new RemoteToken(text, only.logprob().orElse(Double.NaN), only.alternatives()));
    } else {
      part.tokens.add(new RemoteToken(text, Double.NaN, Collections.emptyList()));
    }
    if (scored.isEmpty() && text.isEmpty()) {
      part.tokens.clear();
    }
  }

  private static List<RemoteToken> logprobs(JsonObject json) {
    List<RemoteToken> tokens = new ArrayList<>();
    if (json.has("content") && json.get("content").isJsonArray()) {
      for (JsonElement element : json.getAsJsonArray("content")) {
        JsonObject entry = element.getAsJsonObject();
        List<Alternative> top = new ArrayList<>();
        if (entry.has("top_logprobs") && entry.get("top_logprobs").isJsonArray()) {
          for (JsonElement other : entry.getAsJsonArray("top_logprobs")) {
            JsonObject alternative = other.getAsJsonObject();
            top.add(new Alternative(orEmpty(string(alternative, "token")), real(alternative.get("logprob"))));
          }
        }
        tokens.add(token(orEmpty(string(entry, "token")), real(entry.get("logprob")), top));
      }
    } else if (json.has("tokens") && json.get("tokens").isJsonArray()) {
      JsonArray texts = json.getAsJsonArray("tokens");
      for (int i = 0; i < texts.size(); i++) {
        List<Alternative> top = new ArrayList<>();
        JsonElement others = at(json, "top_logprobs", i);
        if (others != null && others.isJsonObject()) {
          for (Map.Entry<String, JsonElement> other : others.getAsJsonObject().entrySet()) {
            top.add(new Alternative(other.getKey(), real(other.getValue())));
          }
        }
        tokens.add(token(texts.get(i).getAsString(), real(at(json, "token_logprobs", i)), top));
      }
    }
    return tokens;
  }

  private static RemoteToken token(String text, double logprob, List<Alternative> top) {
    top.sort(Comparator.comparingDouble(Alternative::logprob).reversed());
    return new RemoteToken(text, logprob, Collections.unmodifiableList(top));
  }

  private static @Nullable JsonElement at(JsonObject json, String array, int index) {
    JsonElement element = json.get(array);
    return element != null && element.isJsonArray() && index < element.getAsJsonArray().size()
        ? element.getAsJsonArray().get(index) : null;
  }

  private static String orEmpty(@Nullable String text) {
    return text == null ? "" : text;
  }

  private static double real(@Nullable JsonElement element) {
    return element == null || element.isJsonNull() ? Double.NaN : element.getAsDouble();
  }

  private static int integer(JsonObject json, String key) {
    return json.has(key) && !json.get(key).isJsonNull() ? json.get(key).getAsInt() : -1;
  }

  private static @Nullable String string(JsonObject json, String key) {
    return json.has(key) && json.get(key).isJsonPrimitive() ? json.get(key).getAsString() : null;
  }

  private static boolean isObject(JsonObject json, String key) {
    return json.has(key) && json.get(key).isJsonObject();
  }

  private static RemoteException protocol(String message) {
    return new RemoteException(RemoteException.Kind.PROTOCOL, message);
  }
}
