package io.github.llmmobile.internal;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.GenerationOptions;
import io.github.llmmobile.LlmException;
import java.util.List;

/** The sampler part of generation options in the form the native library reads. */
public final class SamplerJson {
  private static final Gson GSON =
      new GsonBuilder().disableHtmlEscaping().serializeNulls().setStrictness(Strictness.STRICT).create();

  private SamplerJson() {}

  /**
   * The options as JSON.
   *
   * @param o the options
   * @return one JSON object
   * @throws LlmException JSON if the schema is not a JSON object
   */
  public static String of(GenerationOptions o) {
    JsonObject json = new JsonObject();
    json.addProperty("temperature", o.temperature());
    json.addProperty("top_k", o.topK());
    json.addProperty("top_p", o.topP());
    json.addProperty("min_p", o.minP());
    json.addProperty("typical_p", o.typicalP());
    json.addProperty("repeat_penalty", o.repeatPenalty());
    json.addProperty("frequency_penalty", o.frequencyPenalty());
    json.addProperty("presence_penalty", o.presencePenalty());
    json.addProperty("penalty_last_n", o.penaltyLastN());
    json.addProperty("dry_multiplier", o.dryMultiplier());
    json.addProperty("dry_base", o.dryBase());
    json.addProperty("dry_allowed_length", o.dryAllowedLength());
    json.addProperty("dry_penalty_last_n", o.dryPenaltyLastN());
    json.add("dry_sequence_breakers", array(o.drySequenceBreakers()));
    json.addProperty("mirostat", o.mirostat());
    json.addProperty("mirostat_tau", o.mirostatTau());
    json.addProperty("mirostat_eta", o.mirostatEta());
    json.addProperty("ignore_eos", o.ignoreEos());
    if (o.seed().isPresent()) {
      json.addProperty("seed", o.seed().getAsLong());
    }
    if (!o.logitBias().isEmpty()) {
      json.add("logit_bias", biases(o));
    }
    if (!o.stop().isEmpty()) {
      json.add("stop", array(o.stop()));
    }
    o.grammar().ifPresent(grammar -> json.addProperty("grammar", grammar));
    o.jsonSchema().ifPresent(schema -> json.add("json_schema", schema(schema)));
    return GSON.toJson(json);
  }

  private static JsonElement schema(String text) {
    JsonElement schema = parse("jsonSchema", text);
    // The library takes null for "no schema", which is not what was asked for.
    if (!schema.isJsonObject()) {
      throw new LlmException(ErrorCode.JSON, "jsonSchema: must be a JSON object");
    }
    return schema;
  }

  /** A JSON text of the caller as a tree. */
  static JsonElement parse(String name, String text) {
    try {
      JsonElement parsed = GSON.fromJson(text, JsonElement.class);
      return parsed == null ? JsonNull.INSTANCE : parsed;
    } catch (JsonParseException e) {
      throw new LlmException(ErrorCode.JSON, name + ": is not JSON: " + JsonErrors.brief(e), e);
    }
  }

  private static JsonArray biases(GenerationOptions o) {
    JsonArray biases = new JsonArray();
    o.logitBias().forEach((token, bias) -> {
      JsonObject entry = new JsonObject();
      entry.addProperty("token", token);
      if (bias == Double.NEGATIVE_INFINITY) {
        entry.add("bias", JsonNull.INSTANCE);
      } else {
        entry.addProperty("bias", bias);
      }
      biases.add(entry);
    });
    return biases;
  }

  private static JsonArray array(List<String> texts) {
    JsonArray array = new JsonArray();
    texts.forEach(array::add);
    return array;
  }
}
