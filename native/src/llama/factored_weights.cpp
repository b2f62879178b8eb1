// Weights that are two factors in the file (llm-mobile compress --mode replace; SVD-LLM, arXiv 2403.07378).
#include "llmm-hooks.h"

#include "llama-model-loader.h"

#include <cstring>
#include <stdexcept>
#include <string>

namespace llmm {

namespace {

bool is_factored(const ggml_tensor * w) {
    return w->op == GGML_OP_NONE && w->src[0] != nullptr;
}

}  // namespace

int64_t rank_in_place_of(const llama_model_loader & file, const LLM_TN_IMPL & name, std::initializer_list<int64_t> shape) {
    if (shape.size() != 2 || name.suffix == nullptr || std::strcmp(name.suffix, "weight") != 0 || name.bid < 0) {
        return 0;
    }
    const ggml_tensor * a = file.get_tensor_meta(LLM_TN_IMPL(name.arch, name.tensor, factor_a, name.bid, name.xid).str().c_str());
    return a && !file.get_tensor_meta(name.str().c_str()) ? a->ne[1] : 0;
}

ggml_tensor * join_factors(ggml_tensor * a, ggml_tensor * b) {
    if (!a || !b) {
        return nullptr;
    }
    a->src[0] = b;
    return a;
}

ggml_tensor * mul_mat(ggml_context * ctx, ggml_tensor * w, ggml_tensor * x) {
    ggml_tensor * y = ggml_mul_mat(ctx, w, x);
    return is_factored(w) ? ggml_mul_mat(ctx, w->src[0], y) : y;
}

// Architectures multiply by most weights through build_lora_mm, and by a few by themselves.
void check_factors(ggml_cgraph * graph) {
    const int n = ggml_graph_n_nodes(graph);
    for (int i = 0; i < n; i++) {
        const ggml_tensor * node = ggml_graph_node(graph, i);
        for (int s = 0; s < GGML_MAX_SRC; s++) {
            const ggml_tensor * w = node->src[s];
            if (!w || !is_factored(w)) {
                continue;
            }
            const ggml_tensor * next = i + 1 < n ? ggml_graph_node(graph, i + 1) : nullptr;
            const bool goes_on = next && next->op == GGML_OP_MUL_MAT && next->src[0] == w->src[0] && next->src[1] == node;
            if (node->op != GGML_OP_MUL_MAT || s != 0 || !goes_on) {
                throw std::runtime_error(std::string("this architecture uses ") + w->name + " in a way that two factors cannot stand for");
            }
        }
    }
}

}  // namespace llmm
