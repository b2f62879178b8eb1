// Positions of pinned tokens. A conversation that goes on past the length the model was trained for keeps its first
// tokens and the newest ones; what lay between has been evicted. Distances are all that rotary embeddings see, so the
// pinned tokens move up behind the gap, and their keys are turned by as much (StreamingLLM, arXiv 2309.17453, numbers
// positions within the cache anew at each token, which needs keys that have not been turned yet).
#include "paged_cache.h"

#include "llama-hparams.h"
#include "llama-model.h"

#include "ggml-backend.h"
#include "ggml-cpp.h"

#include <algorithm>
#include <cmath>

namespace llmm {

namespace {

// Shifts are rare and long: each rounds the keys to f16 once more.
constexpr int32_t least_shift = 512;

}  // namespace

// Before n_more tokens are added. False: no memory for the pages.
bool paged_cache::keep_pinned_near(int32_t n_more) {
    auto & cells = v_cells[0];
    if (n_seq_max != 1 || cells.get_used() == 0 || !cparams_) {
        return true;
    }
    const auto P = (uint32_t) store_.shape().page_tokens;
    std::vector<int32_t> pinned;
    std::vector<uint32_t> pinned_cells;
    llama_pos first_pinned = 0, last_pinned = -1, first_other = -1;
    for (int32_t page = 0; page < store_.n_pages(); page++) {
        if (store_.format(page) == page_format::none) {
            continue;
        }
        const bool is_pinned = store_.is_pinned(page);
        if (is_pinned) {
            pinned.push_back(page);
        }
        for (uint32_t i = page * P; i < std::min(cells.size(), (page + 1) * P); i++) {
            if (cells.is_empty(i)) {
                continue;
            }
            const llama_pos pos = cells.pos_get(i);
            if (is_pinned) {
                first_pinned = pinned_cells.empty() ? pos : std::min(first_pinned, pos);
                last_pinned = std::max(last_pinned, pos);
                pinned_cells.push_back(i);
            } else {
                first_other = first_other < 0 ? pos : std::min(first_other, pos);
            }
        }
    }
    const llama_pos newest = cells.seq_pos_max(0);
    const auto trained = (llama_pos) hparams.n_ctx_train;
    const llama_pos gap = first_other - last_pinned - 1;
    if (pinned.empty() || first_other < 0 || gap <= 0 || newest + n_more + std::min(least_shift, trained / 4) - first_pinned < trained) {
        return true;
    }
    if (!store_.make_room(pinned) || !store_.reserve(pinned)) {
        return false;
    }
    forget_evicted();
    rotate_keys(pinned, gap);
    for (const uint32_t i : pinned_cells) {
        const llama_pos pos = cells.pos_get(i);
        cells.rm(i);                           // pos_add would ask llama.cpp to turn keys that it does not have
        cells.pos_set(i, pos + gap);
        cells.seq_add(i, 0);
    }
    store_.set_pinned_shift(store_.pinned_shift() + gap);
    for (const int32_t page : pinned) {
        describe_page(page);
    }
    return true;
}

// Turns the keys of f16 pages by a number of positions, in all layers.
void paged_cache::rotate_keys(const std::vector<int32_t> & pages, int32_t shift) {
    if (hparams.rope_type == LLAMA_ROPE_TYPE_NONE) {
        return;
    }
    const head_shape & shape = store_.shape();
    const int64_t D = shape.dim, P = shape.page_tokens, H = store_.n_heads_kv(), n = (int64_t) pages.size() * P;
    const ggml_backend_ptr backend(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    if (!backend) {
        throw std::bad_alloc();
    }
    // The keys of one layer at a time: [D, H, tokens] f32.
    const ggml_init_params params = { ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true };
    std::vector<float> keys((size_t) (D * H * n));
    const std::vector<int32_t> shifts((size_t) n, shift);
    for (size_t il = 0; il < layers_.size(); il++) {
        if (layers_[il].index < 0) {
            continue;
        }
        const auto each = [&](auto && visit) {
            for (size_t i = 0; i < pages.size(); i++) {
                for (int64_t h = 0; h < H; h++) {
                    auto * k = reinterpret_cast<ggml_fp16_t *>(store_.block(layers_[il].index, pages[i], (int32_t) h));
                    for (int64_t t = 0; t < P; t++) {
                        for (int64_t d = 0; d < D; d++) {
                            visit(k[(t / 16) * 16 * D + 16 * d + t % 16], keys[(size_t) (((int64_t) i * P + t) * H + h) * D + d]);
                        }
                    }
                }
            }
        };
        each([](ggml_fp16_t & half, float & x) { x = ggml_fp16_to_fp32(half); });

        const ggml_context_ptr ctx(ggml_init(params));
        ggml_tensor * k = ggml_new_tensor_3d(ctx.get(), GGML_TYPE_F32, D, H, n);
        ggml_tensor * by = ggml_new_tensor_1d(ctx.get(), GGML_TYPE_I32, n);
        const float freq_scale = model.get_rope_freq_scale(*cparams_, (int) il);
        // Magnitude has been scaled when the key was made; once is enough.
        const float magnitude = cparams_->yarn_ext_factor != 0.0f ? 1.0f / (1.0f + 0.1f * std::log(1.0f / freq_scale)) : 1.0f;
        ggml_tensor * turned = ggml_rope_ext(ctx.get(), k, by, model.get_rope_factors(*cparams_, (int) il), (int) hparams.n_rot((uint32_t) il),
                                             hparams.rope_type, (int) cparams_->n_ctx_orig_yarn, model.get_rope_freq_base(*cparams_, (int) il),
                                             freq_scale, cparams_->yarn_ext_factor, magnitude, cparams_->yarn_beta_fast, cparams_->yarn_beta_slow);
        ggml_cgraph * graph = ggml_new_graph(ctx.get());
        ggml_build_forward_expand(graph, turned);
        const ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors(ctx.get(), backend.get()));
        if (!buffer) {
            throw std::bad_alloc();
        }
        ggml_backend_tensor_set(k, keys.data(), 0, keys.size() * sizeof(float));
        ggml_backend_tensor_set(by, shifts.data(), 0, shifts.size() * sizeof(int32_t));
        if (ggml_backend_graph_compute(backend.get(), graph) != GGML_STATUS_SUCCESS) {
            throw std::bad_alloc();
        }
        ggml_backend_tensor_get(turned, keys.data(), 0, keys.size() * sizeof(float));
        each([](ggml_fp16_t & half, float & x) { half = ggml_fp32_to_fp16(x); });
    }
}

}  // namespace llmm
