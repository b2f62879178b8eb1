#include "gguf_bytes.h"

#include <cstring>
#include <stdexcept>

namespace llmm_test {

size_t gguf_bytes::after_name(const std::string & name) const {
    std::string pattern(8, '\0');
    const uint64_t n = name.size();
    std::memcpy(&pattern[0], &n, sizeof(n));
    pattern += name;
    const size_t at = bytes_.find(pattern);
    if (at == std::string::npos) {
        throw std::runtime_error("the file has no " + name);
    }
    return at + pattern.size();
}

size_t gguf_bytes::type_of_key(const std::string & key) const {
    return after_name(key);
}

size_t gguf_bytes::tensor_info(const std::string & name) const {
    return after_name(name);
}

gguf_bytes & gguf_bytes::put_u32(size_t at, uint32_t value) {
    std::memcpy(&bytes_.at(at), &value, sizeof(value));
    return *this;
}

gguf_bytes & gguf_bytes::put_u64(size_t at, uint64_t value) {
    std::memcpy(&bytes_.at(at), &value, sizeof(value));
    return *this;
}

gguf_bytes & gguf_bytes::put_text(size_t at, const std::string & text) {
    bytes_.replace(at, text.size(), text);
    return *this;
}

gguf_bytes & gguf_bytes::set_u32(const std::string & key, uint32_t value) {
    return put_u32(type_of_key(key) + 4, value);
}

gguf_bytes & gguf_bytes::rename_key(const std::string & key, const std::string & same_length) {
    if (key.size() != same_length.size()) {
        throw std::runtime_error("the new name of " + key + " has another length");
    }
    return put_text(type_of_key(key) - key.size(), same_length);
}

uint64_t gguf_bytes::get_u64(size_t at) const {
    uint64_t value = 0;
    std::memcpy(&value, &bytes_.at(at), sizeof(value));
    return value;
}

std::vector<broken_file> broken_files(const std::string & sound) {
    const std::vector<llmm_status> invalid     = {LLMM_ERR_MODEL_INVALID};
    const std::vector<llmm_status> unsupported = {LLMM_ERR_MODEL_UNSUPPORTED};
    const std::vector<llmm_status> refused     = {LLMM_ERR_MODEL_INVALID, LLMM_ERR_MODEL_UNSUPPORTED};
    // The header is sound as far as it can be told without a model: inspection may show it.
    const std::vector<llmm_status> ok          = {LLMM_OK};
    const std::vector<llmm_status> shown       = {LLMM_OK, LLMM_ERR_MODEL_INVALID};

    std::vector<broken_file> files;
    const auto raw = [&](const std::string & name, std::string bytes, std::vector<llmm_status> open,
                         std::vector<llmm_status> inspect) {
        files.push_back({name, std::move(bytes), std::move(open), std::move(inspect)});
    };
    const auto edit = [&](const std::string & name, const std::vector<llmm_status> & open,
                          const std::vector<llmm_status> & inspect, const std::function<void(gguf_bytes &)> & change) {
        gguf_bytes g(sound);
        change(g);
        raw(name, g.bytes(), open, inspect);
    };

    raw("empty", "", invalid, invalid);
    raw("one-byte", "G", invalid, invalid);
    raw("magic-only", "GGUF", invalid, invalid);
    std::string noise;
    uint32_t state = 99;
    for (int i = 0; i < 10000; i++) {
        state = state * 1664525u + 1013904223u;
        noise += char(state >> 24);
    }
    raw("noise", noise, invalid, invalid);
    raw("noise-behind-a-header", sound.substr(0, 24) + noise, invalid, invalid);
    raw("text", "This is not a model but a letter.\n", invalid, invalid);

    edit("wrong-magic", invalid, invalid, [](gguf_bytes & g) { g.put_text(0, "GGML"); });
    edit("version-0", refused, refused, [](gguf_bytes & g) { g.put_u32(gguf_bytes::version_at, 0); });
    edit("version-1", unsupported, unsupported, [](gguf_bytes & g) { g.put_u32(gguf_bytes::version_at, 1); });
    edit("version-99", unsupported, unsupported, [](gguf_bytes & g) { g.put_u32(gguf_bytes::version_at, 99); });
    edit("other-byte-order", refused, refused, [](gguf_bytes & g) { g.put_u32(gguf_bytes::version_at, 3u << 24); });

    for (const uint64_t count : {uint64_t(1) << 40, uint64_t(1) << 62, UINT64_MAX, uint64_t(INT64_MAX)}) {
        const std::string n = std::to_string(count);
        edit("tensors-" + n, invalid, invalid, [&](gguf_bytes & g) { g.put_u64(gguf_bytes::n_tensors_at, count); });
        edit("keys-" + n, invalid, invalid, [&](gguf_bytes & g) { g.put_u64(gguf_bytes::n_kv_at, count); });
        edit("key-length-" + n, invalid, invalid,
             [&](gguf_bytes & g) { g.put_u64(gguf_bytes::first_key_at, count); });
        edit("array-length-" + n, invalid, invalid, [&](gguf_bytes & g) {
            g.put_u64(g.type_of_key("tokenizer.ggml.tokens") + 8, count);
        });
        edit("array-of-numbers-length-" + n, invalid, invalid, [&](gguf_bytes & g) {
            g.put_u64(g.type_of_key("tokenizer.ggml.scores") + 8, count);
        });
        edit("string-in-array-length-" + n, invalid, invalid, [&](gguf_bytes & g) {
            g.put_u64(g.type_of_key("tokenizer.ggml.tokens") + 16, count);
        });
        edit("tensor-offset-" + n, invalid, shown, [&](gguf_bytes & g) {
            g.put_u64(g.tensor_info("output_norm.weight") + 4 + 8 + 4, count);
        });
        edit("tensor-shape-" + n, invalid, shown, [&](gguf_bytes & g) {
            g.put_u64(g.tensor_info("token_embd.weight") + 4, count);
        });
    }
    edit("one-tensor-more", invalid, invalid, [](gguf_bytes & g) {
        g.put_u64(gguf_bytes::n_tensors_at, g.get_u64(gguf_bytes::n_tensors_at) + 1);
    });
    edit("one-key-more", invalid, invalid, [](gguf_bytes & g) {
        g.put_u64(gguf_bytes::n_kv_at, g.get_u64(gguf_bytes::n_kv_at) + 1);
    });
    edit("one-key-less", invalid, invalid, [](gguf_bytes & g) {
        g.put_u64(gguf_bytes::n_kv_at, g.get_u64(gguf_bytes::n_kv_at) - 1);
    });
    edit("no-keys", invalid, invalid, [](gguf_bytes & g) { g.put_u64(gguf_bytes::n_kv_at, 0); });
    edit("unknown-value-type", refused, refused,
         [](gguf_bytes & g) { g.put_u32(g.type_of_key("general.name"), 200); });
    edit("array-of-arrays", refused, refused,
         [](gguf_bytes & g) { g.put_u32(g.type_of_key("tokenizer.ggml.tokens") + 4, 9); });
    edit("key-given-twice", refused, refused,
         [](gguf_bytes & g) { g.rename_key("llama.rope.freq_base", "llama.context_length"); });
    edit("tensor-given-twice", refused, refused, [](gguf_bytes & g) {
        g.put_text(g.tensor_info("blk.1.attn_k.weight") - 8, "v");   // now a second attn_v
    });

    edit("dimensions-5", refused, refused, [](gguf_bytes & g) { g.put_u32(g.tensor_info("output.weight"), 5); });
    edit("dimensions-huge", refused, refused,
         [](gguf_bytes & g) { g.put_u32(g.tensor_info("output.weight"), 0xFFFFFFFFu); });
    edit("tensor-type-200", unsupported, refused,
         [](gguf_bytes & g) { g.put_u32(g.tensor_info("output_norm.weight") + 4 + 8, 200); });
    edit("tensor-type-negative", refused, refused,
         [](gguf_bytes & g) { g.put_u32(g.tensor_info("output_norm.weight") + 4 + 8, 0x80000000u); });
    edit("tensor-type-removed", refused, refused,   // 4 was Q4_2, long gone
         [](gguf_bytes & g) { g.put_u32(g.tensor_info("output.weight") + 4 + 16, 4); });
    edit("tensor-offset-misaligned", invalid, shown,
         [](gguf_bytes & g) { g.put_u64(g.tensor_info("output_norm.weight") + 4 + 8 + 4, 3); });
    edit("tensor-missing", invalid, ok,
         [](gguf_bytes & g) { g.put_text(g.tensor_info("output_norm.weight") - 18, "extra_norm.weights"); });
    edit("tensor-shape-other", invalid, shown,
         [](gguf_bytes & g) { g.put_u64(g.tensor_info("blk.0.attn_q.weight") + 4, 32); });

    edit("architecture-unknown", unsupported, ok,
         [](gguf_bytes & g) { g.put_text(g.type_of_key("general.architecture") + 12, "lxyzq"); });
    edit("architecture-absent", refused, ok,
         [](gguf_bytes & g) { g.rename_key("general.architecture", "general.architectXXX"); });
    edit("architecture-no-text", refused, shown,
         [](gguf_bytes & g) { g.put_u32(g.type_of_key("general.architecture"), 10); });   // its length read as u64
    edit("tokenizer-unknown", refused, ok,
         [](gguf_bytes & g) { g.put_text(g.type_of_key("tokenizer.ggml.model") + 12, "zzzzz"); });
    edit("tokens-absent", refused, ok,
         [](gguf_bytes & g) { g.rename_key("tokenizer.ggml.tokens", "tokenizer.ggml.tokenX"); });
    edit("scores-of-another-type", refused, ok,
         [](gguf_bytes & g) { g.put_u32(g.type_of_key("tokenizer.ggml.scores") + 4, 4); });
    edit("token-types-of-another-type", refused, ok,
         [](gguf_bytes & g) { g.put_u32(g.type_of_key("tokenizer.ggml.token_type") + 4, 6); });
    edit("token-given-twice", refused, ok, [](gguf_bytes & g) {
        const size_t at = g.bytes().find("<0x41>");
        g.put_text(at, "<0x42>");
    });

    // Sizes that contradict the tensors, or that llama.cpp would refuse by ending the process.
    const std::pair<const char *, uint32_t> sizes[] = {
        {"llama.block_count", 0},           {"llama.block_count", 3},          {"llama.block_count", 513},
        {"llama.block_count", 0x7FFFFFFF},  {"llama.block_count", 0xFFFFFFFF}, {"llama.embedding_length", 0},
        {"llama.embedding_length", 63},     {"llama.embedding_length", 0xFFFFFFFF},
        {"llama.feed_forward_length", 1},   {"llama.feed_forward_length", 0xFFFFFFFF},
        {"llama.attention.head_count", 3},  {"llama.attention.head_count", 0xFFFFFFFF},
        {"llama.attention.head_count_kv", 5}, {"llama.attention.head_count_kv", 0xFFFFFFFF},
        {"llama.attention.key_length", 7},  {"llama.attention.key_length", 0xFFFFFFFF},
        {"llama.attention.value_length", 7}, {"llama.rope.dimension_count", 6},
        {"llama.rope.dimension_count", 0xFFFFFFFF},
    };
    for (const auto & size : sizes) {
        edit(std::string(size.first) + "-" + std::to_string(size.second), refused, ok,
             [&](gguf_bytes & g) { g.set_u32(size.first, size.second); });
    }

    // Cut at twenty places: the first within the metadata, the last within the tensors.
    for (size_t i = 1; i <= 20; i++) {
        const size_t n = i * sound.size() / 21;
        raw("cut-" + std::to_string(n), sound.substr(0, n), invalid, shown);
    }
    const size_t last_of_keys = gguf_bytes(sound).type_of_key("tokenizer.ggml.tokens");
    for (const size_t n : {size_t(8), size_t(20), size_t(30), last_of_keys, last_of_keys + 100}) {
        raw("cut-in-metadata-" + std::to_string(n), sound.substr(0, n), invalid, invalid);
    }
    raw("cut-in-tensor-list", sound.substr(0, gguf_bytes(sound).tensor_info("output.weight") + 6), invalid, invalid);
    raw("last-byte-missing", sound.substr(0, sound.size() - 1), invalid, shown);
    return files;
}

}  // namespace llmm_test
