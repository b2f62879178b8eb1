package io.github.llmmobile;

import com.google.gson.JsonArray;
import java.util.Optional;
import java.util.OptionalInt;

/** What a model says about itself. Values are taken once, when the model is asked. */
public final class ModelInfo {
  private final String json;
  private final JsonFields fields;

  ModelInfo(String json) {
    this.json = json;
    fields = JsonFields.parse(json);
  }

  /**
   * The architecture.
   *
   * @return its name in GGUF, such as {@code llama} (never null)
   */
  public String architecture() {
    return fields.text("architecture");
  }

  /**
   * The model's name.
   *
   * @return the name, if the file has one (never null)
   */
  public Optional<String> name() {
    return fields.optionalText("name");
  }

  /**
   * Architecture, size and quantisation in a few words.
   *
   * @return the description, if there is one (never null)
   */
  public Optional<String> description() {
    return fields.optionalText("description");
  }

  /**
   * The licence of the weights.
   *
   * @return its name, if the file has one (never null)
   */
  public Optional<String> license() {
    return fields.optionalText("license");
  }

  /**
   * How many weights the model has.
   *
   * @return a count
   */
  public long parameters() {
    return fields.number("parameters");
  }

  /**
   * How large the weights are.
   *
   * @return bytes
   */
  public long sizeBytes() {
    return fields.number("size_bytes");
  }

  /**
   * How most of the weights are stored.
   *
   * @return a name such as {@code Q4_1}, if it is known (never null)
   */
  public Optional<String> quantization() {
    return fields.optionalText("quantization");
  }

  /**
   * The context that the model was trained for.
   *
   * @return tokens
   */
  public int contextTrain() {
    return fields.integer("context_train");
  }

  /**
   * Width of a hidden state.
   *
   * @return how many numbers
   */
  public int embedding() {
    return fields.integer("embedding");
  }

  /**
   * How many layers the model has.
   *
   * @return a count
   */
  public int layers() {
    return fields.integer("layers");
  }

  /**
   * How many attention heads a layer has.
   *
   * @return a count; 0 for models without attention
   */
  public int heads() {
    return fields.integer("heads");
  }

  /**
   * How many heads of keys and values a layer has.
   *
   * @return a count; 0 for models without attention
   */
  public int headsKv() {
    return fields.integer("heads_kv");
  }

  /**
   * Width of a key.
   *
   * @return how many numbers, if the model has attention (never null)
   */
  public OptionalInt headDimK() {
    return fields.optionalInteger("head_dim_k");
  }

  /**
   * Width of a value.
   *
   * @return how many numbers, if the model has attention (never null)
   */
  public OptionalInt headDimV() {
    return fields.optionalInteger("head_dim_v");
  }

  /**
   * Size of the vocabulary.
   *
   * @return how many tokens
   */
  public int vocabulary() {
    return fields.integer("vocabulary");
  }

  /**
   * How far back layers with a sliding window look.
   *
   * @return tokens; 0 without such layers
   */
  public int slidingWindow() {
    return fields.integer("sliding_window");
  }

  /**
   * Whether the model carries a state from token to token instead of keys and values, as Mamba does.
   *
   * @return true if so
   */
  public boolean recurrent() {
    return fields.flag("recurrent");
  }

  /**
   * Whether the model has both recurrent and attention layers.
   *
   * @return true if so
   */
  public boolean hybrid() {
    return fields.flag("hybrid");
  }

  /**
   * Whether the model has an encoder.
   *
   * @return true if so
   */
  public boolean encoder() {
    return fields.flag("encoder");
  }

  /**
   * Whether the model has a decoder, which generating needs.
   *
   * @return true if so
   */
  public boolean decoder() {
    return fields.flag("decoder");
  }

  /**
   * How positions enter the attention.
   *
   * @return the name of the rotary embedding's type, if it is known (never null)
   */
  public Optional<String> ropeType() {
    return fields.optionalText("rope_type");
  }

  /**
   * The token that begins a text.
   *
   * @return its id, if there is one (never null)
   */
  public OptionalInt bos() {
    return fields.optionalInteger("bos");
  }

  /**
   * The token that ends a text.
   *
   * @return its id, if there is one (never null)
   */
  public OptionalInt eos() {
    return fields.optionalInteger("eos");
  }

  /**
   * The tokens that end an answer; {@link #eos()} is one of them.
   *
   * @return a fresh array of ids, ascending (never null)
   */
  public int[] endTokens() {
    JsonArray tokens = fields.array("end_tokens");
    int[] ids = new int[tokens.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = tokens.get(i).getAsInt();
    }
    return ids;
  }

  /**
   * Whether the model wants {@link #bos()} in front of a text.
   *
   * @return true if so
   */
  public boolean addBos() {
    return fields.flag("add_bos");
  }

  /**
   * Whether the model wants {@link #eos()} at the end of a text.
   *
   * @return true if so
   */
  public boolean addEos() {
    return fields.flag("add_eos");
  }

  /**
   * The chat template.
   *
   * @return Jinja text, if the model has one (never null)
   */
  public Optional<String> chatTemplate() {
    return fields.optionalText("chat_template");
  }

  /**
   * A digest that tells models apart; session files and adapters are bound to it.
   *
   * @return hexadecimal digits (never null)
   */
  public String fingerprint() {
    return fields.text("fingerprint");
  }

  /**
   * All of this as the native library wrote it.
   *
   * @return one JSON object (never null)
   */
  public String toJson() {
    return json;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ModelInfo && json.equals(((ModelInfo) other).json);
  }

  @Override
  public int hashCode() {
    return json.hashCode();
  }

  @Override
  public String toString() {
    return "ModelInfo[" + description().orElse(architecture()) + ", " + parameters() + " parameters]";
  }
}
