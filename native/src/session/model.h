// A loaded model: weights, vocabulary and the facts about it. Immutable after load, so any thread may use it.
#pragma once

#include "gguf_file.h"
#include "layers/layer_range.h"
#include "llm_mobile.h"
#include "span.h"

#include "llama.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace llmm {

// Layers [begin, end) of those there are; 0 stands for the first and the last of them. Throws RANGE.
layer_range checked_layers(int32_t begin, int32_t end, layer_range all, const char * name);

class model {
public:
    // Throws what llmm_model_open documents.
    static std::shared_ptr<model> open(const std::string & path, const llmm_model_params & params);

    ~model();
    model(const model &) = delete;
    model & operator=(const model &) = delete;

    llama_model * get() const { return llama_; }
    const llama_vocab * vocab() const { return vocab_; }
    int32_t n_vocab() const { return n_vocab_; }
    const std::string & fingerprint() const { return fingerprint_; }
    bool vocab_only() const { return vocab_only_; }
    layer_range present() const { return present_; }      // layers that weights have been loaded for
    int32_t n_layers() const { return llama_model_n_layer(llama_); }
    bool is_partial() const { return !present_.has_all_of(n_layers()); }
    uint64_t weight_bytes() const { return weight_bytes_; }      // of what has been loaded
    // Length of what goes into a weight matrix. Throws INVALID_ARGUMENT if there is none of the name.
    int32_t input_width(const std::string & weight) const;

    // Facts as llmm_model_info gives them.
    std::string info_json() const;

    std::vector<int32_t> tokenize(const std::string & text, bool add_special, bool parse_special) const;
    std::string detokenize(span<const int32_t> tokens, bool special) const;

    // Bytes of one token as they stand in a text; control tokens are empty.
    std::string piece(int32_t token) const;

    // Throws RANGE naming the first token that is not in the vocabulary.
    void check_tokens(span<const int32_t> tokens) const;

    // The result for pages of this size if it is known. See kv_probe.h.
    std::optional<llmm_kv_probe_result> known_probe(int32_t page_tokens);
    void keep_probe(int32_t page_tokens, const llmm_kv_probe_result & result);

    // Held while the list of adapters of the llama_model changes or a context looks at it.
    std::mutex & adapters_mutex() { return adapters_mutex_; }

private:
    model() = default;

    llama_model * llama_ = nullptr;
    const llama_vocab * vocab_ = nullptr;
    int32_t n_vocab_ = 0;
    bool vocab_only_ = false;
    layer_range present_;
    uint64_t weight_bytes_ = 0;
    gguf_file file_;
    std::string fingerprint_;
    std::mutex adapters_mutex_;
    std::mutex probes_mutex_;
    std::map<int32_t, llmm_kv_probe_result> probes_;      // by page size
};

}  // namespace llmm
