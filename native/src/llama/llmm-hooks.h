// The hooks that the patches in third_party/llama.cpp call. llama.cpp's sources include this header, so it names
// their types without including theirs where it can.
//
// Hooks belong to one llama_context. With none installed every function here is the stock behaviour, and the graph,
// the cache and the logits are those of an unpatched build, bit for bit.
#pragma once

#include "llama-kv-cache.h"

#include <memory>

struct llama_cparams;
class llm_graph_result;
struct llm_graph_context;
struct llama_ubatch;

namespace llmm {

// Arguments of llama_kv_cache's constructor.
struct kv_cache_request {
    const llama_model & model;
    const llama_hparams & hparams;
    ggml_type type_k;
    ggml_type type_v;
    bool v_trans;
    bool offload;
    bool unified;
    uint32_t kv_size;
    uint32_t n_seq_max;
    uint32_t n_pad;
    uint32_t n_swa;
    llama_swa_type swa_type;
    llama_memory_t mem_other;
    const llama_kv_cache::layer_filter_cb & filter;
    const llama_kv_cache::layer_reuse_cb & reuse;
    const llama_kv_cache::layer_share_cb & share;
};

// What llm_graph_context::build_attn was given for one layer. k and v are null where a layer shares another's cache.
struct attn_args {
    ggml_tensor * q;
    ggml_tensor * k;
    ggml_tensor * v;
    ggml_tensor * k_idxs;
    ggml_tensor * v_idxs;
    ggml_tensor * kq_mask;
    ggml_tensor * kq_b;
    ggml_tensor * sinks;
    float kq_scale;
    int il;
};

// Hooks of one context. Every default is the stock behaviour. Called on the thread that drives the context.
class context_hooks {
public:
    virtual ~context_hooks() = default;

    // A cache to use in place of the stock one, or null. Called while the context is created.
    virtual llama_kv_cache * new_kv_cache(const kv_cache_request &) { return nullptr; }

    // Called while a graph is built, at the end of layer il. The result is the next layer's input.
    virtual ggml_tensor * after_layer(const llm_graph_context &, ggml_tensor * cur, int /*il*/) { return cur; }

    // Called once per ubatch, with inputs set, before the graph runs.
    virtual void before_compute(llm_graph_result &, const llama_ubatch &) {}
};

// Hands hooks to the context that this thread creates while the scope lives.
class hooks_scope {
public:
    explicit hooks_scope(std::shared_ptr<context_hooks> hooks);
    ~hooks_scope();
    hooks_scope(const hooks_scope &) = delete;
    hooks_scope & operator=(const hooks_scope &) = delete;

private:
    std::shared_ptr<context_hooks> former_;
};

// The patched places call these.

std::shared_ptr<context_hooks> hooks_of_next_context();

llama_kv_cache * new_kv_cache(
        const llama_model & model, const llama_hparams & hparams, ggml_type type_k, ggml_type type_v, bool v_trans,
        bool offload, bool unified, uint32_t kv_size, uint32_t n_seq_max, uint32_t n_pad, uint32_t n_swa,
        llama_swa_type swa_type, llama_memory_t mem_other, const llama_kv_cache::layer_filter_cb & filter,
        const llama_kv_cache::layer_reuse_cb & reuse, const llama_kv_cache::layer_share_cb & share);

ggml_tensor * after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il);

void before_compute(const llama_cparams & cparams, llm_graph_result & result, const llama_ubatch & ubatch);

}  // namespace llmm
