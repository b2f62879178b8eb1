package io.github.llmmobile.cli.chat;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.github.llmmobile.ChatMessage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * A conversation as a file: JSON with the messages in OpenAI's form,
 * <code>{"messages":[{"role":"user","content":"Hello"},...]}</code>. Other keys are ignored. Beside it stands the
 * session file with the model's cache; without it the conversation still loads, and is read by the model once more.
 */
final class Transcript {
  private static final Set<String> ROLES = Set.of("system", "user", "assistant", "tool");
  private static final String STATE_SUFFIX = ".session";

  private Transcript() {}

  /** Where the cache of a conversation is kept. */
  static Path stateFile(Path file) {
    return file.resolveSibling(file.getFileName() + STATE_SUFFIX);
  }

  /** Writes messages; afterwards the path holds the old file or the new one, never a part. */
  static void write(Path file, List<ChatMessage> messages) throws IOException {
    JsonArray array = new JsonArray();
    for (ChatMessage message : messages) {
      JsonObject json = new JsonObject();
      json.addProperty("role", message.role());
      json.addProperty("content", message.content());
      array.add(json);
    }
    JsonObject root = new JsonObject();
    root.add("messages", array);
    String text = new GsonBuilder().disableHtmlEscaping().setPrettyPrinting().create().toJson(root) + "\n";
    Path target = file.toAbsolutePath();
    Path temporary = Files.createTempFile(target.getParent(), target.getFileName().toString(), ".tmp");
    try {
      Files.write(temporary, text.getBytes(StandardCharsets.UTF_8));
      Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  /**
   * Reads messages.
   *
   * @throws IOException if the file cannot be read or is no conversation; the message says which
   */
  static List<ChatMessage> read(Path file) throws IOException {
    String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    try {
      JsonObject root = JsonParser.parseString(text).getAsJsonObject();
      List<ChatMessage> messages = new ArrayList<>();
      for (JsonElement element : root.getAsJsonArray("messages")) {
        messages.add(message(element.getAsJsonObject()));
      }
      return messages;
    } catch (JsonParseException | IllegalStateException | ClassCastException | NullPointerException
        | UnsupportedOperationException e) {
      throw new IOException("not a conversation: " + file, e);
    }
  }

  private static ChatMessage message(JsonObject json) {
    String role = json.get("role").getAsString();
    if (!ROLES.contains(role)) {
      throw new JsonParseException("unknown role " + role);
    }
    String content = json.get("content").getAsString();
    switch (role) {
      case "system":
        return ChatMessage.system(content);
      case "user":
        return ChatMessage.user(content);
      case "tool":
        return ChatMessage.tool(content);
      default:
        return ChatMessage.assistant(content);
    }
  }
}
