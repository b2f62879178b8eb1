package io.github.llmmobile;

import static io.github.llmmobile.testing.Failures.fails;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.llmmobile.internal.SamplerJson;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class GenerationOptionsTest {
  @Test
  void defaultsAreTheDocumentedOnes() {
    GenerationOptions o = GenerationOptions.defaults();
    assertEquals(256, o.maxTokens());
    assertEquals(0.8f, o.temperature());
    assertEquals(40, o.topK());
    assertEquals(0.95f, o.topP());
    assertEquals(0.05f, o.minP());
    assertEquals(1f, o.typicalP());
    assertEquals(1f, o.repeatPenalty());
    assertEquals(0f, o.frequencyPenalty());
    assertEquals(0f, o.presencePenalty());
    assertEquals(64, o.penaltyLastN());
    assertEquals(0f, o.dryMultiplier());
    assertEquals(1.75f, o.dryBase());
    assertEquals(2, o.dryAllowedLength());
    assertEquals(-1, o.dryPenaltyLastN());
    assertEquals(List.of("\n", ":", "\"", "*"), o.drySequenceBreakers());
    assertEquals(0, o.mirostat());
    assertEquals(5f, o.mirostatTau());
    assertEquals(0.1f, o.mirostatEta());
    assertEquals(OptionalLong.empty(), o.seed());
    assertEquals(Map.of(), o.logitBias());
    assertTrue(o.grammar().isEmpty());
    assertTrue(o.jsonSchema().isEmpty());
    assertEquals(List.of(), o.stop());
    assertFalse(o.ignoreEos());
    assertFalse(o.logprobs());
    assertEquals(1, o.tokensPerCallback());
    assertEquals(0, o.draftTokens());
    assertEquals(0f, GenerationOptions.greedy().temperature());
  }

  static Stream<Arguments> outOfRange() {
    return Stream.of(
        bad("maxTokens: must be at least -1, but is -2", b -> b.maxTokens(-2)),
        bad("temperature: must be a number from 0 to 1000000, but is NaN", b -> b.temperature(Float.NaN)),
        bad("temperature: must be a number from 0 to 1000000, but is -1.0", b -> b.temperature(-1)),
        bad("temperature: must be a number from 0 to 1000000, but is Infinity",
            b -> b.temperature(Float.POSITIVE_INFINITY)),
        bad("topK: must be at least 0, but is -1", b -> b.topK(-1)),
        bad("topP: must be a number from 0 to 1, but is 1.5", b -> b.topP(1.5f)),
        bad("topP: must be a number from 0 to 1, but is -0.5", b -> b.topP(-0.5f)),
        bad("minP: must be a number from 0 to 1, but is 2.0", b -> b.minP(2)),
        bad("typicalP: must be a number from 0 to 1, but is NaN", b -> b.typicalP(Float.NaN)),
        bad("repeatPenalty: must be a number from 1.1754943508222875E-38 to 1000000, but is 0.0",
            b -> b.repeatPenalty(0)),
        bad("frequencyPenalty: must be a number from -1000000 to 1000000, but is NaN",
            b -> b.frequencyPenalty(Float.NaN)),
        bad("presencePenalty: must be a number from -1000000 to 1000000, but is -Infinity",
            b -> b.presencePenalty(Float.NEGATIVE_INFINITY)),
        bad("penaltyLastN: must be at least -1, but is -2", b -> b.penaltyLastN(-2)),
        bad("dryMultiplier: must be a number from 0 to 1000000, but is -1.0", b -> b.dryMultiplier(-1)),
        bad("dryBase: must be a number from 1 to 1000000, but is 0.5", b -> b.dryBase(0.5f)),
        bad("dryAllowedLength: must be at least 0, but is -1", b -> b.dryAllowedLength(-1)),
        bad("dryPenaltyLastN: must be at least -1, but is -2", b -> b.dryPenaltyLastN(-2)),
        bad("mirostat: must be from 0 to 2, but is 3", b -> b.mirostat(3)),
        bad("mirostatTau: must be a number from 0 to 1000000, but is -1.0", b -> b.mirostatTau(-1)),
        bad("mirostatEta: must be a number from 0 to 1000000, but is NaN", b -> b.mirostatEta(Float.NaN)),
        bad("seed: must be from 0 to 4294967295, but is -1", b -> b.seed(-1)),
        bad("seed: must be from 0 to 4294967295, but is 4294967296", b -> b.seed(4294967296L)),
        bad("logitBias: must be at least 0, but is -1", b -> b.logitBias(Map.of(-1, 0.0))),
        bad("logitBias[7]: must be a number from -1000000 to 1000000, but is NaN",
            b -> b.logitBias(Map.of(7, Double.NaN))),
        bad("logitBias[7]: must be a number from -1000000 to 1000000, but is Infinity",
            b -> b.logitBias(Map.of(7, Double.POSITIVE_INFINITY))),
        bad("tokensPerCallback: must be from 1 to 64, but is 0", b -> b.tokensPerCallback(0)),
        bad("tokensPerCallback: must be from 1 to 64, but is 65", b -> b.tokensPerCallback(65)),
        bad("draftTokens: must be from 0 to 16, but is -1", b -> b.draftTokens(-1)),
        bad("draftTokens: must be from 0 to 16, but is 17", b -> b.draftTokens(17)));
  }

  private static Arguments bad(String message, UnaryOperator<GenerationOptions.Builder> change) {
    return Arguments.of(message, change);
  }

  @ParameterizedTest
  @MethodSource("outOfRange")
  void numbersOutsideTheirRangeAreRefused(String message, UnaryOperator<GenerationOptions.Builder> change) {
    GenerationOptions.Builder b = change.apply(GenerationOptions.builder());
    assertEquals(message, fails(ErrorCode.RANGE, b::build));
  }

  @Test
  void edgesOfTheRangesAreAccepted() {
    GenerationOptions o = GenerationOptions.builder()
        .maxTokens(-1).temperature(0).topK(0).topP(0).minP(1).typicalP(0).penaltyLastN(-1).dryBase(1)
        .dryAllowedLength(0).mirostat(2).seed(4294967295L).tokensPerCallback(64).draftTokens(16)
        .logitBias(Map.of(0, Double.NEGATIVE_INFINITY)).build();
    assertEquals(OptionalLong.of(4294967295L), o.seed());
  }

  @Test
  void combinationsWithoutSenseAreRefused() {
    assertEquals("stop: must not contain an empty text",
        fails(ErrorCode.INVALID_ARGUMENT, () -> GenerationOptions.builder().stop(List.of("a", "")).build()));
    assertEquals("jsonSchema: cannot be given together with grammar",
        fails(ErrorCode.INVALID_ARGUMENT, () -> GenerationOptions.builder().grammar("x").jsonSchema("{}").build()));
  }

  @Test
  void nullsAreRefusedWhereTheyAreGiven() {
    GenerationOptions.Builder b = GenerationOptions.builder();
    assertThrows(NullPointerException.class, () -> b.grammar(null));
    assertThrows(NullPointerException.class, () -> b.jsonSchema(null));
    assertThrows(NullPointerException.class, () -> b.stop(null));
    List<String> holey = new ArrayList<>();
    holey.add(null);
    assertThrows(NullPointerException.class, () -> b.stop(holey));
  }

  @Test
  void laterChangesToCollectionsDoNotReachTheOptions() {
    List<String> stop = new ArrayList<>(List.of("a"));
    Map<Integer, Double> bias = new HashMap<>(Map.of(1, 2.0));
    GenerationOptions o = GenerationOptions.builder().stop(stop).logitBias(bias).build();
    stop.add("b");
    bias.put(3, 4.0);
    assertEquals(List.of("a"), o.stop());
    assertEquals(Map.of(1, 2.0), o.logitBias());
    assertThrows(UnsupportedOperationException.class, () -> o.stop().add("c"));
    assertThrows(UnsupportedOperationException.class, () -> o.logitBias().clear());
    assertThrows(UnsupportedOperationException.class, () -> o.drySequenceBreakers().clear());
  }

  @Test
  void toBuilderKeepsEveryValue() {
    GenerationOptions o = everythingSet().build();
    GenerationOptions copy = o.toBuilder().build();
    assertEquals(SamplerJson.of(o), SamplerJson.of(copy));
    assertEquals(o.maxTokens(), copy.maxTokens());
    assertEquals(o.logprobs(), copy.logprobs());
    assertEquals(o.tokensPerCallback(), copy.tokensPerCallback());
    assertEquals(o.draftTokens(), copy.draftTokens());
  }

  @Test
  void samplerJsonCarriesEveryValue() {
    JsonObject json = JsonParser.parseString(SamplerJson.of(everythingSet().build())).getAsJsonObject();
    JsonObject expected = JsonParser.parseString("{temperature:0.5,top_k:1,top_p:0.25,min_p:0.125,typical_p:0.75,"
        + "repeat_penalty:1.5,frequency_penalty:2.5,presence_penalty:3.5,penalty_last_n:4,dry_multiplier:5.5,"
        + "dry_base:6.5,dry_allowed_length:7,dry_penalty_last_n:8,dry_sequence_breakers:['x'],mirostat:2,"
        + "mirostat_tau:9.5,mirostat_eta:10.5,ignore_eos:true,seed:11,logit_bias:[{token:12,bias:13.5}],stop:['<é>'],"
        + "grammar:'root ::= \"a\"'}").getAsJsonObject();
    assertEquals(expected, json);
  }

  @Test
  void aForbiddenTokenIsNullInJson() {
    GenerationOptions o = GenerationOptions.builder().logitBias(Map.of(3, Double.NEGATIVE_INFINITY)).build();
    assertTrue(SamplerJson.of(o).contains("{\"token\":3,\"bias\":null}"), SamplerJson.of(o));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "[]", "null", "7", "{\"a\":1,}", "{} {}"})
  void aSchemaThatIsNoJsonObjectIsRefused(String schema) {
    GenerationOptions o = GenerationOptions.builder().jsonSchema(schema).build();
    assertTrue(fails(ErrorCode.JSON, () -> SamplerJson.of(o)).startsWith("jsonSchema: "));
  }

  private static GenerationOptions.Builder everythingSet() {
    return GenerationOptions.builder()
        .maxTokens(14).temperature(0.5f).topK(1).topP(0.25f).minP(0.125f).typicalP(0.75f).repeatPenalty(1.5f)
        .frequencyPenalty(2.5f).presencePenalty(3.5f).penaltyLastN(4).dryMultiplier(5.5f).dryBase(6.5f)
        .dryAllowedLength(7).dryPenaltyLastN(8).drySequenceBreakers(List.of("x")).mirostat(2).mirostatTau(9.5f)
        .mirostatEta(10.5f).seed(11).logitBias(Map.of(12, 13.5)).grammar("root ::= \"a\"").stop(List.of("<é>"))
        .ignoreEos(true).logprobs(true).tokensPerCallback(15).draftTokens(7);
  }
}
