// The hooks that the patches in third_party/llama.cpp call. llama.cpp's sources include this header, so it names
// their types without including theirs where it can.
//
// Hooks belong to one llama_context. With none installed every function here is the stock behaviour, and the graph,
// the cache and the logits are those of an unpatched build, bit for bit.
#pragma once

#include "llama-arch.h"
#include "llama-kv-cache.h"

#include "layers/layer_range.h"

#include <initializer_list>
#include <memory>
#include <vector>

struct llama_cparams;
class llm_graph_result;
struct llm_graph_context;
struct llama_model_loader;
struct llama_ubatch;

namespace llmm {

class low_rank;

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

    // Called once a graph has been built, before its outputs are marked.
    virtual void finish_graph(llm_graph_context &) {}

    // False: the graph does not fit the next step, and another is built.
    virtual bool can_reuse(llm_graph_result &) { return true; }

    // Called once per ubatch, with inputs set, before the graph runs.
    virtual void before_compute(llm_graph_result &, const llama_ubatch &) {}

    // The layers that the context holds keys and values for.
    virtual layer_range present() const { return {}; }
};

// Several hooks in the place of one.
class hook_chain final : public context_hooks {
public:
    explicit hook_chain(std::vector<std::shared_ptr<context_hooks>> links) : links_(std::move(links)) {}

    llama_kv_cache * new_kv_cache(const kv_cache_request & request) override;
    ggml_tensor * after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il) override;
    void finish_graph(llm_graph_context & graph) override;
    bool can_reuse(llm_graph_result & result) override;
    void before_compute(llm_graph_result & result, const llama_ubatch & ubatch) override;
    layer_range present() const override;

private:
    std::vector<std::shared_ptr<context_hooks>> links_;
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

// While it lives, models that this thread loads leave the weights of all other layers in the file.
class partial_load_scope {
public:
    partial_load_scope(layer_range present, int32_t n_layers);
    ~partial_load_scope();
    partial_load_scope(const partial_load_scope &) = delete;
    partial_load_scope & operator=(const partial_load_scope &) = delete;
};

// The patched places call these.

std::shared_ptr<context_hooks> hooks_of_next_context();

llama_kv_cache * new_kv_cache(
        const llama_model & model, const llama_hparams & hparams, ggml_type type_k, ggml_type type_v, bool v_trans,
        bool offload, bool unified, uint32_t kv_size, uint32_t n_seq_max, uint32_t n_pad, uint32_t n_swa,
        llama_swa_type swa_type, llama_memory_t mem_other, const llama_kv_cache::layer_filter_cb & filter,
        const llama_kv_cache::layer_reuse_cb & reuse, const llama_kv_cache::layer_share_cb & share);

bool next_context_has_layer(int32_t il);

bool is_absent(llm_tensor tensor, int layer, bool is_output_copy);

// Whether the next batch holds tokens that the cache has already, for layers that have not seen them.
bool evaluates_again(const llama_memory_i * memory);

// Store and attention of a layer; null: the stock nodes. Of an absent layer, something of the right shape.
ggml_tensor * attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args);

ggml_tensor * after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il);

void finish_graph(llm_graph_context & graph);

bool can_reuse(const llama_cparams & cparams, llm_graph_result & result);

void before_compute(const llama_cparams & cparams, llm_graph_result & result, const llama_ubatch & ubatch);

// y + scale * B (A x), in the memory of y: see low_rank_adapter.h. The factors outlive the graph.
ggml_tensor * add_low_rank(ggml_context * ctx, const low_rank & factors, ggml_tensor * y, ggml_tensor * x, float scale);

// Weights of which the file has two factors B A in their place (`<name>.lr_a`, `<name>.lr_b`): the tensor that stands for
// one is A, whose only source is B. See factored_weights.cpp.
constexpr const char * factor_a = "weight.lr_a";
constexpr const char * factor_b = "weight.lr_b";

// How many rows A has; 0 if the file has the weight itself, or neither.
int64_t rank_in_place_of(const llama_model_loader & file, const LLM_TN_IMPL & name, std::initializer_list<int64_t> shape);

// Null if either is: tensors that are skipped.
ggml_tensor * join_factors(ggml_tensor * a, ggml_tensor * b);

ggml_tensor * mul_mat(ggml_context * ctx, ggml_tensor * w, ggml_tensor * x);

// Throws std::runtime_error if the graph multiplies by one of two factors alone.
void check_factors(ggml_cgraph * graph);

}  // namespace llmm
