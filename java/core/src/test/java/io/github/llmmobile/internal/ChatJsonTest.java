package io.github.llmmobile.internal;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.ChatRequest;
import io.github.llmmobile.ErrorCode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ChatJsonTest {
  private static ChatRequest.Builder request() {
    return ChatRequest.builder().messages(List.of(ChatMessage.system("s"), ChatMessage.user("\"q\" \u65e5")));
  }

  @Test
  void aPlainRequestHasOnlyWhatItNeeds() {
    assertEquals(JsonParser.parseString("{messages:[{role:'system',content:'s'},{role:'user',content:'\"q\" \u65e5'}],"
        + "add_generation_prompt:true}"), JsonParser.parseString(ChatJson.of(request().build())));
  }

  @Test
  void everythingElseIsCarried() {
    ChatRequest full = request().addGenerationPrompt(false).template("t").toolsJson("[{\"a\":1}]")
        .kwarg("flag", true).kwarg("n", 2.5).kwarg("name", "x").build();
    assertEquals(JsonParser.parseString("{messages:[{role:'system',content:'s'},{role:'user',content:'\"q\" \u65e5'}],"
        + "add_generation_prompt:false,template:'t',tools:[{a:1}],kwargs:{flag:true,n:2.5,name:'x'}}"),
        JsonParser.parseString(ChatJson.of(full)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{}", "null", "[", "7"})
  void toolsThatAreNoArrayAreRefused(String tools) {
    ChatRequest request = request().toolsJson(tools).build();
    assertTrue(fails(ErrorCode.JSON, () -> ChatJson.of(request)).startsWith("toolsJson: "));
  }
}
