#include "draft_attention.h"

#include "draft_switch.h"

#include "llama-graph.h"
#include "llama-hparams.h"
#include "llama-model.h"

#include <algorithm>
#include <cstring>

namespace llmm {

namespace {

constexpr int most_joined = GGML_MAX_SRC - 1;
constexpr int64_t most_tokens = 2 * most_joined;
constexpr int other_nodes = 48;                        // of a layer, at most

// Sources side by side, each [width].
void join_node(ggml_tensor * dst, int ith, int, void *) {
    if (ith == 0) {
        auto * to = static_cast<char *>(dst->data);
        for (int i = 0; i < GGML_MAX_SRC && dst->src[i]; i++, to += dst->nb[1]) {
            std::memcpy(to, dst->src[i]->data, dst->nb[1]);
        }
    }
}

}  // namespace

draft_cache::draft_cache(const kv_cache_request & r)
    : llama_kv_cache(r.model, r.hparams, r.type_k, r.type_v, r.v_trans, r.offload, r.unified, r.kv_size, r.n_seq_max, r.n_pad,
                     r.n_swa, r.swa_type, r.mem_other, r.filter, r.reuse, r.share) {}

ggml_tensor * draft_cache::llmm_attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args) {
    const int64_t n = args.q->ne[2];
    if (!drafting_ || n < 2 || n > most_tokens || args.kq_b || !args.k || !args.v) {
        return nullptr;
    }
    // Mask rows and, per layer, a view and a product of attention for each token.
    const int64_t layers_left = std::max<int64_t>(1, (int64_t) hparams.n_layer_all - args.il);
    if (graph.cparams.flash_attn && ggml_graph_n_nodes(graph.gf) + n + layers_left * (2 * n + other_nodes) > ggml_graph_size(graph.gf)) {
        return nullptr;
    }
    ggml_build_forward_expand(graph.gf, context->cpy_k(graph.ctx0, args.k, args.k_idxs, args.il));
    ggml_build_forward_expand(graph.gf, context->cpy_v(graph.ctx0, args.v, args.v_idxs, args.il));
    ggml_tensor * k = ggml_permute(graph.ctx0, context->get_k(graph.ctx0, args.il), 0, 2, 1, 3);
    ggml_tensor * v = context->get_v(graph.ctx0, args.il);
    const bool transposed = v->nb[1] > v->nb[2];
    v = ggml_permute(graph.ctx0, v, 0, 2, 1, 3);
    if (graph.cparams.flash_attn == transposed) {
        v = ggml_transpose(graph.ctx0, v);
        v = transposed ? v : ggml_cont(graph.ctx0, v);
    }
    ggml_tensor * out = graph.cparams.flash_attn ? flash(graph, args, k, v) : products(graph, args, k, v);
    ggml_build_forward_expand(graph.gf, out);
    return out;
}

// As build_attn_mha with one token at a time. One step of one token splits long contexts among the threads.
ggml_tensor * draft_cache::flash(const llm_graph_context & graph, const attn_args & args, ggml_tensor * k, ggml_tensor * v) {
    ggml_context * ctx = graph.ctx0;
    const ggml_tensor * q = args.q;
    if (args.il <= last_layer_ || mask_ != args.kq_mask) {     // another graph
        mask_ = args.kq_mask;
        mask_rows_.clear();
        for (int64_t t = 0; t < q->ne[2]; t++) {
            mask_rows_.push_back(ggml_view_2d(ctx, mask_, mask_->ne[0], 1, mask_->nb[1], (size_t) t * mask_->nb[1]));
        }
    }
    last_layer_ = args.il;
    const int64_t width = v->ne[0] * q->ne[1];
    ggml_tensor * joined = nullptr;
    for (int64_t begin = 0; begin < q->ne[2]; begin += most_joined) {
        const auto n = (int) std::min<int64_t>(most_joined, q->ne[2] - begin);
        ggml_tensor * rows[most_joined];
        for (int i = 0; i < n; i++) {
            const auto t = (size_t) (begin + i);
            ggml_tensor * row = ggml_view_4d(ctx, args.q, q->ne[0], 1, q->ne[1], 1, q->nb[2], q->nb[1], q->nb[2], t * q->nb[2]);
            rows[i] = ggml_flash_attn_ext(ctx, row, k, v, mask_rows_[t], args.kq_scale, hparams.f_max_alibi_bias,
                                          hparams.attn_soft_cap ? hparams.f_attn_logit_softcapping : 0.0f);
            ggml_flash_attn_ext_add_sinks(rows[i], args.sinks);
            ggml_prec_set_acc(rows[i], GGML_PREC_F32);
        }
        ggml_tensor * part = ggml_custom_4d(ctx, GGML_TYPE_F32, width, n, 1, 1, rows, n, join_node, 1, nullptr);
        joined = joined ? ggml_concat(ctx, joined, part, 1) : part;
    }
    return joined;
}

// As build_attn_mha with the tokens in the fourth dimension: products with one row each.
ggml_tensor * draft_cache::products(const llm_graph_context & graph, const attn_args & args, ggml_tensor * k, ggml_tensor * v) const {
    ggml_context * ctx = graph.ctx0;
    const ggml_tensor * q = args.q;
    const int64_t n = q->ne[2];
    ggml_tensor * mask = args.kq_mask;
    mask = ggml_view_4d(ctx, mask, mask->ne[0], 1, 1, n, mask->nb[1], mask->nb[1], mask->nb[1], 0);
    ggml_tensor * kq = ggml_mul_mat(ctx, k, ggml_view_4d(ctx, args.q, q->ne[0], 1, q->ne[1], n, q->nb[2], q->nb[1], q->nb[2], 0));
    ggml_prec_set_acc(kq, GGML_PREC_F32);
    if (hparams.attn_soft_cap) {
        kq = ggml_scale(ctx, kq, 1.0f / hparams.f_attn_logit_softcapping);
        kq = ggml_scale(ctx, ggml_tanh(ctx, kq), hparams.f_attn_logit_softcapping);
    }
    kq = ggml_soft_max_ext(ctx, kq, mask, args.kq_scale, hparams.f_max_alibi_bias);
    ggml_soft_max_add_sinks(kq, args.sinks);
    ggml_tensor * out = ggml_permute(ctx, ggml_mul_mat(ctx, v, kq), 0, 2, 1, 3);
    return ggml_cont_2d(ctx, out, out->ne[0] * out->ne[1], n);
}

llama_kv_cache * draft_hooks::new_kv_cache(const kv_cache_request & r) {
    if (r.n_seq_max > 1 || r.hparams.is_mla() || r.model.arch == LLM_ARCH_GROK || r.mem_other) {
        return nullptr;
    }
    cache_ = new draft_cache(r);
    return cache_;
}

draft_switch::draft_switch() : hooks_(std::make_shared<draft_hooks>()) {}

std::shared_ptr<context_hooks> draft_switch::hooks() const {
    return hooks_;
}

void draft_switch::set(bool on) {
    hooks_->set_drafting(on);
}

void draft_hooks::set_drafting(bool on) {
    if (cache_) {
        cache_->set_drafting(on);
    }
}

}  // namespace llmm
