package io.github.llmmobile.edge.remote;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.edge.remote.CompletionJson.Part;
import io.github.llmmobile.edge.remote.RemoteDescription.Continuation;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CompletionJsonTest {
  private static void writes(String json, RemoteRequest request, Continuation how) {
    assertEquals(JsonParser.parseString(json), JsonParser.parseString(CompletionJson.of(request, "m", how).toString()));
  }

  @Test
  void textsBecomeCompletions() {
    writes("{model:'m',prompt:'Once upon',max_tokens:7,temperature:0,logprobs:2,stop:['x'],stream:true}",
        RemoteRequest.text("Once").answerSoFar(" upon").maxTokens(7).greedy().topLogprobs(2).stop(List.of("x")).build(),
        Continuation.LAST_MESSAGE);
  }

  @Test
  void conversationsBecomeChatCompletions() {
    RemoteRequest.Builder chat = RemoteRequest.chat(List.of(ChatMessage.system("s"), ChatMessage.user("u")))
        .maxTokens(5).topLogprobs(3).stream(false);
    writes("{model:'m',messages:[{role:'system',content:'s'},{role:'user',content:'u'}],max_tokens:5,"
        + "logprobs:true,top_logprobs:3}", chat.build(), Continuation.FLAGS);
    chat.answerSoFar("One");
    String messages = "messages:[{role:'system',content:'s'},{role:'user',content:'u'},{role:'assistant',content:'One'}]";
    writes("{model:'m'," + messages + ",max_tokens:5,logprobs:true,top_logprobs:3}", chat.build(),
        Continuation.LAST_MESSAGE);
    writes("{model:'m'," + messages + ",add_generation_prompt:false,continue_final_message:true,max_tokens:5,"
        + "logprobs:true,top_logprobs:3}", chat.build(), Continuation.FLAGS);
  }

  @Test
  void samplingTravelsAsFarAsTheProtocolHasWords() {
    GenerationOptions options = GenerationOptions.builder().temperature(0.8f).topP(0.9f).seed(7)
        .frequencyPenalty(0.5f).presencePenalty(-0.25f).build();
    RemoteRequest.Builder request = RemoteRequest.text("x").maxTokens(1).sampling(options).stream(false);
    writes("{model:'m',prompt:'x',max_tokens:1,temperature:0.8,top_p:0.9,seed:7,frequency_penalty:0.5,"
        + "presence_penalty:-0.25}", request.build(), Continuation.NONE);
    writes("{model:'m',prompt:'x',max_tokens:1,temperature:0.0}",
        request.sampling(GenerationOptions.greedy()).seed(OptionalLong.empty()).build(), Continuation.NONE);
  }

  private static Part part(String json) {
    return CompletionJson.read(json.replace('\'', '"'), new Echo(""));
  }

  @Test
  void completionsWithTheOldFormOfLogprobs() {
    Part part = part("{'choices':[{'text':' a','finish_reason':'length','logprobs':{'tokens':[' a'],"
        + "'token_logprobs':[-0.5],'top_logprobs':[{' b':-2.0,' a':-0.5}]}}],"
        + "'usage':{'prompt_tokens':4,'completion_tokens':1}}");
    RemoteToken token = part.tokens.get(0);
    assertEquals(" a", token.text());
    assertEquals(-0.5, token.logprob().orElseThrow());
    assertEquals(" a", token.best().orElseThrow().text());
    assertEquals(" b", token.alternatives().get(1).text());
    assertEquals("length", part.finishReason);
    assertEquals(4, part.promptTokens);
    assertEquals(1, part.completionTokens);
  }

  @Test
  void streamedConversationsWithTheNewForm() {
    Part part = part("{'choices':[{'delta':{'content':'Hi'},'finish_reason':null,'logprobs':{'content':["
        + "{'token':'Hi','logprob':-0.1,'bytes':[72,105],'top_logprobs':[{'token':'Hi','logprob':-0.1}]}]}}]}");
    assertEquals("Hi", part.tokens.get(0).text());
    assertEquals(-0.1, part.tokens.get(0).best().orElseThrow().logprob());
    assertEquals(null, part.finishReason);
  }

  @Test
  void answersAtOnceHoldManyTokens() {
    Part part = part("{'choices':[{'message':{'role':'assistant','content':'a b'},'finish_reason':'stop','logprobs':"
        + "{'content':[{'token':'a','logprob':-1},{'token':' b','logprob':-2}]}}]}");
    assertEquals(2, part.tokens.size());
    assertEquals(-2, part.tokens.get(1).logprob().orElseThrow());
  }

  /** Tokens may be parts of characters; the text is what is shown. */
  @Test
  void theTextCountsAndNotTheTextsOfTokens() {
    Part part = part("{'choices':[{'text':'\u65e5','logprobs':{'content':[{'token':'\ufffd','logprob':-1},"
        + "{'token':'\ufffd','logprob':-1}]}}]}");
    assertEquals(1, part.tokens.size());
    assertEquals("\u65e5", part.tokens.get(0).text());
    assertTrue(part.tokens.get(0).logprob().isEmpty());
  }

  @Test
  void eventsWithoutTextHaveNoTokens() {
    assertEquals(0, part("{'choices':[{'delta':{'role':'assistant','content':null}}]}").tokens.size());
    assertEquals(0, part("{'choices':[],'usage':{'completion_tokens':3}}").tokens.size());
    assertEquals(0, part("{'choices':[{'text':'','finish_reason':'stop'}]}").tokens.size());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "x", "[]", "7", "{}", "{'choices':7}", "{'choices':[7]}", "{'choices':[{'logprobs':"
      + "{'content':[7]}}]}", "{'choices':[{'text':'a','logprobs':{'tokens':[{}]}}]}", "{'choices':[{'text':'a',"
      + "'logprobs':{'content':[{'token':'a','logprob':'b'}]}}]}", "{'choices':[{'text':'a'}],'usage':{'prompt_tokens':"
      + "'x'}}"})
  void anythingElseIsAProtocolError(String json) {
    RemoteException e = assertThrows(RemoteException.class, () -> part(json));
    assertEquals(RemoteException.Kind.PROTOCOL, e.kind());
  }

  @Test
  void whatIsRepeatedIsTakenAway() {
    Echo echo = new Echo(" One two");
    assertEquals(0, CompletionJson.read("{\"choices\":[{\"delta\":{\"content\":\"One\"}}]}", echo).tokens.size());
    assertEquals(" three", CompletionJson.read(
        "{\"choices\":[{\"delta\":{\"content\":\" two three\"}}]}", echo).tokens.get(0).text());
    assertEquals("One", CompletionJson.read("{\"choices\":[{\"delta\":{\"content\":\"One\"}}]}", echo).tokens.get(0)
        .text());
    for (String other : new String[] {"Two", "One too", "One tow three"}) {
      assertEquals(RemoteException.Kind.PROTOCOL, assertThrows(RemoteException.class, () -> CompletionJson.read(
          "{\"choices\":[{\"text\":\"" + other + "\"}]}", new Echo("One two"))).kind(), other);
    }
  }

  @Test
  void deepNestingIsAProtocolError() {
    assertEquals(RemoteException.Kind.PROTOCOL,
        assertThrows(RemoteException.class, () -> part("[".repeat(200_000))).kind());
  }

  @Test
  void errorsWithinAStreamAreRefusals() {
    assertEquals(RemoteException.Kind.REFUSED,
        assertThrows(RemoteException.class, () -> part("{'error':{'message':'secret'}}")).kind());
  }
}
