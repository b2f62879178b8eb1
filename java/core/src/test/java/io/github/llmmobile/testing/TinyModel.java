package io.github.llmmobile.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleSupplier;

/**
 * A llama model small enough to write and load in no time: two layers of random weights from a seed, a whole SPM
 * vocabulary with byte tokens, a ChatML template. It talks nonsense, but always the same.
 */
public final class TinyModel {
  public static final int CONTEXT = 512;
  /** The first of the 256 tokens that stand for single bytes. */
  public static final int FIRST_BYTE = 3;

  private static final int IM_START = 259;
  private static final int IM_END = 260;
  private static final int LAYERS = 2;
  /** Layers of {@link #deepBytes()}. */
  public static final int DEEP_LAYERS = 5;
  private static final int HEADS = 4;
  private static final int HEADS_KV = 2;
  private static final int FEED_FORWARD = 128;
  private static final int NORMAL = 1;
  private static final int UNKNOWN = 2;
  private static final int CONTROL = 3;
  private static final int BYTE = 6;
  private static final String TEMPLATE =
      "{% for message in messages %}"
          + "{% if message['role'] == 'forbidden' %}{{ raise_exception('this role is not allowed') }}{% endif %}"
          + "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
          + "{% endfor %}"
          + "{% if mood is defined %}{{ '<|im_start|>mood\\n' + mood + '<|im_end|>\\n' }}{% endif %}"
          + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

  private final int width;
  private final int layers;
  private final boolean template;
  private final boolean bos;
  private final GgufWriter gguf = new GgufWriter();
  private final Random random;

  private TinyModel(int seed, int width, int layers, boolean template, boolean bos) {
    this.width = width;
    this.layers = layers;
    this.template = template;
    this.bos = bos;
    random = new Random(seed);
  }

  /** The model that most tests use. */
  public static byte[] bytes() {
    return new TinyModel(1, 64, LAYERS, true, true).build();
  }

  /** The same kind of model with more layers, of which the inner ones can be left out. */
  public static byte[] deepBytes() {
    return new TinyModel(3, 64, DEEP_LAYERS, true, true).build();
  }

  /** Another model with the same vocabulary. */
  public static byte[] otherBytes() {
    return new TinyModel(2, 128, LAYERS, true, true).build();
  }

  /** A model without a chat template that puts no start token in front of texts. */
  public static byte[] plainBytes() {
    return new TinyModel(1, 64, LAYERS, false, false).build();
  }

  /** A LoRA adapter for {@link #bytes()}. Strength 0 changes nothing. */
  public static byte[] adapterBytes(double strength) {
    return adapterBytes("llama", 64, strength, "");
  }

  /** An adapter whose shapes fit no tiny model. */
  public static byte[] misfitAdapterBytes() {
    return adapterBytes("llama", 96, 1, "");
  }

  /** An adapter that names the only model that it fits. */
  public static byte[] factorBytes(String baseFingerprint) {
    return adapterBytes("llama", 64, 1, baseFingerprint);
  }

  private static byte[] adapterBytes(String architecture, int width, double strength, String baseFingerprint) {
    int rank = 4;
    Random random = new Random(7);
    GgufWriter gguf = new GgufWriter()
        .text("general.architecture", architecture)
        .text("general.type", "adapter")
        .text("adapter.type", "lora")
        .real("adapter.lora.alpha", 0);
    if (!baseFingerprint.isEmpty()) {
      gguf.text("llmm.base.fingerprint", baseFingerprint);
    }
    for (int layer = 0; layer < LAYERS; layer++) {
      String name = "blk." + layer + ".attn_q.weight";
      gguf.tensor(name + ".lora_a", uniform(random, Math.sqrt(3.0 / width)), width, rank);
      gguf.tensor(name + ".lora_b", uniform(random, strength * Math.sqrt(3.0 / rank)), rank, width);
    }
    return gguf.toBytes();
  }

  /** Writes bytes to a file of that name that goes away with the JVM. */
  public static Path file(String name, byte[] bytes) {
    try {
      Path folder = Files.createTempDirectory("llmm-test");
      Path file = folder.resolve(name);
      Files.write(file, bytes);
      folder.toFile().deleteOnExit();
      file.toFile().deleteOnExit();
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private byte[] build() {
    metadata();
    List<String> tokens = vocabulary();
    // Embeddings of length about sqrt(width), so that activations stay near 1.
    matrix("token_embd.weight", Math.sqrt(width), width, tokens.size());
    norm("output_norm.weight", width);
    head(tokens.size());
    for (int layer = 0; layer < layers; layer++) {
      layer("blk." + layer + ".");
    }
    return gguf.toBytes();
  }

  private void metadata() {
    gguf.text("general.architecture", "llama")
        .text("general.name", "tiny model")
        .text("general.license", "apache-2.0")
        .number("llama.context_length", CONTEXT)
        .number("llama.embedding_length", width)
        .number("llama.block_count", layers)
        .number("llama.feed_forward_length", FEED_FORWARD)
        .number("llama.attention.head_count", HEADS)
        .number("llama.attention.head_count_kv", HEADS_KV)
        .number("llama.rope.dimension_count", width / HEADS)
        .real("llama.rope.freq_base", 10000)
        .real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  }

  private List<String> vocabulary() {
    List<String> tokens = new ArrayList<>(List.of("<unk>", "<s>", "</s>"));
    List<Integer> types = new ArrayList<>(List.of(UNKNOWN, CONTROL, CONTROL));
    for (int b = 0; b < 256; b++) {
      tokens.add(String.format("<0x%02X>", b));
      types.add(BYTE);
    }
    tokens.addAll(List.of("<|im_start|>", "<|im_end|>"));
    types.addAll(List.of(CONTROL, CONTROL));
    tokens.addAll(pieces());
    while (types.size() < tokens.size()) {
      types.add(NORMAL);
    }
    List<Float> scores = new ArrayList<>();
    for (int i = 0; i < tokens.size(); i++) {
      // Pairs of the highest score are merged first: longer pieces win.
      scores.add(types.get(i) == NORMAL ? tokens.get(i).length() - 100f : 0f);
    }
    gguf.text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", tokens)
        .reals("tokenizer.ggml.scores", scores)
        .numbers("tokenizer.ggml.token_type", types)
        .number("tokenizer.ggml.bos_token_id", 1)
        .number("tokenizer.ggml.eos_token_id", 2)
        .number("tokenizer.ggml.unknown_token_id", 0)
        .flag("tokenizer.ggml.add_bos_token", bos)
        .flag("tokenizer.ggml.add_eos_token", false)
        .flag("tokenizer.ggml.add_space_prefix", false);
    if (template) {
      gguf.text("tokenizer.chat_template", TEMPLATE);
    }
    return tokens;
  }

  private static List<String> pieces() {
    List<String> pieces = GgufWriter.listOf("\u2581");
    for (char c = '!'; c <= '~'; c++) {
      pieces.add(String.valueOf(c));
    }
    // Whole characters of two and three bytes; emoji are left to the byte tokens.
    pieces.addAll(List.of("\u00e9", "\u00df", "\u65e5", "\u672c", "\u65e5\u672c"));
    pieces.addAll(List.of("he", "ll", "llo", "hello", "wo", "rl", "rld", "world", "th", "the", "an", "and", "st", "to",
        "stop"));
    pieces.addAll(List.of("\u2581hello", "\u2581world", "\u2581the", "\u2581and", "\u2581stop"));
    return pieces;
  }

  private void layer(String prefix) {
    int keys = width / HEADS * HEADS_KV;
    norm(prefix + "attn_norm.weight", width);
    // A gain above 1 makes attention choose instead of averaging, so that every token of the history counts.
    matrix(prefix + "attn_q.weight", 2, width, width);
    matrix(prefix + "attn_k.weight", 2, width, keys);
    matrix(prefix + "attn_v.weight", 1, width, keys);
    matrix(prefix + "attn_output.weight", 1, width, width);
    norm(prefix + "ffn_norm.weight", width);
    matrix(prefix + "ffn_gate.weight", 1, width, FEED_FORWARD);
    matrix(prefix + "ffn_up.weight", 1, width, FEED_FORWARD);
    matrix(prefix + "ffn_down.weight", 1, FEED_FORWARD, width);
  }

  /** The rows of control tokens are damped, so that a random model does not end its answer at once. */
  private void head(int vocabulary) {
    DoubleSupplier values = uniform(random, 3 * Math.sqrt(3.0 / width));
    int[] at = new int[1];
    gguf.tensor("output.weight", () -> {
      int row = at[0]++ / width;
      boolean control = row < FIRST_BYTE || row == IM_START || row == IM_END;
      return values.getAsDouble() * (control ? 0.1 : 1);
    }, width, vocabulary);
  }

  private void matrix(String name, double gain, int in, int out) {
    gguf.tensor(name, uniform(random, gain * Math.sqrt(3.0 / in)), in, out);
  }

  private void norm(String name, int size) {
    DoubleSupplier spread = uniform(random, 0.1);
    gguf.tensor(name, () -> 1 + spread.getAsDouble(), size);
  }

  private static DoubleSupplier uniform(Random random, double limit) {
    return () -> limit * (2 * random.nextDouble() - 1);
  }
}
