#include "llmm-hooks.h"

#include "llama-cparams.h"
#include "llama-graph.h"

#include <algorithm>
#include <utility>

namespace llmm {

namespace {
// Set and consumed within one native call: Java may enter with another thread each time.
thread_local std::shared_ptr<context_hooks> next_hooks;
thread_local layer_range present_layers;
thread_local int32_t present_of = 0;         // layers of the model that is loaded in part; 0: models are loaded whole
}  // namespace

hooks_scope::hooks_scope(std::shared_ptr<context_hooks> hooks) : former_(std::exchange(next_hooks, std::move(hooks))) {}

hooks_scope::~hooks_scope() {
    next_hooks = std::move(former_);
}

partial_load_scope::partial_load_scope(layer_range present, int32_t n_layers) {
    present_layers = present;
    present_of = n_layers;
}

partial_load_scope::~partial_load_scope() {
    present_of = 0;
}

bool evaluates_again(const llama_memory_i * memory) {
    const auto * cache = dynamic_cast<const llama_kv_cache *>(memory);
    return cache && cache->llmm_evaluates_again();
}

bool is_absent(llm_tensor tensor, int layer, bool is_output_copy) {
    if (present_of == 0) {
        return false;
    }
    if (layer >= 0) {
        return !present_layers.has(layer);
    }
    // Embeddings belong to the first layer, what stands outside of the layers otherwise to the last.
    return tensor == LLM_TENSOR_TOKEN_EMBD && !is_output_copy ? !present_layers.has(0) : !present_layers.has(present_of - 1);
}

bool next_context_has_layer(int32_t il) {
    return !next_hooks || next_hooks->present().has(il);
}

ggml_tensor * attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args) {
    const auto & hooks = graph.cparams.llmm_hooks;
    if (hooks && !hooks->present().has(args.il)) {
        ggml_tensor * q = ggml_cont(graph.ctx0, args.q);
        return ggml_reshape_2d(graph.ctx0, q, q->ne[0] * q->ne[1], q->ne[2]);
    }
    return context->get_kv()->llmm_attn(graph, context, args);
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

void finish_graph(llm_graph_context & graph) {
    check_factors(graph.gf);
    if (graph.cparams.llmm_hooks) {
        graph.cparams.llmm_hooks->finish_graph(graph);
    }
}

bool can_reuse(const llama_cparams & cparams, llm_graph_result & result) {
    return !cparams.llmm_hooks || cparams.llmm_hooks->can_reuse(result);
}

void before_compute(const llama_cparams & cparams, llm_graph_result & result, const llama_ubatch & ubatch) {
    if (cparams.llmm_hooks) {
        cparams.llmm_hooks->before_compute(result, ubatch);
    }
}

// ---- several in the place of one ----------------------------------------------------------------------------------

llama_kv_cache * hook_chain::new_kv_cache(const kv_cache_request & request) {
    for (const auto & link : links_) {
        if (llama_kv_cache * cache = link->new_kv_cache(request)) {
            return cache;
        }
    }
    return nullptr;
}

ggml_tensor * hook_chain::after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il) {
    for (const auto & link : links_) {
        cur = link->after_layer(graph, cur, il);
    }
    return cur;
}

void hook_chain::finish_graph(llm_graph_context & graph) {
    for (const auto & link : links_) {
        link->finish_graph(graph);
    }
}

bool hook_chain::can_reuse(llm_graph_result & result) {
    return std::all_of(links_.begin(), links_.end(), [&](const auto & link) { return link->can_reuse(result); });
}

void hook_chain::before_compute(llm_graph_result & result, const llama_ubatch & ubatch) {
    for (const auto & link : links_) {
        link->before_compute(result, ubatch);
    }
}

layer_range hook_chain::present() const {
    layer_range all;
    for (const auto & link : links_) {
        all = all.common(link->present());
    }
    return all;
}

}  // namespace llmm
