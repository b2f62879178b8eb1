#include "model.h"

#include "assert_scope.h"
#include "failure.h"
#include "llama/layer_control.h"
#include "log.h"
#include "utf8.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace llmm {

namespace {

using json = nlohmann::ordered_json;

// llama.cpp asks whether to go on; our callbacks whether to cancel.
struct progress_relay {
    llmm_progress_cb callback;
    void * user_data;
    bool cancelled = false;

    static bool call(float progress, void * data) {
        auto * self = static_cast<progress_relay *>(data);
        self->cancelled = self->cancelled || self->callback(progress, self->user_data) != 0;
        return !self->cancelled;
    }
};

json meta(const gguf_file & file, const std::string & key) {
    const auto at = file.metadata.find(key);
    return at == file.metadata.end() || at->is_object() ? json() : *at;
}

json token_or_null(llama_token token) {
    return token == LLAMA_TOKEN_NULL ? json() : json(token);
}

const char * rope_name(llama_rope_type type) {
    switch (type) {
        case LLAMA_ROPE_TYPE_NONE: return "none";
        case LLAMA_ROPE_TYPE_NORM: return "norm";
        case LLAMA_ROPE_TYPE_NEOX: return "neox";
        default:                   return "multimodal";
    }
}

}  // namespace

std::shared_ptr<model> model::open(const std::string & path, const llmm_model_params & params) {
    start_engine();
    std::shared_ptr<model> m(new model());
    m->file_ = gguf_file::read(path);
    m->file_.check_model();
    m->fingerprint_ = m->file_.fingerprint(path);
    m->vocab_only_ = params.vocab_only != 0;

    llama_model_params mp = llama_model_default_params();
    mp.n_gpu_layers = 0;
    mp.load_mode = params.use_mlock ? (params.use_mmap ? LLAMA_LOAD_MODE_MMAP_MLOCK : LLAMA_LOAD_MODE_MLOCK)
                                    : (params.use_mmap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE);
    mp.check_tensors = params.check_tensors != 0;
    mp.vocab_only = m->vocab_only_;
    mp.use_extra_bufts = params.repack != 0;
    progress_relay relay{ params.progress, params.progress_data };
    if (params.progress) {
        mp.progress_callback = progress_relay::call;
        mp.progress_callback_user_data = &relay;
    }

    const json blocks = meta(m->file_, meta(m->file_, "general.architecture").get<std::string>() + ".block_count");
    const int32_t n_layers = blocks.is_number_integer() ? blocks.get<int32_t>() : 0;
    m->present_ = checked_layers(params.layer_begin, params.layer_end, { 0, n_layers }, "params");

    error_capture errors;
    const assert_scope asserts(LLMM_ERR_MODEL_INVALID);
    m->llama_ = params.layer_begin > 0 || params.layer_end > 0 ? load_layers(path.c_str(), mp, m->present_, n_layers)
                                                                : llama_model_load_from_file(path.c_str(), mp);
    if (!m->llama_) {
        if (relay.cancelled) {
            fail(LLMM_ERR_CANCELLED, "loading %s was cancelled", path.c_str());
        }
        const llmm_status status =
            errors.mentions("unknown model architecture") || errors.mentions("unsupported") || errors.mentions("unknown pre-tokenizer")
                ? LLMM_ERR_MODEL_UNSUPPORTED
            : errors.mentions("failed to allocate") || errors.mentions("unable to allocate") || errors.mentions("bad_alloc")
                ? LLMM_ERR_OUT_OF_MEMORY
                : LLMM_ERR_MODEL_INVALID;
        fail(status, "cannot load %s: %s", path.c_str(), errors.reason("llama.cpp gave no reason").c_str());
    }
    m->vocab_ = llama_model_get_vocab(m->llama_);
    m->n_vocab_ = llama_vocab_n_tokens(m->vocab_);
    m->weight_bytes_ = m->is_partial() ? llmm::weight_bytes(m->llama_, m->present_) : llama_model_size(m->llama_);
    return m;
}

layer_range checked_layers(int32_t begin, int32_t end, layer_range all, const char * name) {
    const layer_range r{ begin == 0 ? all.begin : begin, end == 0 ? all.end : end };
    if (r.begin < all.begin || r.end > all.end || r.begin >= r.end) {
        if (begin == 0 && end == 0) {
            return all;                       // of a file that does not say how many it has
        }
        fail(LLMM_ERR_RANGE, "%s has layers %d to %d; they must lie from %d to %d, the end past the begin", name, r.begin, r.end, all.begin, all.end);
    }
    return r;
}

int32_t model::input_width(const std::string & weight) const {
    for (const gguf_tensor & t : file_.tensors) {
        if (t.name == weight && t.shape.size() >= 2) {
            return (int32_t) t.shape[0];
        }
    }
    fail(LLMM_ERR_INVALID_ARGUMENT, "the model has no weight matrix %s", weight.c_str());
}

model::~model() {
    llama_model_free(llama_);
}

std::string model::info_json() const {
    std::string description(256, 0);
    const int32_t n = llama_model_desc(llama_, &description[0], description.size());
    description.resize((size_t) std::max(0, std::min<int32_t>(n, (int32_t) description.size() - 1)));
    const std::string arch = meta(file_, "general.architecture").get<std::string>();
    const char * chat = llama_model_chat_template(llama_, nullptr);
    // With the vocabulary alone llama.cpp has no layers, and asking it for the first one's heads would be its end.
    const int32_t heads = vocab_only_ ? 0 : llama_model_n_head(llama_);
    const int32_t width = llama_model_n_embd(llama_);
    const auto head_dim = [&](const char * key) {
        const json given = meta(file_, arch + key);
        return given.is_null() && heads > 0 ? json(width / heads) : given;
    };
    json license = meta(file_, "general.license");
    if (license.is_null()) {
        license = meta(file_, "general.license.name");
    }
    // The last word of "llama 134M Q4_1" is what the file type is called.
    const size_t space = description.rfind(' ');
    const bool encoder_only = llama_model_has_encoder(llama_) && !llama_model_has_decoder(llama_);
    json end_tokens = json::array();
    for (int32_t token = 0; token < n_vocab_; token++) {
        if (llama_vocab_is_eog(vocab_, token)) {
            end_tokens.push_back(token);
        }
    }
    return json{
        { "architecture", arch },
        { "name", meta(file_, "general.name") },
        { "description", description },
        { "license", license },
        { "parameters", vocab_only_ ? (uint64_t) file_.parameters() : llama_model_n_params(llama_) },
        { "size_bytes", vocab_only_ ? file_.size_bytes : llama_model_size(llama_) },
        { "quantization", space == std::string::npos ? json() : json(description.substr(space + 1)) },
        { "context_train", llama_model_n_ctx_train(llama_) },
        { "embedding", width },
        { "layers", vocab_only_ ? meta(file_, arch + ".block_count") : json(llama_model_n_layer(llama_)) },
        { "heads", vocab_only_ ? meta(file_, arch + ".attention.head_count") : json(heads) },
        { "heads_kv", vocab_only_ ? meta(file_, arch + ".attention.head_count_kv") : json(llama_model_n_head_kv(llama_)) },
        { "head_dim_k", head_dim(".attention.key_length") },
        { "head_dim_v", head_dim(".attention.value_length") },
        { "vocabulary", n_vocab_ },
        { "sliding_window", llama_model_n_swa(llama_) },
        { "recurrent", llama_model_is_recurrent(llama_) },
        { "hybrid", llama_model_is_hybrid(llama_) },
        { "encoder", llama_model_has_encoder(llama_) },
        { "decoder", llama_model_has_decoder(llama_) && !encoder_only },
        { "rope_type", rope_name(llama_model_rope_type(llama_)) },
        { "bos", token_or_null(llama_vocab_bos(vocab_)) },
        { "eos", token_or_null(llama_vocab_eos(vocab_)) },
        { "end_tokens", end_tokens },
        { "add_bos", llama_vocab_get_add_bos(vocab_) },
        { "add_eos", llama_vocab_get_add_eos(vocab_) },
        { "chat_template", chat ? json(utf8_repair(chat)) : json() },
        { "fingerprint", fingerprint_ },
    }.dump();
}

std::vector<int32_t> model::tokenize(const std::string & text, bool add_special, bool parse_special) const {
    if (llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_NONE) {
        fail(LLMM_ERR_NOT_AVAILABLE, "the model has no vocabulary");
    }
    std::vector<int32_t> tokens(text.size() + 2);     // a token is at least one byte; BOS and EOS come on top
    for (;;) {
        const int32_t n = llama_tokenize(vocab_, text.data(), (int32_t) text.size(), tokens.data(), (int32_t) tokens.size(),
                                         add_special, parse_special);
        if (n == INT32_MIN) {
            fail(LLMM_ERR_RANGE, "the text has more tokens than can be counted");
        }
        if (n >= 0) {
            tokens.resize((size_t) n);
            return tokens;
        }
        tokens.resize((size_t) -n);
    }
}

std::string model::detokenize(span<const int32_t> tokens, bool special) const {
    check_tokens(tokens);
    std::string text(tokens.size() * 8 + 16, 0);
    for (;;) {
        const int32_t n = llama_detokenize(vocab_, tokens.data(), (int32_t) tokens.size(), &text[0], (int32_t) text.size(),
                                           false, special);
        if (n >= 0) {
            text.resize((size_t) n);
            return utf8_repair(text);
        }
        text.resize((size_t) -n);
    }
}

std::string model::piece(int32_t token) const {
    std::string text(32, 0);
    for (;;) {
        const int32_t n = llama_token_to_piece(vocab_, token, &text[0], (int32_t) text.size(), 0, false);
        if (n >= 0) {
            text.resize((size_t) n);
            return text;
        }
        text.resize((size_t) -n);
    }
}

void model::check_tokens(span<const int32_t> tokens) const {
    for (size_t i = 0; i < tokens.size(); i++) {
        if (tokens[i] < 0 || tokens[i] >= n_vocab_) {
            fail(LLMM_ERR_RANGE, "token %d at index %zu is not in the vocabulary of %d", tokens[i], i, n_vocab_);
        }
    }
}

std::optional<llmm_kv_probe_result> model::known_probe(int32_t page_tokens) {
    const std::lock_guard<std::mutex> lock(probes_mutex_);
    const auto found = probes_.find(page_tokens);
    return found == probes_.end() ? std::nullopt : std::make_optional(found->second);
}

void model::keep_probe(int32_t page_tokens, const llmm_kv_probe_result & result) {
    const std::lock_guard<std::mutex> lock(probes_mutex_);
    probes_[page_tokens] = result;
}

}  // namespace llmm
