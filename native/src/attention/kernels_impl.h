// The kernels, written once over the vector type `simd` that the including file has defined: simd_avx512.h and its
// siblings. Everything is in an anonymous namespace and no inline function of another header is called in a loop, so
// that no copy compiled for a newer CPU can end up in code for an older one.
//
// Two ways to attend:
// - attend_rows_float: scores and sums of f32 products in register tiles (rows x 16 tokens, rows x dimensions), keys
//   and values taken as f16 or, for many rows and for quantised pages, widened once per 64 tokens into scratch.
// - attend_rows_q4: for the few rows of decoding, products of small integers straight from the codes. Queries are
//   rounded to 8 bits after taking in the channels' scales, softmax weights to 8 bits per page after taking in the
//   tokens' scales.
#pragma once

#include "kernel_table.h"

namespace {

using namespace llmm;
using vf = simd::vf;
using vi = simd::vi;

constexpr int W = simd::width;
constexpr int lane_vectors = 16 / W;                                   // vectors over the 16 tokens of a key block
constexpr int max_tile_blocks = simd::tile_vectors / lane_vectors;     // key blocks in a tile of scores
constexpr int span_tokens = 64;                                        // tokens between two updates of the maximum
constexpr int span_blocks = span_tokens / 16;
constexpr int chunk_tokens = 512;                                      // the same for attend_rows_q4
constexpr int few_rows = 8;
constexpr size_t prefetch_bytes = 8192;
constexpr float minus_infinity = -__builtin_inff();

// head_shape::elements() for this instruction set alone.
inline size_t elements(const head_shape & s) {
    return (size_t) s.dim * s.page_tokens;
}

// e^x for x <= 0: 2^n times a Taylor polynomial of the rest, which is at most ln(2)/2; relative error below 3e-7.
inline vf exp_negative(vf x) {
    const vf limit = simd::set1(-87.0f);
    const vf at = simd::max(x, limit);
    const vf n = simd::round(simd::mul(at, simd::set1(1.44269504f)));
    vf r = simd::fma(n, simd::set1(-0.693359375f), at);
    r = simd::fma(n, simd::set1(2.12194440e-4f), r);
    vf p = simd::set1(1.0f / 720);
    p = simd::fma(p, r, simd::set1(1.0f / 120));
    p = simd::fma(p, r, simd::set1(1.0f / 24));
    p = simd::fma(p, r, simd::set1(1.0f / 6));
    p = simd::fma(p, r, simd::set1(0.5f));
    p = simd::fma(p, r, simd::set1(1.0f));
    p = simd::fma(p, r, simd::set1(1.0f));
    return simd::below_to_zero(x, limit, simd::ldexp(p, n));
}

inline float exp_negative(float x) {
    float lanes[W];
    simd::store(lanes, exp_negative(simd::set1(x)));
    return lanes[0];
}

// cap * tanh(x / cap); tanh |y| = (1 - e^-2|y|) / (1 + e^-2|y|).
inline vf soft_cap(vf x, float cap) {
    const vf y = simd::mul(x, simd::set1(1.0f / cap));
    const vf size = simd::abs(y);
    const vf e = exp_negative(simd::mul(size, simd::set1(-2.0f)));
    const vf t = simd::div(simd::sub(simd::set1(1.0f), e), simd::add(simd::set1(1.0f), e));
    // the sign: y / |y|, and 0 for 0
    const vf sign = simd::div(y, simd::max(size, simd::set1(1e-30f)));
    return simd::mul(simd::mul(t, sign), simd::set1(cap));
}

// ---- scores to weights ------------------------------------------------------------------------------------------

// Which of up to 64 tokens a row sees, as bits.
inline uint64_t visible_bits(const page_run & run, int32_t page_tokens, int first_block, int n_blocks, int32_t token) {
    uint64_t bits = 0;
    const int per_page = page_tokens / 16;
    for (int b = 0; b < n_blocks; b++) {
        const int block = first_block + b;
        const uint64_t * words = run.visible[block / per_page];
        const uint64_t word = words ? words[token] : ~0ull;
        bits |= (word >> 16 * (block % per_page) & 0xFFFF) << 16 * b;
    }
    return bits;
}

// n scores (a multiple of 16) of one row become weights and enter maximum and sum. Returns the factor by which what was
// gathered before shrinks.
inline float softmax_step(float * s, int n, float & row_max, float & row_sum) {
    vf top = simd::set1(minus_infinity);
    for (int i = 0; i < n; i += W) {
        top = simd::max(top, simd::load(s + i));
    }
    const float highest = simd::reduce_max(top);
    if (highest == minus_infinity) {
        for (int i = 0; i < n; i += W) {
            simd::store(s + i, simd::zero());
        }
        return 1.0f;
    }
    float shrink = 1.0f;
    if (highest > row_max) {
        shrink = exp_negative(row_max - highest);      // 0 for the first
        row_max = highest;
    }
    const vf m = simd::set1(row_max);
    vf sum = simd::zero();
    for (int i = 0; i < n; i += W) {
        const vf e = exp_negative(simd::sub(simd::load(s + i), m));
        simd::store(s + i, e);
        sum = simd::add(sum, e);
    }
    row_sum = row_sum * shrink + simd::reduce_add(sum);
    return shrink;
}

inline void cap_scores(float * s, int n, float cap) {
    for (int i = 0; i < n && cap > 0; i += W) {
        simd::store(s + i, soft_cap(simd::load(s + i), cap));
    }
}

inline void hide(float * s, int n, uint64_t bits) {
    const vf hidden = simd::set1(minus_infinity);
    for (int i = 0; i < n; i += W) {
        simd::store(s + i, simd::masked(simd::load(s + i), (uint32_t) (bits >> i), hidden));
    }
}

inline void scale_row(float * x, int32_t dim, float by) {
    const vf f = simd::set1(by);
    for (int32_t d = 0; d < dim; d += W) {
        simd::store(x + d, simd::mul(simd::load(x + d), f));
    }
}

// ---- register tiles ---------------------------------------------------------------------------------------------

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
        const float shrink = softmax_step(row, n, rows.max[r0 + r], rows.sum[r0 + r]);
        if (shrink != 1.0f) {
            scale_row(rows.out + (size_t) (r0 + r) * shape.dim, shape.dim, shrink);
        }
    }
    values<MR>(s, shape.dim, v, n_blocks, ahead, rows.out + (size_t) r0 * shape.dim);
}

template <int N>
struct count {
    static constexpr int value = N;
};

template <typename E>
void attend_rows(const head_shape & shape, const page_run & run, int first_block, int n_blocks, const E * const * k,
                 const E * const * v, const query_rows & rows, bool all_visible, ptrdiff_t ahead) {
    int32_t r = 0;
    const auto go = [&](auto mr) {
        constexpr int MR = decltype(mr)::value;
        attend_span<MR>(shape, run, first_block, n_blocks, k, v, rows, r, all_visible, ahead);
        r += MR;
    };
    while (rows.n - r >= simd::tile_rows) { go(count<simd::tile_rows>{}); }
    if constexpr (simd::tile_rows > 4) {
        if (rows.n - r >= 4) { go(count<4>{}); }
    }
    if constexpr (simd::tile_rows > 3) {
        if (rows.n - r >= 3) { go(count<3>{}); }
    }
    if constexpr (simd::tile_rows > 2) {
        if (rows.n - r >= 2) { go(count<2>{}); }
    }
    if (rows.n - r >= 1) { go(count<1>{}); }
}

// ---- codes to numbers -------------------------------------------------------------------------------------------

struct quantized_block {
    quantized_header h;
    const uint8_t * k_scale;
    const int8_t * k_min;
    const uint8_t * v_scale;
    const int8_t * v_min;
    const uint8_t * k_codes;
    const uint8_t * v_codes;
};

inline quantized_block open_block(const head_shape & s, const uint8_t * data) {
    quantized_block b;
    __builtin_memcpy(&b.h, data, sizeof(b.h));
    b.k_scale = data + sizeof(b.h);
    b.k_min   = (const int8_t *) b.k_scale + s.dim;
    b.v_scale = b.k_scale + 2 * s.dim;
    b.v_min   = (const int8_t *) b.v_scale + s.page_tokens;
    b.k_codes = data + (sizeof(quantized_header) + 2 * (size_t) s.dim + 2 * (size_t) s.page_tokens + 63) / 64 * 64;
    b.v_codes = b.k_codes + elements(s) / 2;
    return b;
}

// Four neighbours of codes, as they lie in the bytes of each lane: to[j][..] = least[j] + scale[j] * code.
template <int Shift, int Mask>
inline void widen_four(vi x, const float * least, const float * scale, float * to, ptrdiff_t stride) {
    const auto one = [&](int j, vf code) {
        simd::store(to + j * stride, simd::fma(code, simd::set1(scale[j]), simd::set1(least[j])));
    };
    one(0, simd::lane_field<Shift, Mask>(x));
    one(1, simd::lane_field<8 + Shift, Mask>(x));
    one(2, simd::lane_field<16 + Shift, Mask>(x));
    one(3, simd::lane_field<24 + Shift, Mask>(x));
}

// One key block of 16 tokens, [dim][16] f32, and its values, [16][dim] f32.
void widen(const head_shape & s, page_format f, const quantized_block & b, int block, float * k, float * v) {
    float scale[max_head_dim], least[max_head_dim];
    for (int32_t d = 0; d < s.dim; d += W) {
        simd::store(scale + d, simd::mul(simd::load(b.k_scale + d), simd::set1(b.h.k_scale)));
        simd::store(least + d, simd::mul(simd::load(b.k_min + d), simd::set1(b.h.k_min)));
    }
    const uint8_t * codes = b.k_codes + (size_t) block * s.dim * 8;
    for (int32_t d = 0; d < s.dim; d += 8, codes += 64) {
        for (int lane = 0; lane < 16; lane += W) {
            const vi x = simd::load_bytes(codes + 4 * lane);
            widen_four<0, 15>(x, least + d, scale + d, k + 16 * d + lane, 16);
            widen_four<4, 15>(x, least + d + 4, scale + d + 4, k + 16 * (d + 4) + lane, 16);
        }
    }
    for (int t = 0; t < 16; t += W) {
        simd::store(scale + t, simd::mul(simd::load(b.v_scale + 16 * block + t), simd::set1(b.h.v_scale)));
        simd::store(least + t, simd::mul(simd::load(b.v_min + 16 * block + t), simd::set1(b.h.v_min)));
    }
    const int per_row = f == page_format::q4 ? 8 : 16;                 // tokens in 64 bytes of codes
    const ptrdiff_t n = s.dim;
    for (int32_t d = 0; d < s.dim; d += 16) {
        const uint8_t * row = b.v_codes + ((size_t) (d / 16) * (s.page_tokens / per_row) + 16 * block / per_row) * 64;
        for (int lane = 0; lane < 16; lane += W) {
            float * to = v + d + lane;
            const vi x = simd::load_bytes(row + 4 * lane);
            if (f == page_format::q4) {
                const vi y = simd::load_bytes(row + 64 + 4 * lane);
                widen_four<0, 15>(x, least, scale, to, n);
                widen_four<4, 15>(x, least + 4, scale + 4, to + 4 * n, n);
                widen_four<0, 15>(y, least + 8, scale + 8, to + 8 * n, n);
                widen_four<4, 15>(y, least + 12, scale + 12, to + 12 * n, n);
            } else {
                widen_four<0, 3>(x, least, scale, to, n);
                widen_four<2, 3>(x, least + 4, scale + 4, to + 4 * n, n);
                widen_four<4, 3>(x, least + 8, scale + 8, to + 8 * n, n);
                widen_four<6, 3>(x, least + 12, scale + 12, to + 12 * n, n);
            }
        }
    }
}

// How far from page `at` to ask for memory: about prefetch_bytes further in the order of reading.
inline ptrdiff_t ahead_of(const page_run & run, int at, size_t page_bytes) {
    if (page_bytes >= prefetch_bytes) {
        return prefetch_bytes;
    }
    const int next = at + (int) (prefetch_bytes / page_bytes);
    return next < run.n ? run.blocks[next] - run.blocks[at] : 0;
}

// ---- attending in f32 -------------------------------------------------------------------------------------------

void attend_rows_float(const head_shape & shape, page_format format, const page_run & run, const query_rows & rows) {
    const int per_page = shape.page_tokens / 16;
    const int n_blocks = run.n * per_page;
    const size_t block_elements = (size_t) 16 * shape.dim;
    alignas(64) float wide_k[span_tokens * max_head_dim];
    alignas(64) float wide_v[span_tokens * max_head_dim];
    // Few rows read pages from memory as they are: a page at a time is one stream.
    const bool stream = format == page_format::f16 && rows.n <= few_rows;
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

// ---- attending in integers --------------------------------------------------------------------------------------

// MR rows over pages of at most chunk_tokens tokens.
template <int MR>
void attend_codes(const head_shape & shape, page_format format, const page_run & run, int first_page, int n_pages,
                  const query_rows & rows, int32_t r0) {
    const int32_t D = shape.dim, P = shape.page_tokens;
    const int n_tokens = n_pages * P;
    const float * q = rows.q + (size_t) r0 * D;
    alignas(64) float s[MR * chunk_tokens];
    alignas(64) int8_t q8[MR * max_head_dim];

    // One step of rounding for all pages of the chunk: the widest range that any channel of any page has.
    float step[MR], per_step[MR];
    {
        vf top[MR];
        for (int r = 0; r < MR; r++) {
            top[r] = simd::zero();
        }
        for (int32_t d = 0; d < D; d += W) {
            vf widest = simd::zero();
            for (int p = 0; p < n_pages; p++) {
                const quantized_block b = open_block(shape, run.blocks[first_page + p]);
                widest = simd::max(widest, simd::mul(simd::load(b.k_scale + d), simd::set1(b.h.k_scale)));
            }
            for (int r = 0; r < MR; r++) {
                top[r] = simd::max(top[r], simd::abs(simd::mul(simd::load(q + r * D + d), widest)));
            }
        }
        for (int r = 0; r < MR; r++) {
            const float most = simd::reduce_max(top[r]);
            step[r] = most / 127;
            per_step[r] = most > 0 ? 127 / most : 0.0f;
        }
    }

    const size_t v_bytes = (size_t) D * P / (format == page_format::q4 ? 2 : 4);
    const size_t k_end = (size_t) (open_block(shape, run.blocks[first_page]).v_codes - run.blocks[first_page]);
    for (int p = 0; p < n_pages; p++) {
        const quantized_block b = open_block(shape, run.blocks[first_page + p]);
        for (size_t at = 0; at < v_bytes; at += 64) {
            simd::prefetch(b.v_codes + at);
        }
        const ptrdiff_t ahead = ahead_of(run, first_page + p, k_end + v_bytes);
        for (size_t at = 0; at < k_end; at += 64) {
            simd::prefetch(run.blocks[first_page + p] + at + ahead);
        }
        float base[MR];                                        // q . k_min
        {
            vf sum[MR];
            vf scale[MR];
            for (int r = 0; r < MR; r++) {
                sum[r] = simd::zero();
                scale[r] = simd::set1(per_step[r] * b.h.k_scale);
            }
            for (int32_t d = 0; d < D; d += W) {
                const vf ks = simd::load(b.k_scale + d), km = simd::load(b.k_min + d);
                for (int r = 0; r < MR; r++) {
                    const vf x = simd::load(q + r * D + d);
                    sum[r] = simd::fma(x, km, sum[r]);
                    simd::store_i8(q8 + r * D + d, simd::mul(simd::mul(x, ks), scale[r]));
                }
            }
            for (int r = 0; r < MR; r++) {
                base[r] = simd::reduce_add(sum[r]) * b.h.k_min;
            }
        }
        for (int part = 0; part < P / 16; part++) {
            for (int lane = 0; lane < 16; lane += W) {
                vi acc[MR];
                for (int r = 0; r < MR; r++) {
                    acc[r] = simd::izero();
                }
                const uint8_t * codes = b.k_codes + (size_t) part * D * 8 + 4 * lane;
                for (int32_t d = 0; d < D; d += 8, codes += 64) {
                    const vi x = simd::load_bytes(codes);
                    const vi low = simd::field<0, 15>(x), high = simd::field<4, 15>(x);
                    for (int r = 0; r < MR; r++) {
                        int32_t w[2];
                        __builtin_memcpy(w, q8 + r * D + d, 8);
                        acc[r] = simd::dot_signed(simd::dot_signed(acc[r], low, w[0]), high, w[1]);
                    }
                }
                for (int r = 0; r < MR; r++) {
                    simd::store(s + r * chunk_tokens + p * P + 16 * part + lane,
                                simd::fma(simd::to_float(acc[r]), simd::set1(step[r]), simd::set1(base[r])));
                }
            }
        }
    }

    // Weights, as small integers with one scale per page; what the minima of the values add is the same for every
    // dimension.
    alignas(64) uint8_t w8[MR * chunk_tokens];
    float w_step[MR * chunk_tokens / 16];
    for (int r = 0; r < MR; r++) {
        float * row = s + r * chunk_tokens;
        cap_scores(row, n_tokens, rows.soft_cap);
        const int32_t token = (r0 + r) / rows.per_token;
        for (int p = 0; p < n_pages; p++) {
            if (const uint64_t * words = run.visible[first_page + p]) {
                hide(row + p * P, P, words[token]);
            }
        }
        float * out = rows.out + (size_t) (r0 + r) * D;
        const float shrink = softmax_step(row, n_tokens, rows.max[r0 + r], rows.sum[r0 + r]);
        vf minima = simd::zero();
        for (int p = 0; p < n_pages; p++) {
            const quantized_block b = open_block(shape, run.blocks[first_page + p]);
            const vf v_min = simd::set1(b.h.v_min);
            vf w[max_page_tokens / W], top = simd::zero();
            for (int i = 0; i < P / W; i++) {
                const vf e = simd::load(row + p * P + W * i);
                minima = simd::fma(simd::mul(e, v_min), simd::load(b.v_min + W * i), minima);
                w[i] = simd::mul(e, simd::load(b.v_scale + W * i));
                top = simd::max(top, w[i]);
            }
            const float most = simd::reduce_max(top);
            w_step[r * (chunk_tokens / 16) + p] = most / 255 * b.h.v_scale;
            const vf inverse = simd::set1(most > 0 ? 255 / most : 0.0f);
            for (int i = 0; i < P / W; i++) {
                simd::store_u8(w8 + r * chunk_tokens + p * P + W * i, simd::mul(w[i], inverse));
            }
        }
        const vf add = simd::set1(simd::reduce_add(minima)), by = simd::set1(shrink);
        for (int32_t d = 0; d < D; d += W) {
            simd::store(out + d, simd::fma(simd::load(out + d), by, add));
        }
    }

    const int tokens_per_row = format == page_format::q4 ? 8 : 16;     // of codes, 64 bytes for 16 dimensions
    for (int32_t d = 0; d < D; d += W) {
        vf acc[MR];
        for (int r = 0; r < MR; r++) {
            acc[r] = simd::load(rows.out + (size_t) (r0 + r) * D + d);
        }
        for (int p = 0; p < n_pages; p++) {
            const quantized_block b = open_block(shape, run.blocks[first_page + p]);
            const uint8_t * codes = b.v_codes + (size_t) (d / 16) * (P / tokens_per_row) * 64 + 4 * (d % 16);
            vi sum[MR];
            for (int r = 0; r < MR; r++) {
                sum[r] = simd::izero();
            }
            for (int t = 0; t < P; t += tokens_per_row, codes += 64) {
                const vi x = simd::load_bytes(codes);
                if (format == page_format::q4) {
                    const vi low = simd::field<0, 15>(x), high = simd::field<4, 15>(x);
                    for (int r = 0; r < MR; r++) {
                        int32_t w[2];
                        __builtin_memcpy(w, w8 + r * chunk_tokens + p * P + t, 8);
                        sum[r] = simd::dot_unsigned(simd::dot_unsigned(sum[r], low, w[0]), high, w[1]);
                    }
                } else {
                    const vi x0 = simd::field<0, 3>(x), x1 = simd::field<2, 3>(x);
                    const vi x2 = simd::field<4, 3>(x), x3 = simd::field<6, 3>(x);
                    for (int r = 0; r < MR; r++) {
                        int32_t w[4];
                        __builtin_memcpy(w, w8 + r * chunk_tokens + p * P + t, 16);
                        sum[r] = simd::dot_unsigned(simd::dot_unsigned(sum[r], x0, w[0]), x1, w[1]);
                        sum[r] = simd::dot_unsigned(simd::dot_unsigned(sum[r], x2, w[2]), x3, w[3]);
                    }
                }
            }
            for (int r = 0; r < MR; r++) {
                acc[r] = simd::fma(simd::to_float(sum[r]), simd::set1(w_step[r * (chunk_tokens / 16) + p]), acc[r]);
            }
        }
        for (int r = 0; r < MR; r++) {
            simd::store(rows.out + (size_t) (r0 + r) * D + d, acc[r]);
        }
    }
}

void attend_rows_codes(const head_shape & shape, page_format format, const page_run & run, const query_rows & rows) {
    const int pages_per_chunk = chunk_tokens / shape.page_tokens;
    for (int first = 0; first < run.n; first += pages_per_chunk) {
        const int n = run.n - first < pages_per_chunk ? run.n - first : pages_per_chunk;
        int32_t r = 0;
        for (; rows.n - r >= 4; r += 4) {
            attend_codes<4>(shape, format, run, first, n, rows, r);
        }
        switch (rows.n - r) {
            case 3: attend_codes<3>(shape, format, run, first, n, rows, r); break;
            case 2: attend_codes<2>(shape, format, run, first, n, rows, r); break;
            case 1: attend_codes<1>(shape, format, run, first, n, rows, r); break;
            default: break;
        }
    }
}

void attend(const head_shape & shape, page_format format, const page_run & run, const query_rows & rows) {
    if (format != page_format::f16 && rows.n <= few_rows) {
        attend_rows_codes(shape, format, run, rows);
    } else {
        attend_rows_float(shape, format, run, rows);
    }
}

// ---- rotation ---------------------------------------------------------------------------------------------------

// Columns of [dim][16]: lanes are tokens, so every step is a vector operation.
void rotate_columns(int32_t dim, float * x) {
    const int32_t block = dim & -dim;
    for (int32_t half = 1; half < block; half *= 2) {
        for (int32_t d = 0; d < dim; d += 2 * half) {
            for (int32_t i = d; i < d + half; i++) {
                for (int t = 0; t < 16; t += W) {
                    const vf a = simd::load(x + 16 * i + t), b = simd::load(x + 16 * (i + half) + t);
                    simd::store(x + 16 * i + t, simd::add(a, b));
                    simd::store(x + 16 * (i + half) + t, simd::sub(a, b));
                }
            }
        }
    }
    const vf norm = simd::set1(1.0f / __builtin_sqrtf((float) block));
    for (int32_t i = 0; i < 16 * dim; i += W) {
        simd::store(x + i, simd::mul(simd::load(x + i), norm));
    }
}

void rotate(int32_t dim, float * rows, int32_t n) {
    const int32_t block = dim & -dim;
    const float norm = 1.0f / __builtin_sqrtf((float) block);
    for (int32_t r = 0; r < n; r++) {
        float * x = rows + (size_t) r * dim;
        for (int32_t half = 1; half < block; half *= 2) {
            for (int32_t d = 0; d < dim; d += 2 * half) {
                for (int32_t i = d; i < d + half; i++) {
                    const float a = x[i], b = x[i + half];
                    x[i] = a + b;
                    x[i + half] = a - b;
                }
            }
        }
        for (int32_t d = 0; d < dim; d++) {
            x[d] *= norm;
        }
    }
}

// ---- storing and converting -------------------------------------------------------------------------------------

void store(const head_shape & shape, uint8_t * block, int32_t slot, const float * k, const float * v) {
    uint16_t * keys = (uint16_t *) block + (size_t) (slot / 16) * 16 * shape.dim + slot % 16;
    uint16_t * values = (uint16_t *) block + elements(shape) + (size_t) slot * shape.dim;
    alignas(64) uint16_t half[max_head_dim];
    for (int32_t d = 0; d < shape.dim; d += W) {
        simd::store_half(half + d, simd::load(k + d));
        simd::store_half(values + d, simd::load(v + d));
    }
    for (int32_t d = 0; d < shape.dim; d++) {
        keys[16 * d] = half[d];
    }
}

// A range [least, most] as 8-bit steps of two shared scales: the represented range holds the given one.
struct range_codes {
    float scale;                       // shared, of the steps and of the minima
    float min;
};

inline range_codes encode_ranges(const float * least, const float * most, int32_t n, float levels, uint8_t * scale, int8_t * min) {
    float far = 0, wide = 0;
    for (int32_t i = 0; i < n; i++) {
        const float a = __builtin_fabsf(least[i]);
        far = a > far ? a : far;
    }
    range_codes shared;
    shared.min = far / 127;
    for (int32_t i = 0; i < n; i++) {
        const float m = shared.min > 0 ? __builtin_floorf(least[i] / shared.min) : 0.0f;
        min[i] = (int8_t) (m < -128 ? -128 : m);
        const float width = (most[i] - min[i] * shared.min) / levels;
        wide = width > wide ? width : wide;
    }
    shared.scale = wide / 255;
    for (int32_t i = 0; i < n; i++) {
        const float width = (most[i] - min[i] * shared.min) / levels;
        const float s = shared.scale > 0 ? __builtin_ceilf(width / shared.scale) : 0.0f;
        scale[i] = (uint8_t) (s > 255 ? 255 : s < 1 ? 1 : s);
    }
    return shared;
}

inline uint8_t encode(float x, float least, float scale, float levels) {
    const float c = scale > 0 ? __builtin_rintf((x - least) / scale) : 0.0f;
    return (uint8_t) (c < 0 ? 0 : c > levels ? levels : c);
}

void quantize(const head_shape & shape, page_format to, const uint8_t * f16, int32_t n_tokens, uint8_t * out) {
    const int32_t D = shape.dim, P = shape.page_tokens;
    const int n_blocks = P / 16;
    const float levels = to == page_format::q4 ? 15.0f : 3.0f;
    const quantized_block b = open_block(shape, out);
    const size_t bytes = (size_t) (b.v_codes - out) + (size_t) D * P / (to == page_format::q4 ? 2 : 4);
    __builtin_memset(out, 0, bytes);
    alignas(64) float k[max_page_tokens * max_head_dim];       // [page/16][dim][16]
    alignas(64) float v[max_page_tokens * max_head_dim];       // the same
    const uint16_t * keys = (const uint16_t *) f16;
    const uint16_t * values = keys + elements(shape);
    for (size_t i = 0; i < elements(shape); i += W) {
        simd::store(k + i, simd::load(keys + i));
    }
    alignas(64) float row[max_head_dim];
    for (int32_t t = 0; t < P; t++) {
        for (int32_t d = 0; d < D; d += W) {
            simd::store(row + d, simd::load(values + (size_t) t * D + d));
        }
        float * column = v + (size_t) (t / 16) * 16 * D + t % 16;
        for (int32_t d = 0; d < D; d++) {
            column[16 * d] = row[d];
        }
    }
    for (int i = 0; i < n_blocks; i++) {
        rotate_columns(D, k + (size_t) i * 16 * D);
        rotate_columns(D, v + (size_t) i * 16 * D);
    }

    quantized_header h;
    float least[max_head_dim], most[max_head_dim];
    for (int32_t d = 0; d < D; d++) {
        float lo = k[16 * d], hi = lo;
        for (int32_t t = 1; t < n_tokens; t++) {
            const float x = k[(size_t) (t / 16) * 16 * D + 16 * d + t % 16];
            lo = x < lo ? x : lo;
            hi = x > hi ? x : hi;
        }
        least[d] = lo;
        most[d] = hi;
    }
    const range_codes kr = encode_ranges(least, most, D, 15.0f, (uint8_t *) b.k_scale, (int8_t *) b.k_min);
    for (int32_t t = 0; t < P; t++) {
        const float * column = v + (size_t) (t / 16) * 16 * D + t % 16;
        float lo = 0, hi = 0;
        for (int32_t d = 0; d < D && t < n_tokens; d++) {
            const float x = column[16 * d];
            lo = d == 0 || x < lo ? x : lo;
            hi = d == 0 || x > hi ? x : hi;
        }
        least[t] = lo;
        most[t] = hi;
    }
    const range_codes vr = encode_ranges(least, most, P, levels, (uint8_t *) b.v_scale, (int8_t *) b.v_min);
    h.k_scale = kr.scale;
    h.k_min = kr.min;
    h.v_scale = vr.scale;
    h.v_min = vr.min;
    __builtin_memcpy(out, &h, sizeof(h));

    uint8_t * k_codes = (uint8_t *) b.k_codes;
    uint8_t * v_codes = (uint8_t *) b.v_codes;
    for (int32_t d = 0; d < D; d++) {
        const float scale = b.k_scale[d] * h.k_scale, min = b.k_min[d] * h.k_min;
        for (int32_t t = 0; t < n_tokens; t++) {
            const uint8_t c = encode(k[(size_t) (t / 16) * 16 * D + 16 * d + t % 16], min, scale, 15.0f);
            k_codes[(size_t) (t / 16) * D * 8 + (d / 8) * 64 + (t % 16) * 4 + d % 4] |= (uint8_t) (d % 8 < 4 ? c : c << 4);
        }
    }
    for (int32_t t = 0; t < n_tokens; t++) {
        const float scale = b.v_scale[t] * h.v_scale, min = b.v_min[t] * h.v_min;
        const float * column = v + (size_t) (t / 16) * 16 * D + t % 16;
        for (int32_t d = 0; d < D; d++) {
            const uint8_t c = encode(column[16 * d], min, scale, levels);
            if (to == page_format::q4) {
                v_codes[(size_t) (d / 16) * P * 8 + (t / 8) * 64 + (d % 16) * 4 + t % 4] |= (uint8_t) (t % 8 < 4 ? c : c << 4);
            } else {
                v_codes[(size_t) (d / 16) * P * 4 + (t / 16) * 64 + (d % 16) * 4 + t % 4] |= (uint8_t) (c << 2 * (t % 16 / 4));
            }
        }
    }
}

void dequantize(const head_shape & shape, page_format from, const uint8_t * data, uint8_t * f16) {
    const int32_t D = shape.dim;
    const quantized_block b = open_block(shape, data);
    alignas(64) float k[16 * max_head_dim];
    alignas(64) float v[16 * max_head_dim];
    uint16_t * keys = (uint16_t *) f16;
    uint16_t * values = keys + elements(shape);
    for (int i = 0; i < shape.page_tokens / 16; i++) {
        widen(shape, from, b, i, k, v);
        rotate_columns(D, k);
        rotate(D, v, 16);
        for (int32_t j = 0; j < 16 * D; j += W) {
            simd::store_half(keys + (size_t) i * 16 * D + j, simd::load(k + j));
            simd::store_half(values + (size_t) i * 16 * D + j, simd::load(v + j));
        }
    }
}

void merge(int32_t dim, const float * partials, int32_t n, const float * sink, float * out) {
    const int32_t stride = dim + 2;
    float top = sink ? *sink : minus_infinity;
    for (int32_t c = 0; c < n; c++) {
        const float m = partials[c * stride + dim];
        top = m > top ? m : top;
    }
    float sum = sink ? exp_negative(*sink - top) : 0.0f;
    for (int32_t d = 0; d < dim; d += W) {
        simd::store(out + d, simd::zero());
    }
    for (int32_t c = 0; c < n; c++) {
        const float * part = partials + c * stride;
        if (part[dim] == minus_infinity) {
            continue;
        }
        const float f = exp_negative(part[dim] - top);
        sum += f * part[dim + 1];
        for (int32_t d = 0; d < dim; d += W) {
            simd::store(out + d, simd::fma(simd::set1(f), simd::load(part + d), simd::load(out + d)));
        }
    }
    scale_row(out, dim, sum > 0 ? 1.0f / sum : 0.0f);
}

}  // namespace
