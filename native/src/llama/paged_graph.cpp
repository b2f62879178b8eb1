// The nodes of the paged cache in llama.cpp's graph.
#include "paged_cache.h"

#include "llama-graph.h"

#include <cstring>

namespace llmm {

namespace {
constexpr const char * store_node_name = "llmm_store";
}

bool is_store_node(const ggml_tensor * node) {
    return node->op == GGML_OP_CUSTOM && std::strcmp(node->name, store_node_name) == 0;
}

// Sources: k [dim, heads_kv, tokens], v, k_idxs, v_idxs. The indices are sources only because llama.cpp fills them in
// and needs them allocated; the cells come from the plan.
void store_node(ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & layer = *static_cast<paged_cache::layer_nodes *>(userdata);
    layer.cache->store(layer, dst->src[0], dst->src[1], ith, nth);
}

// Sources: q [dim, heads, tokens], the store node, perhaps sinks [heads].
void attend_node(ggml_tensor * dst, int ith, int, void * userdata) {
    const auto & layer = *static_cast<paged_cache::layer_nodes *>(userdata);
    const ggml_tensor * q = dst->src[0];
    layer.cache->attend_layer(layer, q, layer.has_sinks ? dst->src[2] : nullptr, dst, ith);
}

// Source: the store node.
void gather_node(ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & layer = *static_cast<paged_cache::layer_nodes *>(userdata);
    layer.cache->gather(layer, dst, ith, nth);
}

ggml_tensor * paged_cache::llmm_attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args) {
    layer_nodes & layer = layers_[(size_t) args.il];
    cparams_ = graph.cparams;
    GGML_ASSERT(layer.index >= 0 && args.k && args.v && !args.kq_b);
    layer.scale = args.kq_scale;
    layer.has_sinks = args.sinks != nullptr;

    ggml_tensor * stored_from[] = { args.k, args.v, args.k_idxs, args.v_idxs };
    ggml_tensor * stored = ggml_custom_4d(graph.ctx0, GGML_TYPE_F32, 1, 1, 1, 1, stored_from, 4, store_node, GGML_N_TASKS_MAX, &layer);
    ggml_set_name(stored, store_node_name);
    ggml_build_forward_expand(graph.gf, stored);
    if (store_.settings().exact) {
        return exact_attn(graph, context, args, layer, stored);
    }

    const int64_t n_tokens = args.q->ne[2];
    const int64_t width = args.q->ne[0] * args.q->ne[1];
    ggml_tensor * from[] = { args.q, stored, args.sinks };
    ggml_tensor * out = ggml_custom_4d(graph.ctx0, GGML_TYPE_F32, width * n_tokens + (int64_t) scratch_floats(layer, (int32_t) n_tokens), 1, 1, 1, from,
                                       args.sinks ? 3 : 2, attend_node, GGML_N_TASKS_MAX, &layer);
    ggml_tensor * result = ggml_view_2d(graph.ctx0, out, width, n_tokens, width * sizeof(float), 0);
    ggml_build_forward_expand(graph.gf, result);
    return result;
}

void paged_cache::store(const layer_nodes & layer, const ggml_tensor * k, const ggml_tensor * v, int ith, int nth) {
    if (ith == 0) {
        for (attend_progress & p : progress_) {
            p.reset();                       // for the attend node: a barrier lies between
        }
        if (plan_spilled_ && layer.index + 1 < store_.n_layers()) {
            store_.prefetch(layer.index + 1, plan_pages_);
        }
    }
    const head_shape & shape = store_.shape();
    for (int32_t h = ith; h < store_.n_heads_kv(); h += nth) {
        for (size_t t = 0; t < cells_.size(); t++) {
            const auto row = [&](const ggml_tensor * x) {
                return (const float *) ((const char *) x->data + t * x->nb[2] + h * x->nb[1]);
            };
            const int32_t cell = (int32_t) cells_[t];
            kernels_.store(shape, store_.block(layer.index, cell / shape.page_tokens, h), cell % shape.page_tokens, row(k), row(v));
        }
    }
}

namespace {

// The spilled pages of one layer, as attention wants them.
class spilled_layer final : public page_source {
public:
    spilled_layer(page_store & store, int32_t layer, const std::vector<int32_t> & plan) : store_(store), layer_(layer), plan_(plan) {}

    void fetch(int32_t head, const int32_t * pages, int32_t n, uint8_t * to) override {
        std::vector<int32_t> list(pages, pages + n);
        for (int32_t & p : list) {
            p = plan_[(size_t) p];
        }
        store_.fetch(layer_, head, list.data(), n, to);
    }

private:
    page_store & store_;
    const int32_t layer_;
    const std::vector<int32_t> & plan_;
};

}  // namespace

size_t paged_cache::scratch_floats(const layer_nodes & layer, int32_t n_tokens) const {
    return drafting_ ? n_tokens * attend_scratch_floats(shape_of(layer, 1)) : attend_scratch_floats(shape_of(layer, n_tokens));
}

void paged_cache::attend_layer(const layer_nodes & layer, const ggml_tensor * q, const ggml_tensor * sinks, ggml_tensor * dst, int ith) {
    if (plan_spilled_ && ith >= store_.settings().n_threads) {
        return;                              // there is no staging memory for it; the others do its work
    }
    const auto n_tokens = (int32_t) q->ne[2];
    const int32_t n_jobs = drafting_ ? n_tokens : 1;
    spilled_layer source(store_, layer.index, plan_pages_);
    attend_job job{};
    job.shape = shape_of(layer, n_tokens / n_jobs);
    const size_t out_floats = (size_t) n_tokens * job.shape.n_heads() * job.shape.head.dim;
    GGML_ASSERT((size_t) dst->ne[0] >= out_floats + scratch_floats(layer, n_tokens));
    job.q = static_cast<const float *>(q->data);
    job.q_token = (ptrdiff_t) (q->nb[2] / sizeof(float));
    job.q_head = (ptrdiff_t) (q->nb[1] / sizeof(float));
    job.scale = layer.scale;
    job.soft_cap = layer.soft_cap;
    job.sinks = sinks ? static_cast<const float *>(sinks->data) : nullptr;
    job.pages = plan_views_.data() + (size_t) layer.index * plan_pages_.size();
    job.strides = store_.strides();
    job.visible = drafting_ ? plan_visible_each_.data() : plan_visible_.data();
    job.n_pages = (int32_t) plan_pages_.size();
    job.chosen = pruner_.chosen(layer.index);
    job.out = static_cast<float *>(dst->data);
    job.scratch = job.out + out_floats;
    if (!page_mass_.empty()) {
        job.page_mass = page_mass_.data() + (size_t) layer.index * mass_floats();
        job.mass_scratch = mass_scratch_.data();
    }
    if (!bounds_.empty()) {
        job.omitted_bound = bounds_.data() + (size_t) layer.index * store_.n_heads_kv();
    }
    if (plan_spilled_) {
        job.source = &source;
        job.staging = store_.staging();
    }
    for (int32_t i = 0; i < n_jobs; i++) {
        attend(kernels_, job, progress_[(size_t) i], ith);
        job.q += job.q_token;
        job.visible += plan_pages_.size();
        job.out += out_floats / n_jobs;
        job.scratch += attend_scratch_floats(job.shape);
    }
}

// ---- exact mode -------------------------------------------------------------------------------------------------

// Keys and values as llama.cpp's cache has them, cell by cell, zero where a cell is empty; then its own attention.
ggml_tensor * paged_cache::exact_attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args,
                                      layer_nodes & layer, ggml_tensor * stored) {
    const int64_t dim = store_.shape().dim, heads = store_.n_heads_kv(), n_kv = context->get_n_kv();
    const size_t row = dim * sizeof(uint16_t);
    ggml_tensor * from[] = { stored };
    ggml_tensor * both = ggml_custom_4d(graph.ctx0, GGML_TYPE_F16, dim * heads * n_kv, 2, 1, 1, from, 1, gather_node, GGML_N_TASKS_MAX, &layer);
    ggml_tensor * k = ggml_view_4d(graph.ctx0, both, dim, heads, n_kv, 1, row, row * heads, row * heads * n_kv, 0);
    const size_t v_at = row * heads * n_kv;
    ggml_tensor * v = v_trans ? ggml_view_4d(graph.ctx0, both, n_kv, heads, dim, 1, n_kv * row, n_kv * sizeof(uint16_t), n_kv * row * heads, v_at)
                              : ggml_view_4d(graph.ctx0, both, dim, heads, n_kv, 1, row, row * heads, row * heads * n_kv, v_at);
    return graph.build_attn_mha(args.q, k, v, args.kq_b, args.kq_mask, args.sinks, nullptr, 0, args.kq_scale, args.il);
}

void paged_cache::gather(const layer_nodes & layer, ggml_tensor * out, int ith, int nth) const {
    const head_shape & shape = store_.shape();
    const int32_t D = shape.dim, P = shape.page_tokens, H = store_.n_heads_kv();
    const int64_t n_kv = out->ne[0] / (D * H);
    auto * k = static_cast<uint16_t *>(out->data);
    uint16_t * v = k + out->ne[0];
    std::vector<uint16_t> block(2 * shape.elements());
    std::vector<uint8_t> codes(block_bytes(shape, page_format::f16));
    for (int32_t page = ith; (int64_t) page * P < n_kv; page += nth) {
        const page_format f = page < store_.n_pages() ? store_.layer(layer.index)[page].format : page_format::none;
        for (int32_t h = 0; h < H; h++) {
            bool there = f != page_format::none;
            if (there) {
                auto * to = reinterpret_cast<uint8_t *>(block.data());
                there = store_.read(layer.index, page, h, f == page_format::f16 ? to : codes.data());
                if (there && f != page_format::f16) {
                    kernels_.dequantize(shape, f, codes.data(), to);
                }
            }
            for (int32_t t = 0; t < P && (int64_t) page * P + t < n_kv; t++) {
                const int64_t cell = (int64_t) page * P + t;
                for (int32_t d = 0; d < D; d++) {
                    k[(cell * H + h) * D + d] = there ? block[(size_t) (t / 16) * 16 * D + 16 * d + t % 16] : 0;
                    v[v_trans ? ((int64_t) h * D + d) * n_kv + cell : (cell * H + h) * D + d] = there ? block[shape.elements() + (size_t) t * D + d] : 0;
                }
            }
        }
    }
}

}  // namespace llmm
