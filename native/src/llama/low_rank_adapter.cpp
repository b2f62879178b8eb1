#include "low_rank_adapter.h"

#include "llmm-hooks.h"

#include "attention/kernel_table.h"

#include "llama-adapter.h"
#include "llama-graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace llmm {

// ---- the node -----------------------------------------------------------------------------------------------------

namespace {

// ggml keeps a function, a number and a pointer of a custom node here. The strength comes last.
constexpr size_t scale_at = GGML_MAX_OP_PARAMS - sizeof(float);
static_assert(scale_at >= 32, "no room for the strength");

// Sources: y, whose memory it shares, and x.
void add_low_rank_node(ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & factors = *static_cast<const low_rank *>(userdata);
    const ggml_tensor * x = dst->src[1];
    float scale;
    std::memcpy(&scale, (const char *) dst->op_params + scale_at, sizeof(scale));

    // Few rows are cut by outputs, and every thread makes its own A x, which costs less than to wait for the others'.
    const int64_t rows = dst->ne[1];
    const bool by_rows = rows >= 4 * nth;
    const auto part = [&](int64_t n, bool cut, int i) { return cut ? n * i / nth : i > ith ? n : 0; };
    const int64_t row_begin = part(rows, by_rows, ith), row_end = part(rows, by_rows, ith + 1);
    const int32_t begin = (int32_t) part(factors.n_blocks(), !by_rows, ith), end = (int32_t) part(factors.n_blocks(), !by_rows, ith + 1);
    if (row_begin == row_end || begin == end) {
        return;
    }
    for (int64_t k = 0; k < dst->ne[2] * dst->ne[3]; k++) {
        const int64_t i2 = k % dst->ne[2], i3 = k / dst->ne[2];
        const char * from = (const char *) x->data + row_begin * x->nb[1] + i2 * x->nb[2] + i3 * x->nb[3];
        char * to = (char *) dst->data + row_begin * dst->nb[1] + i2 * dst->nb[2] + i3 * dst->nb[3];
        kernels().add_low_rank(factors.view(), scale, (const float *) from, (ptrdiff_t) (x->nb[1] / sizeof(float)), (float *) to,
                               (ptrdiff_t) (dst->nb[1] / sizeof(float)), (int32_t) (row_end - row_begin), begin, end);
    }
}

}  // namespace

ggml_tensor * add_low_rank(ggml_context * ctx, const low_rank & factors, ggml_tensor * y, ggml_tensor * x, float scale) {
    GGML_ASSERT(x->type == GGML_TYPE_F32 && y->type == GGML_TYPE_F32 && x->ne[0] == factors.view().n_in && y->ne[0] == factors.view().n_out);
    ggml_tensor * sum = ggml_custom_inplace(ctx, y, &x, 1, add_low_rank_node, GGML_N_TASKS_MAX, const_cast<low_rank *>(&factors));
    std::memcpy((char *) sum->op_params + scale_at, &scale, sizeof(scale));
    return sum;
}

// ---- adapters -----------------------------------------------------------------------------------------------------

namespace {

bool is_ours(const std::string & name, const llama_adapter_lora_weight & w) {
    const std::string embeddings = "token_embd.weight";          // its factors are the other way round
    const bool embeds = name.size() >= embeddings.size() && name.compare(name.size() - embeddings.size(), embeddings.size(), embeddings) == 0;
    const auto readable = [](const ggml_tensor * t) {
        return t->buffer && ggml_backend_buffer_is_host(t->buffer) && t->ne[2] == 1 && t->ne[3] == 1 &&
               (t->type == GGML_TYPE_F32 || ggml_get_type_traits(t->type)->to_float);
    };
    return !embeds && readable(w.a) && readable(w.b);
}

std::vector<float> numbers_of(const ggml_tensor * t) {
    std::vector<float> x((size_t) ggml_nelements(t));
    if (t->type == GGML_TYPE_F32) {
        std::memcpy(x.data(), t->data, x.size() * sizeof(float));
    } else {
        ggml_get_type_traits(t->type)->to_float(t->data, x.data(), (int64_t) x.size());
    }
    return x;
}

bool all_finite(const std::vector<float> & x) {
    return std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); });
}

low_rank_type type_for(const llama_adapter_lora_weight & w, bool small) {
    return small ? low_rank_type::i8
         : w.a->type == GGML_TYPE_F32 || w.b->type == GGML_TYPE_F32 ? low_rank_type::f32
                                                                     : low_rank_type::f16;
}

using taken_factors = std::map<std::string, std::shared_ptr<const low_rank>>;      // by the name of the matrix

// Leaves of llama.cpp's tensors the shapes, and the data of those that are still in use.
void hand_over(llama_adapter_lora & adapter, taken_factors & taken) {
    const ggml_init_params params = { (2 * adapter.ab_map.size() + 1) * ggml_tensor_overhead(), nullptr, true };
    std::map<ggml_backend_buffer_type_t, ggml_context_ptr> contexts;
    ggml_context_ptr shapes(ggml_init(params));
    std::map<std::string, llama_adapter_lora_weight> copies;
    const auto copy = [&](const ggml_tensor * t, bool with_data) {
        ggml_context_ptr * ctx = &shapes;
        if (with_data) {
            ctx = &contexts[ggml_backend_buffer_get_type(t->buffer)];
            if (!*ctx) {
                ctx->reset(ggml_init(params));
            }
        }
        ggml_tensor * c = ggml_dup_tensor(ctx->get(), t);
        ggml_set_name(c, t->name);
        return c;
    };
    for (auto & [name, w] : adapter.ab_map) {
        const bool with_data = taken.count(name) == 0;
        copies[name] = { copy(w.a, with_data), copy(w.b, with_data) };
    }
    std::vector<ggml_backend_buffer_ptr> buffers;
    for (auto & [type, ctx] : contexts) {
        buffers.emplace_back(ggml_backend_alloc_ctx_tensors_from_buft(ctx.get(), type));
        if (!buffers.back()) {
            throw std::bad_alloc();
        }
    }
    for (auto & [name, w] : adapter.ab_map) {
        if (taken.count(name) == 0) {
            ggml_backend_tensor_copy(w.a, copies[name].a);
            ggml_backend_tensor_copy(w.b, copies[name].b);
        }
    }
    for (auto & [name, w] : adapter.ab_map) {
        w.a = copies[name].a;
        w.b = copies[name].b;
        const auto own = taken.find(name);
        if (own != taken.end()) {
            w.llmm_low_rank = std::move(own->second);
        }
    }
    adapter.bufs = std::move(buffers);
    adapter.ctxs.clear();
    adapter.ctxs.push_back(std::move(shapes));
    for (auto & [type, ctx] : contexts) {
        adapter.ctxs.push_back(std::move(ctx));
    }
}

}  // namespace

low_rank_summary summary_of(const llama_adapter_lora & adapter) {
    low_rank_summary s;
    for (const auto & [name, w] : adapter.ab_map) {
        const auto & own = w.llmm_low_rank;
        s.matrices++;
        s.own += own != nullptr;
        s.rank = std::max(s.rank, own ? own->view().rank : (int32_t) w.b->ne[0]);
        s.file_rank = std::max(s.file_rank, (int32_t) w.b->ne[0]);
        s.bytes += own ? own->bytes() : ggml_nbytes(w.a) + ggml_nbytes(w.b);
    }
    return s;
}

void apply_by_own_nodes(llama_adapter_lora & adapter, int32_t rank, bool small) {
    taken_factors taken;
    for (const auto & [name, w] : adapter.ab_map) {
        const int64_t all = w.b->ne[0];
        const int64_t wanted = rank > 0 ? std::min<int64_t>(rank, all) : all;
        if (!is_ours(name, w) || wanted > max_low_rank) {
            if (wanted < all) {
                throw std::domain_error("the factors of " + name + " cannot be cut to rank " + std::to_string(rank));
            }
            continue;
        }
        const std::vector<float> a = numbers_of(w.a), b = numbers_of(w.b);
        if (!all_finite(a) || !all_finite(b)) {
            throw std::invalid_argument("the factors of " + name + " are not all finite numbers");
        }
        taken[name] = std::make_shared<low_rank>(type_for(w, small), (int32_t) w.a->ne[0], (int32_t) w.b->ne[1], (int32_t) wanted, a.data(),
                                                 b.data(), (int32_t) all);
    }
    hand_over(adapter, taken);
}

}  // namespace llmm
