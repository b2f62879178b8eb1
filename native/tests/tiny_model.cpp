#include "tiny_model.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "ggml.h"
#include "gguf.h"

namespace llmm_test {

const char * const tiny_chat_template =
    "{{ bos_token }}"
    "{% if tools %}{{ '<|im_start|>tools\n' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"
    "{% if mood is defined %}{{ '<|im_start|>mood\n' + mood + '<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'forbidden' %}{{ raise_exception('this role is not allowed') }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

namespace {

// SplitMix64: the standard library's distributions differ between implementations, this does not.
class generator {
public:
    explicit generator(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }

    // Uniform in [-limit, limit).
    float uniform(float limit) { return limit * (float(next() >> 40) / float(1 << 23) - 1.0f); }

private:
    uint64_t state_;
};

struct ggml_context_deleter {
    void operator()(ggml_context * ctx) const { ggml_free(ctx); }
};
struct gguf_context_deleter {
    void operator()(gguf_context * ctx) const { gguf_free(ctx); }
};

enum token_type : int32_t { type_normal = 1, type_unknown = 2, type_control = 3, type_byte = 6 };

const char * arch_name(tiny_arch arch) {
    switch (arch) {
        case tiny_arch::llama:  return "llama";
        case tiny_arch::gemma3: return "gemma3";
        case tiny_arch::qwen2:  return "qwen2";
        case tiny_arch::qwen3:  return "qwen3";
        case tiny_arch::phi3:   return "phi3";
        case tiny_arch::mamba:  return "mamba";
    }
    throw std::runtime_error("unknown tiny architecture");
}

// Collects metadata and tensors of one file.
class gguf_builder {
public:
    gguf_builder() : gguf_(gguf_init_empty()) {
        ggml_init_params params = {};
        params.mem_size   = size_t(64) << 20;   // far above the largest tiny model
        params.mem_buffer = nullptr;
        params.no_alloc   = false;
        ggml_.reset(ggml_init(params));
        if (!ggml_) {
            throw std::runtime_error("no memory for a tiny model");
        }
    }

    gguf_context * meta() { return gguf_.get(); }

    // A tensor of `type`; fill gives the values one after the other.
    template <typename fill_fn>
    void tensor(const std::string & name, ggml_type type, const std::vector<int64_t> & shape, fill_fn fill) {
        ggml_tensor * t = ggml_new_tensor(ggml_.get(), type, int(shape.size()), shape.data());
        ggml_set_name(t, name.c_str());
        const int64_t n = ggml_nelements(t);
        std::vector<float> values(static_cast<size_t>(n));
        for (float & value : values) {
            value = fill();
        }
        if (type == GGML_TYPE_F32) {
            std::memcpy(t->data, values.data(), values.size() * sizeof(float));
        } else {
            ggml_quantize_chunk(type, values.data(), t->data, 0, n / shape[0], shape[0], nullptr);
        }
        gguf_add_tensor(gguf_.get(), t);
    }

    void write(const std::string & path) {
        if (!gguf_write_to_file(gguf_.get(), path.c_str(), false)) {
            throw std::runtime_error("cannot write " + path);
        }
    }

private:
    std::unique_ptr<gguf_context, gguf_context_deleter> gguf_;
    std::unique_ptr<ggml_context, ggml_context_deleter> ggml_;
};

ggml_type matrix_type(tiny_weights weights) {
    switch (weights) {
        case tiny_weights::f32:  return GGML_TYPE_F32;
        case tiny_weights::f16:  return GGML_TYPE_F16;
        case tiny_weights::q4_0: return GGML_TYPE_Q4_0;
    }
    throw std::runtime_error("unknown weight type");
}

void add_vocabulary(gguf_builder & file, const tiny_options & o) {
    std::vector<std::string> texts;
    std::vector<float>       scores;
    std::vector<int32_t>     types;
    const auto add = [&](const std::string & text, float score, int32_t type) {
        texts.push_back(text);
        scores.push_back(score);
        types.push_back(type);
    };
    add("<unk>", 0.0f, type_unknown);
    add("<s>", 0.0f, type_control);
    add("</s>", 0.0f, type_control);
    for (int b = 0; b < 256; b++) {
        char name[8];
        std::snprintf(name, sizeof(name), "<0x%02X>", b);
        add(name, 0.0f, type_byte);
    }
    add("<|im_start|>", 0.0f, type_control);
    add("<|im_end|>", 0.0f, type_control);
    // SPM merges the pair of the highest score first: longer pieces win.
    for (const std::string & piece : tiny_pieces()) {
        add(piece, float(piece.size()) - 100.0f, type_normal);
    }
    for (int32_t i = 0; i < o.n_extra_tokens; i++) {
        add("extra" + std::to_string(i), -1000.0f, type_normal);
    }

    std::vector<const char *> pointers;
    for (const std::string & text : texts) {
        pointers.push_back(text.c_str());
    }
    gguf_context * meta = file.meta();
    gguf_set_val_str(meta, "tokenizer.ggml.model", "llama");
    gguf_set_arr_str(meta, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
    gguf_set_arr_data(meta, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
    gguf_set_arr_data(meta, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
    gguf_set_val_u32(meta, "tokenizer.ggml.bos_token_id", tiny_bos);
    gguf_set_val_u32(meta, "tokenizer.ggml.eos_token_id", tiny_eos);
    gguf_set_val_u32(meta, "tokenizer.ggml.unknown_token_id", tiny_unk);
    gguf_set_val_bool(meta, "tokenizer.ggml.add_bos_token", o.add_bos);
    gguf_set_val_bool(meta, "tokenizer.ggml.add_eos_token", false);
    gguf_set_val_bool(meta, "tokenizer.ggml.add_space_prefix", false);   // so that text survives the round trip
    if (!o.chat_template.empty()) {
        gguf_set_val_str(meta, "tokenizer.chat_template", o.chat_template.c_str());
    }
}

void add_hyperparameters(gguf_builder & file, const tiny_options & o) {
    const std::string arch = arch_name(o.arch);
    gguf_context * meta = file.meta();
    const auto set_u32 = [&](const char * key, uint32_t value) {
        gguf_set_val_u32(meta, (arch + "." + key).c_str(), value);
    };
    gguf_set_val_str(meta, "general.architecture", arch.c_str());
    gguf_set_val_str(meta, "general.name", "tiny model");   // llama.cpp looks for "phi3" here and wants its tokens
    gguf_set_val_str(meta, "general.description", "random weights for tests");
    gguf_set_val_str(meta, "general.license", "apache-2.0");
    set_u32("context_length", uint32_t(o.n_ctx_train));
    set_u32("embedding_length", uint32_t(o.n_embd));
    set_u32("block_count", uint32_t(o.n_layers));
    gguf_set_val_f32(meta, (arch + ".attention.layer_norm_rms_epsilon").c_str(), 1e-5f);
    if (o.arch == tiny_arch::mamba) {
        set_u32("feed_forward_length", 0);
        set_u32("attention.head_count", 0);
        set_u32("ssm.conv_kernel", 4);
        set_u32("ssm.inner_size", uint32_t(2 * o.n_embd));
        set_u32("ssm.state_size", 16);
        set_u32("ssm.time_step_rank", uint32_t(o.n_embd / 16));
        return;
    }
    const int32_t head_dim = o.n_embd / o.n_heads;
    set_u32("feed_forward_length", uint32_t(o.n_ff));
    set_u32("attention.head_count", uint32_t(o.n_heads));
    set_u32("attention.head_count_kv", uint32_t(o.n_heads_kv));
    set_u32("attention.key_length", uint32_t(head_dim));
    set_u32("attention.value_length", uint32_t(head_dim));
    set_u32("rope.dimension_count", uint32_t(head_dim));
    gguf_set_val_f32(meta, (arch + ".rope.freq_base").c_str(), 10000.0f);
    if (o.arch == tiny_arch::gemma3) {
        set_u32("attention.sliding_window", uint32_t(o.sliding_window));
        set_u32("attention.sliding_window_pattern", 2);
    }
}

// Tensors of one file, with the initialisation that keeps activations near 1 in every layer.
class weight_writer {
public:
    weight_writer(gguf_builder & file, const tiny_options & o)
        : file_(file), type_(matrix_type(o.weights)), rank_(o.rank), factors_(o.factors), random_(o.seed * 1000003) {}

    void matrix(const std::string & name, int64_t n_in, int64_t n_out, float gain = 1.0f) {
        const float limit = gain * std::sqrt(3.0f / float(n_in));
        file_.tensor(name, type_, {n_in, n_out}, [&] { return random_.uniform(limit); });
    }

    // A matrix of a layer.
    void layer_matrix(const std::string & name, int64_t n_in, int64_t n_out, float gain = 1.0f) {
        if (rank_ == 0) {
            return matrix(name, n_in, n_out, gain);
        }
        std::vector<float> a(size_t(rank_ * n_in)), b(size_t(n_out * rank_));
        for (float & v : a) {
            v = random_.uniform(gain * std::sqrt(3.0f / float(n_in)));
        }
        for (float & v : b) {
            v = random_.uniform(std::sqrt(3.0f / float(rank_)));
        }
        size_t i = 0;
        if (factors_) {
            file_.tensor(name + ".lr_a", type_, {n_in, rank_}, [&] { return a[i++]; });
            i = 0;
            file_.tensor(name + ".lr_b", type_, {rank_, n_out}, [&] { return b[i++]; });
            return;
        }
        file_.tensor(name, type_, {n_in, n_out}, [&] {
            const size_t row = i / size_t(n_in), column = i % size_t(n_in);
            i++;
            double sum = 0;
            for (size_t k = 0; k < size_t(rank_); k++) {
                sum += double(b[row * size_t(rank_) + k]) * double(a[k * size_t(n_in) + column]);
            }
            return float(sum);
        });
    }

    // Output head. The rows of control tokens are damped, so that a random model does not end its answer at once.
    void head(const std::string & name, int64_t n_in, int64_t n_vocab, float gain) {
        const float limit = gain * std::sqrt(3.0f / float(n_in));
        int64_t i = 0;
        file_.tensor(name, type_, {n_in, n_vocab}, [&] {
            const int64_t row = i++ / n_in;
            const bool control = row < tiny_byte_0 || row == tiny_im_start || row == tiny_im_end;
            return random_.uniform(limit) * (control ? 0.1f : 1.0f);
        });
    }

    void matrix_f32(const std::string & name, int64_t n_in, int64_t n_out, float base, float spread) {
        file_.tensor(name, GGML_TYPE_F32, {n_in, n_out}, [&] { return base + random_.uniform(spread); });
    }

    void vector(const std::string & name, int64_t n, float base, float spread) {
        file_.tensor(name, GGML_TYPE_F32, {n}, [&] { return base + random_.uniform(spread); });
    }

    void norm(const std::string & name, int64_t n) { vector(name, n, 1.0f, 0.1f); }

private:
    gguf_builder & file_;
    ggml_type      type_;
    int64_t        rank_;
    bool           factors_;
    generator      random_;
};

void add_mamba_layer(weight_writer & w, const std::string & blk, const tiny_options & o) {
    const int64_t inner = 2 * o.n_embd;
    const int64_t state = 16;
    const int64_t rank  = o.n_embd / 16;
    w.norm(blk + "attn_norm.weight", o.n_embd);
    w.matrix(blk + "ssm_in.weight", o.n_embd, 2 * inner);
    w.matrix_f32(blk + "ssm_conv1d.weight", 4, inner, 0.0f, 0.8f);
    w.vector(blk + "ssm_conv1d.bias", inner, 0.0f, 0.1f);
    w.matrix_f32(blk + "ssm_x.weight", inner, rank + 2 * state, 0.0f, 0.15f);
    w.matrix_f32(blk + "ssm_dt.weight", rank, inner, 0.0f, 0.5f);
    w.vector(blk + "ssm_dt.bias", inner, -1.0f, 0.5f);
    w.matrix_f32(blk + "ssm_a", state, inner, -1.0f, 0.9f);   // below zero: the state decays
    w.vector(blk + "ssm_d", inner, 1.0f, 0.2f);
    w.matrix(blk + "ssm_out.weight", inner, o.n_embd);
}

void add_attention_layer(weight_writer & w, const std::string & blk, const tiny_options & o) {
    const int64_t n_embd   = o.n_embd;
    const int64_t head_dim = n_embd / o.n_heads;
    const int64_t n_kv     = head_dim * o.n_heads_kv;
    w.norm(blk + "attn_norm.weight", n_embd);
    if (o.arch == tiny_arch::phi3) {
        w.layer_matrix(blk + "attn_qkv.weight", n_embd, n_embd + 2 * n_kv, 2.0f);
    } else {
        // A gain above 1 makes attention choose instead of averaging, so that every token of the history counts.
        w.layer_matrix(blk + "attn_q.weight", n_embd, n_embd, 2.0f);
        w.layer_matrix(blk + "attn_k.weight", n_embd, n_kv, 2.0f);
        w.layer_matrix(blk + "attn_v.weight", n_embd, n_kv);
    }
    if (o.arch == tiny_arch::qwen2) {
        w.vector(blk + "attn_q.bias", n_embd, 0.0f, 0.2f);
        w.vector(blk + "attn_k.bias", n_kv, 0.0f, 0.2f);
        w.vector(blk + "attn_v.bias", n_kv, 0.0f, 0.2f);
    }
    if (o.arch == tiny_arch::gemma3 || o.arch == tiny_arch::qwen3) {
        w.norm(blk + "attn_q_norm.weight", head_dim);
        w.norm(blk + "attn_k_norm.weight", head_dim);
    }
    w.layer_matrix(blk + "attn_output.weight", n_embd, n_embd);
    w.norm(blk + "ffn_norm.weight", n_embd);
    if (o.arch == tiny_arch::phi3) {
        w.layer_matrix(blk + "ffn_up.weight", n_embd, 2 * o.n_ff);
    } else {
        w.layer_matrix(blk + "ffn_gate.weight", n_embd, o.n_ff);
        w.layer_matrix(blk + "ffn_up.weight", n_embd, o.n_ff);
    }
    w.layer_matrix(blk + "ffn_down.weight", o.n_ff, n_embd);
    if (o.arch == tiny_arch::gemma3) {
        w.norm(blk + "post_attention_norm.weight", n_embd);
        w.norm(blk + "post_ffw_norm.weight", n_embd);
    }
}

}  // namespace

const std::vector<std::string> & tiny_pieces() {
    static const std::vector<std::string> pieces = [] {
        const std::string space = "\xE2\x96\x81";
        std::vector<std::string> list = {space};
        for (char c = '!'; c <= '~'; c++) {
            list.push_back(std::string(1, c));
        }
        // Whole characters of two and three bytes; an emoji is left to the byte tokens.
        for (const char * text : {"é", "ß", "日", "本", "日本"}) {
            list.push_back(text);
        }
        for (const char * text : {"he", "ll", "llo", "hello", "wo", "rl", "rld", "world", "th", "the", "an", "and",
                                  "in", "ing", "er", "st", "to", "stop"}) {
            list.push_back(text);
        }
        for (const char * text : {"hello", "world", "the", "and", "stop"}) {
            list.push_back(space + text);
        }
        return list;
    }();
    return pieces;
}

int32_t tiny_n_vocab() {
    return tiny_text_0 + int32_t(tiny_pieces().size());
}

void write_tiny_model(const std::string & path, const tiny_options & o) {
    gguf_builder file;
    add_hyperparameters(file, o);
    add_vocabulary(file, o);

    const int64_t n_vocab = tiny_n_vocab() + o.n_extra_tokens;
    weight_writer w(file, o);
    // Embeddings of length about sqrt(n_embd); gemma multiplies them by that itself.
    const bool scaled = o.arch == tiny_arch::gemma3;
    w.matrix("token_embd.weight", o.n_embd, n_vocab, scaled ? 1.0f : std::sqrt(float(o.n_embd)));
    w.norm("output_norm.weight", o.n_embd);
    // The gain spreads the logits over some ten units: a clear favourite, and no probability that rounds to zero.
    w.head("output.weight", o.n_embd, n_vocab, 3.0f);
    for (int32_t i = 0; i < o.n_layers; i++) {
        const std::string blk = "blk." + std::to_string(i) + ".";
        if (o.arch == tiny_arch::mamba) {
            add_mamba_layer(w, blk, o);
        } else {
            add_attention_layer(w, blk, o);
        }
    }
    file.write(path);
}

void write_tiny_adapter(const std::string & path, const tiny_options & o, const tiny_adapter & adapter) {
    const int64_t rank = adapter.rank, kept = adapter.kept > 0 ? adapter.kept : rank;
    gguf_builder file;
    gguf_set_val_str(file.meta(), "general.architecture", arch_name(o.arch));
    gguf_set_val_str(file.meta(), "general.type", "adapter");
    gguf_set_val_str(file.meta(), "adapter.type", "lora");
    gguf_set_val_f32(file.meta(), "adapter.lora.alpha", adapter.alpha);
    if (!adapter.base.empty()) {
        gguf_set_val_str(file.meta(), "llmm.base.fingerprint", adapter.base.c_str());
    }

    generator random(adapter.seed * 7919);
    const ggml_type type = adapter.half ? GGML_TYPE_F16 : GGML_TYPE_F32;
    // [rows][cols] random numbers, of which the file gets the first n_rows and n_cols.
    const auto factor = [&](const std::string & name, int64_t rows, int64_t cols, int64_t n_rows, int64_t n_cols, float limit) {
        std::vector<float> numbers;
        for (int64_t i = 0; i < rows * cols; i++) {
            const float x = random.uniform(limit);
            if (i / cols < n_rows && i % cols < n_cols) {
                numbers.push_back(x);
            }
        }
        auto next = numbers.begin();
        file.tensor(name, type, {n_cols, n_rows}, [&] { return *next++; });
    };
    const auto pair = [&](const std::string & name, int64_t n_in, int64_t n_out) {
        factor(name + ".lora_a", rank, n_in, kept, n_in, std::sqrt(3.0f / float(n_in)));
        factor(name + ".lora_b", n_out, rank, n_out, kept, adapter.strength * std::sqrt(3.0f / float(rank)));
    };
    const int64_t n_kv = o.n_embd / o.n_heads * o.n_heads_kv;
    for (int32_t i = 0; i < o.n_layers; i++) {
        const std::string blk = "blk." + std::to_string(i) + ".";
        pair(blk + "attn_q.weight", o.n_embd, o.n_embd);
        pair(blk + "ffn_down.weight", o.n_ff, o.n_embd);
        if (adapter.all_matrices) {
            pair(blk + "attn_k.weight", o.n_embd, n_kv);
            pair(blk + "attn_v.weight", o.n_embd, n_kv);
            pair(blk + "attn_output.weight", o.n_embd, o.n_embd);
            pair(blk + "ffn_gate.weight", o.n_embd, o.n_ff);
            pair(blk + "ffn_up.weight", o.n_embd, o.n_ff);
        }
    }
    if (adapter.embeddings) {
        // The other way round: llama.cpp looks rows of A up.
        factor("token_embd.weight.lora_a", tiny_n_vocab() + o.n_extra_tokens, rank, tiny_n_vocab() + o.n_extra_tokens, kept, 1.0f);
        factor("token_embd.weight.lora_b", o.n_embd, rank, o.n_embd, kept, adapter.strength);
    }
    file.write(path);
}

void write_tiny_adapter(const std::string & path, const tiny_options & o, float strength, uint64_t seed, const std::string & base) {
    tiny_adapter adapter;
    adapter.strength = strength;
    adapter.seed = seed;
    adapter.base = base;
    write_tiny_adapter(path, o, adapter);
}

}  // namespace llmm_test
