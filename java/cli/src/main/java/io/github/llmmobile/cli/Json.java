package io.github.llmmobile.cli;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;

/** The JSON that commands print: one object on one line, no HTML escapes, numbers that are no numbers as null. */
final class Json {
  private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().serializeNulls().create();

  private Json() {}

  /** An object as one line without a line feed. */
  static String line(JsonObject object) {
    return GSON.toJson(object);
  }

  /** A number, or null where JSON has none for it (NaN, infinities). */
  static JsonElement number(double value) {
    return Double.isFinite(value) ? new JsonPrimitive(value) : JsonNull.INSTANCE;
  }

  /** An array of token ids. */
  static JsonArray array(int[] values) {
    JsonArray array = new JsonArray(values.length);
    for (int value : values) {
      array.add(value);
    }
    return array;
  }
}
