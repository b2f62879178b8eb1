package io.github.llmmobile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.gson.JsonObject;
import org.junit.jupiter.api.Test;

class JsonTest {
  @Test
  void objectIsOneLineWithNullsAndWithoutHtmlEscapes() {
    JsonObject json = new JsonObject();
    json.addProperty("text", "a<b>\n\"é\"");
    json.add("nan", Json.number(Double.NaN));
    json.add("tokens", Json.array(new int[] {1, 2}));
    json.add("speed", Json.number(1.5));
    assertEquals("{\"text\":\"a<b>\\n\\\"é\\\"\",\"nan\":null,\"tokens\":[1,2],\"speed\":1.5}",
        Json.line(json));
  }
}
