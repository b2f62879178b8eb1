// llama.cpp's own cache, which lets each token of a draft attend as a step of one token would: a step of several tokens
// multiplies and sums with other kernels, and the activations that follow are rounded to 8 bits, which makes a last-bit
// difference grow until another token is the most probable one.
#pragma once

#include "llmm-hooks.h"

#include <memory>
#include <vector>

namespace llmm {

class draft_cache final : public llama_kv_cache {
public:
    explicit draft_cache(const kv_cache_request & request);

    // While on, steps of several tokens are drafts.
    void set_drafting(bool on) { drafting_ = on; }

    ggml_tensor * llmm_attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args) override;

private:
    ggml_tensor * flash(const llm_graph_context & graph, const attn_args & args, ggml_tensor * k, ggml_tensor * v);
    ggml_tensor * products(const llm_graph_context & graph, const attn_args & args, ggml_tensor * k, ggml_tensor * v) const;

    bool drafting_ = false;
    // The mask's rows, shared by the layers of a graph: a graph has room for so many nodes only.
    std::vector<ggml_tensor *> mask_rows_;
    ggml_tensor * mask_ = nullptr;
    int last_layer_ = -1;
};

// Hooks of a session without pages.
class draft_hooks final : public context_hooks {
public:
    llama_kv_cache * new_kv_cache(const kv_cache_request & request) override;

    void set_drafting(bool on);

private:
    draft_cache * cache_ = nullptr;          // owned by the context; null where the architecture has another kind
};

}  // namespace llmm
