package io.github.llmmobile.config;

import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import com.google.gson.stream.MalformedJsonException;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmException;
import java.io.EOFException;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads JSON field by field. Written by hand because a mapper lets pass what must be an error here: unknown and
 * repeated keys, numbers in quotation marks, null, and text behind the end.
 */
final class ConfigReader {
  private static final Pattern PLACE = Pattern.compile("at line (\\d+) column (\\d+)");
  private static final Pattern INTEGER = Pattern.compile("-?(0|[1-9]\\d*)");
  private static final int SHOWN_CHARACTERS = 40;

  private final JsonReader json;

  private ConfigReader(Reader source) {
    json = new JsonReader(source);
    json.setStrictness(Strictness.STRICT);
  }

  /** Reads the value of one key. The path is that of the key. */
  interface Field {
    void read(ConfigReader reader, String path) throws IOException;
  }

  /** Reads a whole document, which must be one object with no other keys than these. */
  static void read(Reader source, Map<String, Field> fields) {
    ConfigReader reader = new ConfigReader(source);
    try {
      reader.object("", fields);
      if (reader.json.peek() != JsonToken.END_DOCUMENT) {
        throw new MalformedJsonException("text after the end" + reader.json.toString().replace("JsonReader", ""));
      }
    } catch (MalformedJsonException | EOFException e) {
      throw malformed(e);
    } catch (IOException e) {
      throw new LlmException(ErrorCode.IO, "the configuration cannot be read: " + e.getMessage(), e);
    }
  }

  private static LlmException malformed(IOException e) {
    // Gson's own words are advice to programmers.
    Matcher place = PLACE.matcher(String.valueOf(e.getMessage()));
    String where = place.find() ? " at line " + place.group(1) + ", column " + place.group(2) : "";
    String what = e instanceof EOFException ? "unexpected end of JSON" : "malformed JSON";
    return new LlmException(ErrorCode.CONFIG, what + where, e);
  }

  /** Reads an object with no other keys than these. An empty path is the document itself. */
  void object(String path, Map<String, Field> fields) throws IOException {
    if (json.peek() != JsonToken.BEGIN_OBJECT) {
      throw wrongType(path, "an object");
    }
    json.beginObject();
    Set<String> seen = new HashSet<>();
    while (json.hasNext()) {
      String key = json.nextName();
      String keyPath = path.isEmpty() ? key : path + "." + key;
      Field field = fields.get(key);
      if (field == null) {
        throw error(keyPath, "unknown key, " + Keys.hint(key, fields.keySet()));
      }
      if (!seen.add(key)) {
        throw error(keyPath, "given twice");
      }
      field.read(this, keyPath);
    }
    json.endObject();
  }

  int integer(String path) throws IOException {
    if (json.peek() != JsonToken.NUMBER) {
      throw wrongType(path, "an integer");
    }
    // The text of the number, because nextInt() takes 16.0 and "16" as well.
    String text = json.nextString();
    if (!INTEGER.matcher(text).matches()) {
      throw error(path, "must be an integer, but is " + text);
    }
    try {
      return Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw error(path, "must be from " + Integer.MIN_VALUE + " to " + Integer.MAX_VALUE + ", but is " + text);
    }
  }

  double number(String path) throws IOException {
    if (json.peek() != JsonToken.NUMBER) {
      throw wrongType(path, "a number");
    }
    return Double.parseDouble(json.nextString());
  }

  boolean flag(String path) throws IOException {
    if (json.peek() != JsonToken.BOOLEAN) {
      throw wrongType(path, "true or false");
    }
    return json.nextBoolean();
  }

  String text(String path) throws IOException {
    if (json.peek() != JsonToken.STRING) {
      throw wrongType(path, "a text");
    }
    return json.nextString();
  }

  /** A path in a text that is not empty. */
  Path path(String path) throws IOException {
    String text = text(path);
    if (text.isEmpty()) {
      throw error(path, "must not be empty");
    }
    try {
      return Paths.get(text);
    } catch (InvalidPathException e) {
      throw error(path, "must be a path, but is " + quoted(text));
    }
  }

  boolean isText() throws IOException {
    return json.peek() == JsonToken.STRING;
  }

  List<Integer> integers(String path) throws IOException {
    if (json.peek() != JsonToken.BEGIN_ARRAY) {
      throw wrongType(path, "an array of integers");
    }
    json.beginArray();
    List<Integer> values = new ArrayList<>();
    while (json.hasNext()) {
      values.add(integer(path + "[" + values.size() + "]"));
    }
    json.endArray();
    return values;
  }

  private LlmException wrongType(String path, String expected) throws IOException {
    return error(path.isEmpty() ? "the configuration" : path, "must be " + expected + ", but is " + found());
  }

  private String found() throws IOException {
    switch (json.peek()) {
      case BEGIN_OBJECT:
        return "an object";
      case BEGIN_ARRAY:
        return "an array";
      case NULL:
        return "null";
      case BOOLEAN:
        return Boolean.toString(json.nextBoolean());
      case STRING:
        return quoted(json.nextString());
      case NUMBER:
        return json.nextString();
      default:
        return "missing";
    }
  }

  static String quoted(String text) {
    return text.length() <= SHOWN_CHARACTERS
        ? "\"" + text + "\""
        : "\"" + text.substring(0, SHOWN_CHARACTERS) + "...\"";
  }

  static LlmException error(String path, String problem) {
    return new LlmException(ErrorCode.CONFIG, path + ": " + problem);
  }
}
