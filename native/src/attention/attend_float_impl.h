// Attention in f32: scores and sums of products in register tiles (rows x 16 tokens, rows x dimensions), keys and values
// taken as f16 or, for many rows and for quantised pages, widened once per 64 tokens into scratch.
#pragma once

#include "codec_impl.h"
#include "softmax_impl.h"

namespace {

constexpr int lane_vectors = 16 / W;                                   // vectors over the 16 tokens of a key block
constexpr int max_tile_blocks = simd::tile_vectors / lane_vectors;     // key blocks in a tile of scores
constexpr int span_tokens = 64;                                        // tokens between two updates of the maximum
constexpr int span_blocks = span_tokens / 16;

// s[r][16 b + t] = q[r] . k[b][.][t] for MR rows and NB key blocks of [dim][16].
template <int MR, int NB, typename E>
inline void score_tile(const float * q, int32_t dim, const E * const * k, float * s) {
    constexpr int NV = NB * lane_vectors;
    vf acc[MR][NV];
    for (int r = 0; r < MR; r++) {
        for (int v = 0; v < NV; v++) {
            acc[r][v] = simd::zero();
        }
    }
    for (int32_t d = 0; d < dim; d++) {
        vf b[NV];
        for (int v = 0; v < NV; v++) {
            b[v] = simd::load(k[v / lane_vectors] + 16 * d + W * (v % lane_vectors));
        }
        for (int r = 0; r < MR; r++) {
            const vf a = simd::set1(q[r * dim + d]);
            for (int v = 0; v < NV; v++) {
                acc[r][v] = simd::fma(a, b[v], acc[r][v]);
            }
        }
    }
    for (int r = 0; r < MR; r++) {
        for (int v = 0; v < NV; v++) {
            simd::store(s + r * span_tokens + W * v, acc[r][v]);
        }
    }
}

// out[r][d0 + ..] += p[r][16 b + t] * v[b][t][d0 + ..] for MR rows and NV vectors of dimensions.
template <int MR, int NV, typename E>
inline void value_tile(const float * p, int32_t dim, const E * const * v, int n_blocks, int32_t d0, ptrdiff_t ahead, float * out) {
    vf acc[MR][NV];
    for (int r = 0; r < MR; r++) {
        for (int j = 0; j < NV; j++) {
            acc[r][j] = simd::load(out + r * dim + d0 + W * j);
        }
    }
    for (int b = 0; b < n_blocks; b++) {
        for (int t = 0; t < 16; t++) {
            const E * row = v[b] + t * dim + d0;
            if constexpr (sizeof(E) == sizeof(uint16_t)) {
                for (int j = 0; j < NV * W; j += 32) {
                    simd::prefetch((const uint8_t *) (row + j) + ahead);
                }
            }
            vf x[NV];
            for (int j = 0; j < NV; j++) {
                x[j] = simd::load(row + W * j);
            }
            for (int r = 0; r < MR; r++) {
                const vf a = simd::set1(p[r * span_tokens + 16 * b + t]);
                for (int j = 0; j < NV; j++) {
                    acc[r][j] = simd::fma(a, x[j], acc[r][j]);
                }
            }
        }
    }
    for (int r = 0; r < MR; r++) {
        for (int j = 0; j < NV; j++) {
            simd::store(out + r * dim + d0 + W * j, acc[r][j]);
        }
    }
}

// The same for keys that come from memory, one block after the other. Four partial sums per score keep the multipliers
// busy. What lies `ahead` bytes from here is read soon: asking for it in step with the work hides the latency of memory,
// which asking for all of it at once does not.
template <int MR>
inline void score_stream(const float * q, int32_t dim, const uint16_t * const * k, int n_blocks, ptrdiff_t ahead, float * s) {
    for (int b = 0; b < n_blocks; b++) {
        for (int lane = 0; lane < 16; lane += W) {
            vf acc[MR][4];
            for (int r = 0; r < MR; r++) {
                for (int j = 0; j < 4; j++) {
                    acc[r][j] = simd::zero();
                }
            }
            for (int32_t d = 0; d < dim; d += 4) {
                simd::prefetch((const uint8_t *) (k[b] + 16 * d) + ahead);
                simd::prefetch((const uint8_t *) (k[b] + 16 * d + 32) + ahead);
                for (int j = 0; j < 4; j++) {
                    const vf x = simd::load(k[b] + 16 * (d + j) + lane);
                    for (int r = 0; r < MR; r++) {
                        acc[r][j] = simd::fma(simd::set1(q[r * dim + d + j]), x, acc[r][j]);
                    }
                }
            }
            for (int r = 0; r < MR; r++) {
                simd::store(s + r * span_tokens + 16 * b + lane,
                            simd::add(simd::add(acc[r][0], acc[r][1]), simd::add(acc[r][2], acc[r][3])));
            }
        }
    }
}

template <int MR, typename E>
void scores(const float * q, int32_t dim, const E * const * k, int n_blocks, float * s) {
    int b = 0;
    if constexpr (max_tile_blocks >= 4) {
        for (; b + 4 <= n_blocks; b += 4) {
            score_tile<MR, 4>(q, dim, k + b, s + 16 * b);
        }
    }
    if constexpr (max_tile_blocks >= 2) {
        for (; b + 2 <= n_blocks; b += 2) {
            score_tile<MR, 2>(q, dim, k + b, s + 16 * b);
        }
    }
    for (; b < n_blocks; b++) {
        score_tile<MR, 1>(q, dim, k + b, s + 16 * b);
    }
}

template <int MR, typename E>
void values(const float * p, int32_t dim, const E * const * v, int n_blocks, ptrdiff_t ahead, float * out) {
    int32_t d = 0;
    for (; d + W * simd::tile_vectors <= dim; d += W * simd::tile_vectors) {
        value_tile<MR, simd::tile_vectors>(p, dim, v, n_blocks, d, ahead, out);
    }
    if constexpr (simd::tile_vectors > lane_vectors) {
        for (; d < dim; d += 16) {
            value_tile<MR, lane_vectors>(p, dim, v, n_blocks, d, ahead, out);
        }
    }
}

// Rows [r0, r0 + MR) over one span.
template <int MR, typename E>
void attend_span(const head_shape & shape, const page_run & run, int first_block, int n_blocks, const E * const * k,
                 const E * const * v, const query_rows & rows, int32_t r0, bool all_visible, ptrdiff_t ahead) {
    const int n = 16 * n_blocks;
    uint64_t bits[MR];
    uint64_t any = 0;
    const uint64_t full = n == 64 ? ~0ull : (1ull << n) - 1;
    for (int r = 0; r < MR; r++) {
        bits[r] = all_visible ? full : visible_bits(run, shape.page_tokens, first_block, n_blocks, (r0 + r) / rows.per_token);
        any |= bits[r];
    }
    if (any == 0) {
        return;
    }
    alignas(64) float s[MR * span_tokens];
    if constexpr (sizeof(E) == sizeof(uint16_t)) {
        score_stream<MR>(rows.q + (size_t) r0 * shape.dim, shape.dim, k, n_blocks, ahead, s);
    } else {
        scores<MR>(rows.q + (size_t) r0 * shape.dim, shape.dim, k, n_blocks, s);
    }
    for (int r = 0; r < MR; r++) {
        float * row = s + r * span_tokens;
        cap_scores(row, n, rows.soft_cap);
        if (bits[r] != full) {
            hide(row, n, bits[r]);
        }
        const softmax_change change = softmax_step(row, n, rows.max[r0 + r], rows.sum[r0 + r]);
        if (change.shrink != 1.0f) {
            scale_row(rows.out + (size_t) (r0 + r) * shape.dim, shape.dim, change.shrink);
        }
        if (rows.page_sum) {                       // few rows: the span is a page
            const ptrdiff_t at = (r0 + r) * rows.page_stride + run.index[first_block * 16 / shape.page_tokens];
            rows.page_sum[at] = change.added;
            rows.page_max[at] = rows.max[r0 + r];
        }
    }
    values<MR>(s, shape.dim, v, n_blocks, ahead, rows.out + (size_t) r0 * shape.dim);
}

template <typename E>
void attend_rows(const head_shape & shape, const page_run & run, int first_block, int n_blocks, const E * const * k,
                 const E * const * v, const query_rows & rows, bool all_visible, ptrdiff_t ahead) {
    for_each_tile(rows.n, [&](auto mr, int32_t r) {
        attend_span<decltype(mr)::value>(shape, run, first_block, n_blocks, k, v, rows, r, all_visible, ahead);
    });
}

void attend_rows_float(const head_shape & shape, page_format format, const page_run & run, const query_rows & rows) {
    const int per_page = shape.page_tokens / 16;
    const int n_blocks = run.n * per_page;
    const size_t block_elements = (size_t) 16 * shape.dim;
    alignas(64) float wide_k[span_tokens * max_head_dim];
    alignas(64) float wide_v[span_tokens * max_head_dim];
    // Few rows read pages from memory as they are: a page at a time is one stream.
    const bool stream = format == page_format::f16 && rows.n <= simd::direct_half_rows;
    const int step = stream ? per_page : span_blocks;
    for (int first = 0; first < n_blocks; first += step) {
        const int n = n_blocks - first < step ? n_blocks - first : step;
        bool all_visible = true;
        for (int b = first; b < first + n; b += 1) {
            all_visible = all_visible && !run.visible[b / per_page];
        }
        if (format == page_format::f16) {
            const uint16_t * k[span_blocks];
            const uint16_t * v[span_blocks];
            for (int b = 0; b < n; b++) {
                const int page = (first + b) / per_page, part = (first + b) % per_page;
                k[b] = (const uint16_t *) run.blocks[page] + part * block_elements;
                v[b] = k[b] + shape.page_tokens * (size_t) shape.dim;
            }
            if (stream) {
                const int page = first / per_page;
                attend_rows(shape, run, first, n, k, v, rows, all_visible, ahead_of(run, page, 4 * elements(shape)));
                continue;
            }
            for (int b = 0; b < n; b++) {
                for (size_t i = 0; i < block_elements; i += W) {
                    simd::store(wide_k + b * block_elements + i, simd::load(k[b] + i));
                    simd::store(wide_v + b * block_elements + i, simd::load(v[b] + i));
                }
            }
        } else {
            for (int b = 0; b < n; b++) {
                const quantized_block block = open_block(shape, run.blocks[(first + b) / per_page]);
                widen(shape, format, block, (first + b) % per_page, wide_k + b * block_elements, wide_v + b * block_elements);
            }
        }
        const float * k[span_blocks];
        const float * v[span_blocks];
        for (int b = 0; b < n; b++) {
            k[b] = wide_k + b * block_elements;
            v[b] = wide_v + b * block_elements;
        }
        attend_rows(shape, run, first, n, k, v, rows, all_visible, 0);
    }
}

}  // namespace
