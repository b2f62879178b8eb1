#include "paged_cache.h"
#include "paging.h"

#include "llama-hparams.h"
#include "llama-io.h"
#include "llama-model.h"

#include "ggml-backend.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

namespace llmm {

// How a state of pages begins.
struct state_header {
    char magic[4];
    uint32_t version;
    uint32_t page_tokens;
    uint32_t dim;
    uint32_t n_heads_kv;
    uint32_t n_layers;
    uint32_t n_cells;
    uint32_t n_pages;
};

namespace {

constexpr int32_t most_group_elements = 16384;         // what a tile of queries holds at least one token of

bool paged_layer(const kv_cache_request & r, uint32_t il) {
    return r.hparams.has_kv(il) && (!r.filter || r.filter((int32_t) il));
}

int32_t first_paged_layer(const kv_cache_request & r) {
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        if (paged_layer(r, il)) {
            return (int32_t) il;
        }
    }
    return -1;
}

int32_t n_paged_layers(const kv_cache_request & r) {
    int32_t n = 0;
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        n += paged_layer(r, il);
    }
    return n;
}

constexpr char state_magic[4] = { 'L', 'M', 'P', 'G' };
constexpr uint32_t state_version = 1;

struct state_cell {
    uint32_t index;
    int32_t pos;
};

}  // namespace

// ---- construction -----------------------------------------------------------------------------------------------

std::string paged_cache::unsupported(const kv_cache_request & r) {
    const int32_t first = first_paged_layer(r);
    if (first < 0) {
        return "no layer keeps keys and values for the whole context";
    }
    const uint32_t dim = r.hparams.n_embd_head_k(first), heads = r.hparams.n_head_kv(first);
    if (!r.unified && r.n_seq_max > 1) {
        return "each sequence has a cache of its own";
    }
    if (r.swa_type != LLAMA_SWA_TYPE_NONE || r.mem_other || r.reuse || r.share) {
        return "layers share keys and values or look at a window only";
    }
    if (r.hparams.is_mla() || r.hparams.use_alibi || !r.hparams.causal_attn || r.hparams.n_pos_per_embd() > 1 ||
        r.model.arch == LLM_ARCH_GROK || r.model.arch == LLM_ARCH_DFLASH) {
        return "the architecture's attention is of another kind";
    }
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        if (!paged_layer(r, il)) {
            continue;
        }
        if (r.hparams.n_embd_head_k(il) != dim || r.hparams.n_embd_head_v(il) != dim || r.hparams.n_head_kv(il) != heads) {
            return "heads differ between layers, or keys from values";
        }
        const uint32_t group = r.hparams.n_head(il) / heads;
        if (group == 0 || r.hparams.n_head(il) % heads != 0 || group * dim > most_group_elements) {
            return "the query heads do not divide among the KV heads";
        }
    }
    if (dim % 16 != 0 || dim > (uint32_t) max_head_dim) {
        return "the head dimension is " + std::to_string(dim) + "; pages need a multiple of 16 up to " + std::to_string(max_head_dim);
    }
    if (r.type_k != GGML_TYPE_F16 || r.type_v != GGML_TYPE_F16) {
        return "another type was asked for keys and values";
    }
    return "";
}

paged_cache::paged_cache(const kv_cache_request & r, const kv_settings & settings)
    : llama_kv_cache(r.model, r.hparams, r.type_k, r.type_v, r.v_trans, r.offload, r.unified, r.kv_size, r.n_seq_max, r.n_pad,
                     r.n_swa, r.swa_type, nullptr, [](int32_t) { return false; }, nullptr, nullptr),
      store_(settings, (int32_t) r.hparams.n_embd_head_k(first_paged_layer(r)), (int32_t) r.hparams.n_head_kv(first_paged_layer(r)),
             n_paged_layers(r), (int32_t) ((r.kv_size + settings.page_tokens - 1) / settings.page_tokens)),
      kernels_(kernels()) {
    const float cap = r.hparams.attn_soft_cap ? r.hparams.f_attn_logit_softcapping : 0.0f;
    int32_t index = 0;
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        const bool paged = paged_layer(r, il);
        const int32_t group = paged ? (int32_t) (r.hparams.n_head(il) / r.hparams.n_head_kv(il)) : 0;
        layers_.push_back({ this, paged ? index++ : -1, group, 0.0f, cap, false });
    }
}

paging::paging(const kv_settings & settings) : hooks_(std::make_shared<paging_hooks>(settings)) {}

llama_context * paging::new_context(llama_model * model, const llama_context_params & params) {
    const hooks_scope scope(hooks_);
    return llama_init_from_model(model, params);
}

const std::string & paging::refusal() const {
    return hooks_->refusal();
}

kv_counters paging::counters() const {
    return hooks_->cache() ? hooks_->cache()->counters() : kv_counters{};
}

llama_kv_cache * paging_hooks::new_kv_cache(const kv_cache_request & request) {
    refusal_ = paged_cache::unsupported(request);
    if (!refusal_.empty()) {
        return nullptr;
    }
    cache_ = new paged_cache(request, settings_);
    return cache_;
}

// ---- cells ------------------------------------------------------------------------------------------------------

void paged_cache::describe_page(int32_t page) {
    const auto & cells = v_cells[0];
    const uint32_t begin = (uint32_t) page * store_.shape().page_tokens;
    const uint32_t end = std::min(cells.size(), begin + store_.shape().page_tokens);
    int32_t n = 0, first = 0, last = -1;
    for (uint32_t i = begin; i < end; i++) {
        if (!cells.is_empty(i)) {
            const int32_t pos = cells.pos_get(i);
            first = n == 0 ? pos : std::min(first, pos);
            last = std::max(last, pos);
            n++;
        }
    }
    store_.describe(page, n, first, last);
}

void paged_cache::describe_all() {
    for (int32_t p = 0; p < store_.n_pages(); p++) {
        describe_page(p);
    }
}

void paged_cache::clear(bool data) {
    llama_kv_cache::clear(data);
    describe_all();
}

bool paged_cache::seq_rm(llama_seq_id seq_id, llama_pos p0, llama_pos p1) {
    const bool done = llama_kv_cache::seq_rm(seq_id, p0, p1);
    describe_all();
    return done;
}

void paged_cache::seq_keep(llama_seq_id seq_id) {
    llama_kv_cache::seq_keep(seq_id);
    describe_all();
}

void paged_cache::seq_add(llama_seq_id, llama_pos, llama_pos, llama_pos) {
    throw std::runtime_error("a paged cache cannot shift positions");
}

void paged_cache::seq_div(llama_seq_id, llama_pos, llama_pos, int) {
    throw std::runtime_error("a paged cache cannot divide positions");
}

std::map<ggml_backend_buffer_type_t, size_t> paged_cache::memory_breakdown() const {
    return { { ggml_backend_cpu_buffer_type(), (size_t) store_.counters().bytes_total } };
}

std::vector<int32_t> paged_cache::pages_of(const std::vector<uint32_t> & cells) const {
    std::vector<int32_t> pages;
    for (const uint32_t cell : cells) {
        pages.push_back((int32_t) cell / store_.shape().page_tokens);
    }
    std::sort(pages.begin(), pages.end());
    pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
    return pages;
}

// ---- batches ----------------------------------------------------------------------------------------------------

paged_cache::slot_info_vec_t paged_cache::prepare(const std::vector<llama_ubatch> & ubatches) {
    slot_info_vec_t slots = llama_kv_cache::prepare(ubatches);
    std::vector<uint32_t> cells;
    for (const slot_info & s : slots) {
        cells.insert(cells.end(), s.idxs[0].begin(), s.idxs[0].end());
    }
    return store_.can_reserve(pages_of(cells)) ? slots : slot_info_vec_t{};
}

void paged_cache::llmm_on_apply(const slot_info & sinfo, const llama_ubatch & ubatch) {
    cells_ = sinfo.idxs[0];
    const std::vector<int32_t> pages = pages_of(cells_);
    const int32_t next_pos = *std::min_element(ubatch.pos, ubatch.pos + ubatch.n_tokens);
    store_.demote_aged(next_pos, pages);
    if (!store_.reserve(pages)) {
        throw std::bad_alloc();              // the caller cuts the tokens off again
    }
    for (const int32_t p : pages) {
        describe_page(p);
    }
    plan_visibility(ubatch);
}

void paged_cache::plan_visibility(const llama_ubatch & ubatch) {
    const auto & cells = v_cells[0];
    const uint32_t P = (uint32_t) store_.shape().page_tokens;
    const uint32_t n_tokens = ubatch.n_tokens;
    const llama_pos least = *std::min_element(ubatch.pos, ubatch.pos + n_tokens);
    const int32_t used = (int32_t) ((cells.used_max_p1() + P - 1) / P);
    plan_pages_.clear();
    plan_visible_.clear();
    size_t n_words = 0;
    for (int32_t p = 0; p < used; p++) {
        if (store_.format(p) == page_format::none) {
            continue;
        }
        const uint32_t begin = (uint32_t) p * P, end = std::min(cells.size(), begin + P);
        // The common case: every cell is used, older than all tokens and of the one sequence there is.
        bool plain = end - begin == P && ubatch.n_seqs_unq == 1;
        for (uint32_t i = begin; i < end && plain; i++) {
            plain = !cells.is_empty(i) && cells.pos_get(i) <= least && cells.seq_has(i, ubatch.seq_id_unq[0]);
        }
        const uint64_t * visible = nullptr;
        if (!plain) {
            if (plan_words_.size() == n_words) {
                plan_words_.emplace_back();
            }
            std::vector<uint64_t> & words = plan_words_[n_words];
            words.assign(n_tokens, 0);
            bool any = false;
            for (uint32_t t = 0; t < n_tokens; t++) {
                uint64_t word = 0;
                for (uint32_t i = begin; i < end; i++) {
                    const bool sees = !cells.is_empty(i) && cells.pos_get(i) <= ubatch.pos[t] && cells.seq_has(i, ubatch.seq_id[t][0]);
                    word |= (uint64_t) sees << (i - begin);
                }
                words[t] = word;
                any = any || word != 0;
            }
            if (!any) {
                continue;
            }
            visible = words.data();
            n_words++;
        }
        plan_pages_.push_back(p);
        plan_visible_.push_back(visible);
    }
    const size_t n_layers = (size_t) store_.n_layers();
    plan_views_.resize(n_layers * plan_pages_.size());
    for (size_t l = 0; l < n_layers; l++) {
        const page_view * views = store_.layer((int32_t) l);
        for (size_t i = 0; i < plan_pages_.size(); i++) {
            plan_views_[l * plan_pages_.size() + i] = views[plan_pages_[i]];
        }
    }
}

// ---- graph ------------------------------------------------------------------------------------------------------

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
    layer.cache->attend_layer(layer, q, layer.has_sinks ? dst->src[2] : nullptr, static_cast<float *>(dst->data), (int32_t) q->ne[2],
                             ith);
}

ggml_tensor * paged_cache::llmm_attn(const llm_graph_context & graph, const llama_kv_cache_context *, const attn_args & args) {
    layer_nodes & layer = layers_[(size_t) args.il];
    GGML_ASSERT(layer.index >= 0 && args.k && args.v && !args.kq_b);
    layer.scale = args.kq_scale;
    layer.has_sinks = args.sinks != nullptr;

    ggml_tensor * stored_from[] = { args.k, args.v, args.k_idxs, args.v_idxs };
    ggml_tensor * stored = ggml_custom_4d(graph.ctx0, GGML_TYPE_F32, 1, 1, 1, 1, stored_from, 4, store_node, GGML_N_TASKS_MAX, &layer);
    ggml_build_forward_expand(graph.gf, stored);

    const int64_t n_tokens = args.q->ne[2];
    const int64_t width = args.q->ne[0] * args.q->ne[1];
    const attend_shape shape = { store_.shape(), store_.n_heads_kv(), layer.group, (int32_t) n_tokens };
    ggml_tensor * from[] = { args.q, stored, args.sinks };
    ggml_tensor * out = ggml_custom_4d(graph.ctx0, GGML_TYPE_F32, width * n_tokens + (int64_t) attend_scratch_floats(shape), 1, 1, 1, from,
                                       args.sinks ? 3 : 2, attend_node, GGML_N_TASKS_MAX, &layer);
    ggml_tensor * result = ggml_view_2d(graph.ctx0, out, width, n_tokens, width * sizeof(float), 0);
    ggml_build_forward_expand(graph.gf, result);
    return result;
}

void paged_cache::store(const layer_nodes & layer, const ggml_tensor * k, const ggml_tensor * v, int ith, int nth) {
    if (ith == 0) {
        progress_.reset();                   // for the attend node: a barrier lies between
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

void paged_cache::attend_layer(const layer_nodes & layer, const ggml_tensor * q, const ggml_tensor * sinks, float * out, int32_t n_tokens,
                               int ith) {
    attend_job job{};
    job.shape = { store_.shape(), store_.n_heads_kv(), layer.group, n_tokens };
    job.q = static_cast<const float *>(q->data);
    job.q_token = (ptrdiff_t) (q->nb[2] / sizeof(float));
    job.q_head = (ptrdiff_t) (q->nb[1] / sizeof(float));
    job.scale = layer.scale;
    job.soft_cap = layer.soft_cap;
    job.sinks = sinks ? static_cast<const float *>(sinks->data) : nullptr;
    job.pages = plan_views_.data() + (size_t) layer.index * plan_pages_.size();
    job.strides = store_.strides();
    job.visible = plan_visible_.data();
    job.n_pages = (int32_t) plan_pages_.size();
    job.out = out;
    job.scratch = out + (size_t) n_tokens * job.shape.n_heads() * job.shape.head.dim;
    attend(kernels_, job, progress_, ith);
}

// ---- state ------------------------------------------------------------------------------------------------------

// Cells with their positions, then the pages as they are, layer by layer. Of one sequence, which is the only one.
void paged_cache::state_write(llama_io_write_i & io, llama_seq_id, llama_state_seq_flags) const {
    const auto & cells = v_cells[0];
    std::vector<state_cell> list;
    std::vector<int32_t> pages;
    for (uint32_t i = 0; i < cells.size(); i++) {
        if (!cells.is_empty(i)) {
            list.push_back({ i, cells.pos_get(i) });
            const int32_t page = (int32_t) i / store_.shape().page_tokens;
            if ((pages.empty() || pages.back() != page) && store_.format(page) != page_format::none) {
                pages.push_back(page);
            }
        }
    }
    const state_header h = make_state_header(list.size(), pages.size());
    io.write(&h, sizeof(h));
    io.write(list.data(), list.size() * sizeof(state_cell));
    for (const int32_t page : pages) {
        const int32_t head[2] = { page, (int32_t) store_.format(page) };
        io.write(head, sizeof(head));
        for (int32_t l = 0; l < store_.n_layers(); l++) {
            for (int32_t h = 0; h < store_.n_heads_kv(); h++) {
                io.write(store_.block(l, page, h), block_bytes(store_.shape(), store_.format(page)));
            }
        }
    }
}

void paged_cache::state_read(llama_io_read_i & io, llama_seq_id seq_id, llama_state_seq_flags) {
    const auto check = [](bool holds) {
        if (!holds) {
            throw std::runtime_error("the saved pages do not fit this cache");
        }
    };
    state_header h;
    io.read(&h, sizeof(h));
    const state_header want = make_state_header(h.n_cells, h.n_pages);
    check(std::memcmp(&h, &want, sizeof(h)) == 0 && seq_id <= 0 && n_seq_max == 1);
    auto & cells = v_cells[0];
    check(h.n_cells <= cells.size() && h.n_pages <= (uint32_t) store_.n_pages());
    std::vector<state_cell> list(h.n_cells);
    io.read(list.data(), list.size() * sizeof(state_cell));
    for (size_t i = 0; i < list.size(); i++) {
        check(list[i].index < cells.size() && list[i].pos >= 0 && (i == 0 || list[i].index > list[i - 1].index));
    }
    clear(false);
    try {
        for (const state_cell & c : list) {
            cells.pos_set(c.index, c.pos);
            cells.seq_add(c.index, 0);
        }
        for (uint32_t i = 0; i < h.n_pages; i++) {
            int32_t head[2];
            io.read(head, sizeof(head));
            check(head[0] >= 0 && head[0] < store_.n_pages() && head[1] > 0 && head[1] < page_formats);
            if (!store_.restore(head[0], (page_format) head[1])) {
                throw std::bad_alloc();
            }
            for (int32_t l = 0; l < store_.n_layers(); l++) {
                for (int32_t h = 0; h < store_.n_heads_kv(); h++) {
                    io.read(store_.block(l, head[0], h), block_bytes(store_.shape(), (page_format) head[1]));
                }
            }
        }
    } catch (...) {
        clear(false);
        throw;
    }
    describe_all();
}

state_header paged_cache::make_state_header(size_t n_cells, size_t n_pages) const {
    state_header h{};
    std::memcpy(h.magic, state_magic, sizeof(h.magic));
    h.version = state_version;
    h.page_tokens = (uint32_t) store_.shape().page_tokens;
    h.dim = (uint32_t) store_.shape().dim;
    h.n_heads_kv = (uint32_t) store_.n_heads_kv();
    h.n_layers = (uint32_t) store_.n_layers();
    h.n_cells = (uint32_t) n_cells;
    h.n_pages = (uint32_t) n_pages;
    return h;
}

}  // namespace llmm
