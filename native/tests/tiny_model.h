// Writes GGUF files small enough for a test: random weights from a seed, a complete SPM vocabulary with byte tokens,
// a chat template. The same options always give the same bytes.
#ifndef LLMM_TESTS_TINY_MODEL_H
#define LLMM_TESTS_TINY_MODEL_H

#include <cstdint>
#include <string>
#include <vector>

namespace llmm_test {

enum class tiny_arch { llama, gemma3, qwen2, qwen3, phi3, mamba };

enum class tiny_weights { f32, f16, q4_0 };

// Renders ChatML. Fails on the role "forbidden"; writes the keyword argument "mood" and the tools if there are any.
extern const char * const tiny_chat_template;

struct tiny_options {
    tiny_arch    arch           = tiny_arch::llama;
    tiny_weights weights        = tiny_weights::f32;   // of the matrices; norms stay f32
    uint64_t     seed           = 1;
    int32_t      n_layers       = 2;
    int32_t      n_embd         = 64;
    int32_t      n_heads        = 4;
    int32_t      n_heads_kv     = 2;
    int32_t      n_ff           = 128;
    int32_t      n_ctx_train    = 512;
    int32_t      sliding_window = 32;                  // gemma3 only; every second layer looks at this many tokens
    int32_t      n_extra_tokens = 0;                   // more words in the vocabulary, to make models differ in size
    int32_t      rank           = 0;                   // of the layers' matrices, not mamba's; 0: full
    bool         factors        = false;               // these matrices are in the file as their two factors
    bool         add_bos        = true;
    std::string  chat_template  = tiny_chat_template;  // empty: the model has none
};

// Token ids of the vocabulary, the same in every tiny model.
constexpr int32_t tiny_unk       = 0;
constexpr int32_t tiny_bos       = 1;
constexpr int32_t tiny_eos       = 2;
constexpr int32_t tiny_byte_0    = 3;                  // <0x00>; the byte b is tiny_byte_0 + b
constexpr int32_t tiny_im_start  = 259;
constexpr int32_t tiny_im_end    = 260;                // ends an answer, as EOS does
constexpr int32_t tiny_text_0    = 261;                // first token that is plain text

// Text of the plain tokens from tiny_text_0 on, with U+2581 for a space.
const std::vector<std::string> & tiny_pieces();

// Size of the vocabulary of a model with n_extra_tokens = 0.
int32_t tiny_n_vocab();

// Throws std::runtime_error if the file cannot be written.
void write_tiny_model(const std::string & path, const tiny_options & options);

// A LoRA adapter for the query and feed-forward matrices of a tiny model of these options. strength scales its
// effect; 0 gives an adapter that changes nothing. base: fingerprint of the model it names as its own, "" for none.
void write_tiny_adapter(const std::string & path, const tiny_options & options, float strength, uint64_t seed = 7,
                        const std::string & base = "");

struct tiny_adapter {
    float        strength       = 1.0f;
    uint64_t     seed           = 7;
    int32_t      rank           = 4;
    int32_t      kept           = 0;                   // the file has so many components of the rank; 0: all
    bool         half           = false;               // f16 in place of f32
    bool         all_matrices   = false;               // of llama's layers
    bool         embeddings     = false;               // factors of the embeddings too
    float        alpha          = 0.0f;                // 0: the scale is the caller's alone
    std::string  base           = "";
};

void write_tiny_adapter(const std::string & path, const tiny_options & options, const tiny_adapter & adapter);

}  // namespace llmm_test

#endif
