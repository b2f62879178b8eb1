#include "guard.h"
#include "handles.h"

using namespace llmm;

void llmm_model_params_init(llmm_model_params * params) {
    if (params) {
        *params = {};
        params->struct_size = sizeof(*params);
        params->use_mmap = 1;
        params->repack = 1;
    }
}

llmm_status llmm_model_open(const char * path, const llmm_model_params * params, llmm_model ** out) {
    return guard([&] {
        require(out, "out");
        const std::string name = take_path(path, "path");
        const auto p = take_params(params, llmm_model_params_init, "params");
        *out = new llmm_model{ model::open(name, p) };
    });
}

void llmm_model_close(llmm_model * m) {
    delete m;
}

llmm_status llmm_model_info(const llmm_model * m, llmm_buffer ** out) {
    return guard([&] {
        require(m, "model");
        require(out, "out");
        *out = new_buffer(m->impl->info_json());
    });
}

llmm_status llmm_tokenize(const llmm_model * m, const char * text, size_t text_bytes, int32_t add_special,
                          int32_t parse_special, llmm_buffer ** out) {
    return guard([&] {
        require(m, "model");
        require(out, "out");
        const std::string t = take_text(text, text_bytes, "text");
        *out = new_buffer(bytes_of(m->impl->tokenize(t, add_special != 0, parse_special != 0)));
    });
}

llmm_status llmm_detokenize(const llmm_model * m, const int32_t * tokens, int32_t n_tokens, int32_t special,
                            llmm_buffer ** out) {
    return guard([&] {
        require(m, "model");
        require_array(tokens, n_tokens, "tokens");
        require(out, "out");
        *out = new_buffer(m->impl->detokenize({ tokens, (size_t) n_tokens }, special != 0));
    });
}

void llmm_adapter_params_init(llmm_adapter_params * params) {
    if (params) {
        *params = {};
        params->struct_size = sizeof(*params);
    }
}

llmm_status llmm_adapter_open(llmm_model * m, const char * path, const llmm_adapter_params * params, llmm_adapter ** out) {
    return guard([&] {
        require(m, "model");
        require(out, "out");
        const std::string name = take_path(path, "path");
        const auto p = take_params(params, llmm_adapter_params_init, "params");
        *out = new llmm_adapter{ adapter::open(m->impl, name, p) };
    });
}

llmm_status llmm_adapter_info(const llmm_adapter * a, llmm_buffer ** out) {
    return guard([&] {
        require(a, "adapter");
        require(out, "out");
        *out = new_buffer(a->impl->info_json());
    });
}

void llmm_adapter_close(llmm_adapter * a) {
    delete a;
}
