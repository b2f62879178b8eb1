#include "llmm-hooks.h"

#include "llama-cparams.h"
#include "llama-graph.h"

#include <utility>

namespace llmm {

namespace {
// Set and consumed within one native call: Java may enter with another thread each time.
thread_local std::shared_ptr<context_hooks> next_hooks;
}  // namespace

hooks_scope::hooks_scope(std::shared_ptr<context_hooks> hooks) : former_(std::exchange(next_hooks, std::move(hooks))) {}

hooks_scope::~hooks_scope() {
    next_hooks = std::move(former_);
}

std::shared_ptr<context_hooks> hooks_of_next_context() {
    return next_hooks;
}

llama_kv_cache * new_kv_cache(
        const llama_model & model, const llama_hparams & hparams, ggml_type type_k, ggml_type type_v, bool v_trans,
        bool offload, bool unified, uint32_t kv_size, uint32_t n_seq_max, uint32_t n_pad, uint32_t n_swa,
        llama_swa_type swa_type, llama_memory_t mem_other, const llama_kv_cache::layer_filter_cb & filter,
        const llama_kv_cache::layer_reuse_cb & reuse, const llama_kv_cache::layer_share_cb & share) {
    if (next_hooks) {
        const kv_cache_request request = { model, hparams, type_k, type_v, v_trans, offload, unified, kv_size,
                                           n_seq_max, n_pad, n_swa, swa_type, mem_other, filter, reuse, share };
        if (llama_kv_cache * cache = next_hooks->new_kv_cache(request)) {
            return cache;
        }
    }
    return new llama_kv_cache(model, hparams, type_k, type_v, v_trans, offload, unified, kv_size, n_seq_max, n_pad,
                              n_swa, swa_type, mem_other, filter, reuse, share);
}

ggml_tensor * after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il) {
    const auto & hooks = graph.cparams.llmm_hooks;
    return hooks ? hooks->after_layer(graph, cur, il) : cur;
}

void before_compute(const llama_cparams & cparams, llm_graph_result & result, const llama_ubatch & ubatch) {
    if (cparams.llmm_hooks) {
        cparams.llmm_hooks->before_compute(result, ubatch);
    }
}

}  // namespace llmm
