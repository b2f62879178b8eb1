package io.github.llmmobile;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/** Typed access to JSON that the native library wrote. A field that is missing there is a fault of the library. */
final class JsonFields {
  private final JsonObject json;

  JsonFields(JsonObject json) {
    this.json = json;
  }

  static JsonFields parse(String text) {
    return new JsonFields(JsonParser.parseString(text).getAsJsonObject());
  }

  String text(String key) {
    return required(key).getAsString();
  }

  Optional<String> optionalText(String key) {
    return present(key).map(JsonElement::getAsString);
  }

  int integer(String key) {
    return required(key).getAsInt();
  }

  OptionalInt optionalInteger(String key) {
    Optional<JsonElement> value = present(key);
    return value.isPresent() ? OptionalInt.of(value.get().getAsInt()) : OptionalInt.empty();
  }

  long number(String key) {
    return required(key).getAsLong();
  }

  boolean flag(String key) {
    return required(key).getAsBoolean();
  }

  JsonArray array(String key) {
    return required(key).getAsJsonArray();
  }

  JsonObject object(String key) {
    return required(key).getAsJsonObject();
  }

  private Optional<JsonElement> present(String key) {
    JsonElement value = json.get(key);
    return value == null || value.isJsonNull() ? Optional.empty() : Optional.of(value);
  }

  private JsonElement required(String key) {
    return present(key).orElseThrow(
        () -> new LlmException(ErrorCode.INTERNAL, "the native library gave no value for " + key));
  }

  /** A tree as maps, lists, texts, booleans, and numbers as Long where they are whole and Double where not. */
  static Object plain(JsonElement element) {
    if (element.isJsonObject()) {
      Map<String, Object> map = new LinkedHashMap<>();
      element.getAsJsonObject().entrySet().forEach(entry -> map.put(entry.getKey(), plain(entry.getValue())));
      return Collections.unmodifiableMap(map);
    }
    if (element.isJsonArray()) {
      List<Object> list = new ArrayList<>();
      element.getAsJsonArray().forEach(value -> list.add(plain(value)));
      return Collections.unmodifiableList(list);
    }
    if (element.isJsonNull()) {
      // GGUF has no null; JSON writes NaN and infinities that way.
      return Double.NaN;
    }
    JsonPrimitive primitive = element.getAsJsonPrimitive();
    if (primitive.isBoolean()) {
      return primitive.getAsBoolean();
    }
    if (primitive.isString()) {
      return primitive.getAsString();
    }
    try {
      return Long.parseLong(primitive.getAsString());
    } catch (NumberFormatException e) {
      return primitive.getAsDouble();
    }
  }
}
