package io.github.llmmobile.internal;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.ChatRequest;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;

/** A conversation in the form the native library reads. */
public final class ChatJson {
  private ChatJson() {}

  /**
   * The request as JSON.
   *
   * @param request the conversation
   * @return one JSON object
   * @throws LlmException JSON if the tools are not a JSON array
   */
  public static String of(ChatRequest request) {
    JsonArray messages = new JsonArray();
    for (ChatMessage message : request.messages()) {
      JsonObject entry = new JsonObject();
      entry.addProperty("role", message.role());
      entry.addProperty("content", message.content());
      messages.add(entry);
    }
    JsonObject json = new JsonObject();
    json.add("messages", messages);
    json.addProperty("add_generation_prompt", request.addGenerationPrompt());
    request.toolsJson().ifPresent(tools -> json.add("tools", tools(tools)));
    request.template().ifPresent(template -> json.addProperty("template", template));
    if (!request.kwargs().isEmpty()) {
      json.add("kwargs", kwargs(request));
    }
    return json.toString();
  }

  private static JsonElement tools(String text) {
    JsonElement tools = SamplerJson.parse("toolsJson", text);
    if (!tools.isJsonArray()) {
      throw new LlmException(ErrorCode.JSON, "toolsJson: must be a JSON array");
    }
    return tools;
  }

  private static JsonObject kwargs(ChatRequest request) {
    JsonObject kwargs = new JsonObject();
    request.kwargs().forEach((name, value) -> {
      if (value instanceof Boolean) {
        kwargs.addProperty(name, (Boolean) value);
      } else if (value instanceof Number) {
        kwargs.addProperty(name, (Number) value);
      } else {
        kwargs.addProperty(name, value.toString());
      }
    });
    return kwargs;
  }
}
