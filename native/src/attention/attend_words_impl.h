// Attention of many rows in products of 16-bit integers where an instruction does twice as many of them as in f32
// (AVX-512 VNNI; vpmaddwd and an addition of AVX2 are slower than f32). Keys and values are rounded once per chunk of
// tokens for all rows, to the range that each channel has in the chunk; queries and softmax weights once per row and
// chunk. Each rounding uses as many levels as a sum of products in 32 bits leaves room for. The error, relative to the
// norm of the result, is about 1e-4 times the standard deviation of the scores: what rounding keys and values to f16 did;
// at most 6e-4 in the tests.
#pragma once

#include "codec_impl.h"
#include "softmax_impl.h"

namespace {

constexpr int word_tokens = 256;                   // of a chunk: a divisor of chunk_tokens
constexpr int word_span = 128;                     // tokens whose weights share a step
constexpr float word_levels = 8191;                // of keys and values, to both sides
constexpr float word_sum = 262144;                 // of the sizes of queries or weights: times word_levels below 2^31
constexpr float most_word = 32767;

struct word_chunk {
    int32_t dim;
    int n_tokens;
    alignas(64) int16_t k[word_tokens * max_head_dim];         // [tokens/16][dim/2][16 tokens][2]
    alignas(64) int16_t v[word_tokens * max_head_dim];         // [dim/16][tokens/2][16 dims][2]
    alignas(64) float k_step[max_head_dim];                    // a key is k_middle + word * k_step
    alignas(64) float k_middle[max_head_dim];
    alignas(64) float v_step[max_head_dim];                    // a value is word * v_step
};

// 1 / step, and 0 for the step of a channel that is the same everywhere.
inline vf per_step(vf step) {
    return simd::div(simd::set1(1.0f), simd::max(step, simd::set1(1e-30f)));
}

inline void set_key_range(word_chunk & c, int32_t d, vf low, vf high) {
    simd::store(c.k_step + d, simd::mul(simd::sub(high, low), simd::set1(0.5f / word_levels)));
    simd::store(c.k_middle + d, simd::mul(simd::add(high, low), simd::set1(0.5f)));
}

// ---- f16 pages --------------------------------------------------------------------------------------------------

inline const uint16_t * half_values(const head_shape & shape, const uint8_t * block) {
    return (const uint16_t *) block + elements(shape);
}

inline void half_ranges(const head_shape & shape, const uint8_t * const * blocks, int n_pages, word_chunk & c) {
    const size_t key_block = (size_t) 16 * shape.dim;
    alignas(64) float low[max_head_dim], high[max_head_dim];
    for (int32_t d = 0; d < shape.dim; d++) {
        vf least = simd::set1(-minus_infinity), most = simd::set1(minus_infinity);
        for (int p = 0; p < n_pages; p++) {
            const uint16_t * k = (const uint16_t *) blocks[p] + 16 * d;
            for (int block = 0; block < shape.page_tokens / 16; block++, k += key_block) {
                for (int t = 0; t < 16; t += W) {
                    const vf x = simd::load(k + t);
                    least = simd::min(least, x);
                    most = simd::max(most, x);
                }
            }
        }
        low[d] = simd::reduce_min(least);
        high[d] = simd::reduce_max(most);
    }
    for (int32_t d = 0; d < shape.dim; d += W) {
        set_key_range(c, d, simd::load(low + d), simd::load(high + d));
        vf most = simd::zero();
        for (int p = 0; p < n_pages; p++) {
            const uint16_t * v = half_values(shape, blocks[p]) + d;
            for (int t = 0; t < shape.page_tokens; t += 2) {
                const vf a = simd::abs(simd::load(v + t * shape.dim)), b = simd::abs(simd::load(v + (t + 1) * shape.dim));
                most = simd::max(most, simd::max(a, b));
            }
        }
        simd::store(c.v_step + d, simd::mul(most, simd::set1(1 / word_levels)));
    }
}

// Here and below: what lies `ahead` bytes from here is the same part of a page of the next chunk, and asked for in step
// with the work.
inline void widen_half_keys(const head_shape & shape, const uint8_t * page, int first_token, ptrdiff_t ahead, word_chunk & c) {
    alignas(64) float scale[max_head_dim], offset[max_head_dim];
    for (int32_t d = 0; d < shape.dim; d += W) {
        const vf by = per_step(simd::load(c.k_step + d));
        simd::store(scale + d, by);
        simd::store(offset + d, simd::sub(simd::zero(), simd::mul(by, simd::load(c.k_middle + d))));
    }
    const uint16_t * k = (const uint16_t *) page;
    int16_t * to = c.k + (size_t) first_token * shape.dim;
    for (int block = 0; block < shape.page_tokens / 16; block++) {
        for (int32_t d = 0; d < shape.dim; d += 2, k += 32, to += 32) {
            simd::prefetch((const uint8_t *) k + ahead);
            for (int t = 0; t < 16; t += W) {
                simd::store_words(to + 2 * t, simd::fma(simd::load(k + t), simd::set1(scale[d]), simd::set1(offset[d])),
                                  simd::fma(simd::load(k + 16 + t), simd::set1(scale[d + 1]), simd::set1(offset[d + 1])));
            }
        }
    }
}

inline void widen_half_values(const head_shape & shape, const uint8_t * page, int first_token, ptrdiff_t ahead, word_chunk & c) {
    const uint16_t * v = half_values(shape, page);
    const uint8_t * next = (const uint8_t *) v + ahead;
    for (int32_t d = 0; d < shape.dim; d += W) {
        const vf scale = per_step(simd::load(c.v_step + d));
        int16_t * to = c.v + (size_t) (d - d % 16) * c.n_tokens + (size_t) first_token * 16 + 2 * (d % 16);
        for (int t = 0; t < shape.page_tokens; t += 2, to += 32, next += 4 * W) {
            simd::prefetch(next);
            simd::store_words(to, simd::mul(simd::load(v + t * shape.dim + d), scale),
                              simd::mul(simd::load(v + (t + 1) * shape.dim + d), scale));
        }
    }
}

// ---- quantised pages --------------------------------------------------------------------------------------------

inline float value_levels(page_format format) {
    return format == page_format::q4 ? 15.0f : 3.0f;
}

inline void code_ranges(const head_shape & shape, page_format format, const quantized_block * pages, int n_pages, word_chunk & c) {
    for (int32_t d = 0; d < shape.dim; d += W) {
        vf low = simd::set1(-minus_infinity), high = simd::set1(minus_infinity);
        for (int p = 0; p < n_pages; p++) {
            const vf least = simd::mul(simd::load(pages[p].k_min + d), simd::set1(pages[p].h.k_min));
            const vf width = simd::mul(simd::load(pages[p].k_scale + d), simd::set1(15 * pages[p].h.k_scale));
            low = simd::min(low, least);
            high = simd::max(high, simd::add(least, width));
        }
        set_key_range(c, d, low, high);
    }
    vf most = simd::zero();
    for (int p = 0; p < n_pages; p++) {
        for (int t = 0; t < shape.page_tokens; t += W) {
            const vf least = simd::mul(simd::load(pages[p].v_min + t), simd::set1(pages[p].h.v_min));
            const vf width = simd::mul(simd::load(pages[p].v_scale + t), simd::set1(value_levels(format) * pages[p].h.v_scale));
            most = simd::max(most, simd::max(simd::abs(least), simd::abs(simd::add(least, width))));
        }
    }
    const vf step = simd::set1(simd::reduce_max(most) / word_levels);      // rotation has made channels alike
    for (int32_t d = 0; d < shape.dim; d += W) {
        simd::store(c.v_step + d, step);
    }
}

// Four neighbours of codes, as they lie in the bytes of each lane, become two vectors of words, 32 apart.
template <int Shift, int Mask>
inline void widen_words(vi x, const float * least, const float * scale, int16_t * to) {
    const auto one = [&](int j, vf code) { return simd::fma(code, simd::set1(scale[j]), simd::set1(least[j])); };
    simd::store_words(to, one(0, simd::lane_field<Shift, Mask>(x)), one(1, simd::lane_field<8 + Shift, Mask>(x)));
    simd::store_words(to + 32, one(2, simd::lane_field<16 + Shift, Mask>(x)), one(3, simd::lane_field<24 + Shift, Mask>(x)));
}

inline void widen_code_keys(const head_shape & shape, const quantized_block & page, int first_token, ptrdiff_t ahead, word_chunk & c) {
    alignas(64) float scale[max_head_dim], least[max_head_dim];
    for (int32_t d = 0; d < shape.dim; d += W) {
        const vf by = per_step(simd::load(c.k_step + d));
        const vf min = simd::mul(simd::load(page.k_min + d), simd::set1(page.h.k_min));
        simd::store(scale + d, simd::mul(simd::mul(simd::load(page.k_scale + d), simd::set1(page.h.k_scale)), by));
        simd::store(least + d, simd::mul(simd::sub(min, simd::load(c.k_middle + d)), by));
    }
    const uint8_t * codes = page.k_codes;
    int16_t * to = c.k + (size_t) first_token * shape.dim;
    for (int block = 0; block < shape.page_tokens / 16; block++) {
        for (int32_t d = 0; d < shape.dim; d += 8, codes += 64, to += 128) {
            simd::prefetch(codes + ahead);
            for (int t = 0; t < 16; t += W) {
                const vi x = simd::load_bytes(codes + 4 * t);
                widen_words<0, 15>(x, least + d, scale + d, to + 2 * t);
                widen_words<4, 15>(x, least + d + 4, scale + d + 4, to + 64 + 2 * t);
            }
        }
    }
}

inline void widen_code_values(const head_shape & shape, page_format format, const quantized_block & page, int first_token,
                              ptrdiff_t ahead, word_chunk & c) {
    alignas(64) float scale[max_page_tokens], least[max_page_tokens];
    const vf by = per_step(simd::load(c.v_step));
    for (int t = 0; t < shape.page_tokens; t += W) {
        simd::store(scale + t, simd::mul(simd::mul(simd::load(page.v_scale + t), simd::set1(page.h.v_scale)), by));
        simd::store(least + t, simd::mul(simd::mul(simd::load(page.v_min + t), simd::set1(page.h.v_min)), by));
    }
    const uint8_t * codes = page.v_codes;
    const int step = format == page_format::q4 ? 8 : 16;               // tokens in 64 bytes of codes
    for (int32_t d = 0; d < shape.dim; d += 16) {
        int16_t * to = c.v + (size_t) d * c.n_tokens + (size_t) first_token * 16;
        for (int t = 0; t < shape.page_tokens; t += step, codes += 64, to += 16 * step) {
            simd::prefetch(codes + ahead);
            for (int lane = 0; lane < 16; lane += W) {
                const vi x = simd::load_bytes(codes + 4 * lane);
                int16_t * at = to + 2 * lane;
                if (format == page_format::q4) {
                    widen_words<0, 15>(x, least + t, scale + t, at);
                    widen_words<4, 15>(x, least + t + 4, scale + t + 4, at + 64);
                } else {
                    widen_words<0, 3>(x, least + t, scale + t, at);
                    widen_words<2, 3>(x, least + t + 4, scale + t + 4, at + 64);
                    widen_words<4, 3>(x, least + t + 8, scale + t + 8, at + 128);
                    widen_words<6, 3>(x, least + t + 12, scale + t + 12, at + 192);
                }
            }
        }
    }
}

// ---- all pages --------------------------------------------------------------------------------------------------

void widen_chunk(const head_shape & shape, page_format format, const page_run & run, int first, int n_pages, word_chunk & c) {
    const uint8_t * const * blocks = run.blocks + first;
    const auto ahead = [&](int p) { return first + n_pages + p < run.n ? blocks[n_pages + p] - blocks[p] : 0; };
    c.dim = shape.dim;
    c.n_tokens = n_pages * shape.page_tokens;
    if (format == page_format::f16) {
        half_ranges(shape, blocks, n_pages, c);
        for (int p = 0; p < n_pages; p++) {
            widen_half_keys(shape, blocks[p], p * shape.page_tokens, ahead(p), c);
            widen_half_values(shape, blocks[p], p * shape.page_tokens, ahead(p), c);
        }
        return;
    }
    quantized_block pages[word_tokens / 16];
    for (int p = 0; p < n_pages; p++) {
        pages[p] = open_block(shape, blocks[p]);
    }
    code_ranges(shape, format, pages, n_pages, c);
    for (int p = 0; p < n_pages; p++) {
        widen_code_keys(shape, pages[p], p * shape.page_tokens, ahead(p), c);
        widen_code_values(shape, format, pages[p], p * shape.page_tokens, ahead(p), c);
    }
}

// A row's query in words: its score with a key is base + step * (sum of products of words).
struct word_query {
    float step;
    float base;
};

inline word_query round_query(const word_chunk & c, const float * q, int16_t * to) {
    vf sum = simd::zero(), top = simd::zero(), base = simd::zero();
    for (int32_t d = 0; d < c.dim; d += W) {
        const vf x = simd::load(q + d);
        const vf size = simd::abs(simd::mul(x, simd::load(c.k_step + d)));
        sum = simd::add(sum, size);
        top = simd::max(top, size);
        base = simd::fma(x, simd::load(c.k_middle + d), base);
    }
    const float by_sum = simd::reduce_add(sum) / (word_sum - max_head_dim), by_top = simd::reduce_max(top) / most_word;
    const float step = by_sum > by_top ? by_sum : by_top;
    const vf inverse = simd::set1(step > 0 ? 1 / step : 0.0f);
    for (int32_t d = 0; d < c.dim; d += W) {
        simd::store_i16(to + d, simd::mul(simd::mul(simd::load(q + d), simd::load(c.k_step + d)), inverse));
    }
    return { step, simd::reduce_add(base) };
}

// s[r][t] for MR rows and NV vectors of tokens from first_token on.
template <int MR, int NV>
inline void word_scores(const word_chunk & c, const int16_t * q, const word_query * rows, int first_token, float * s) {
    vi acc[MR][NV];
    for (int r = 0; r < MR; r++) {
        for (int v = 0; v < NV; v++) {
            acc[r][v] = simd::izero();
        }
    }
    const int16_t * k = c.k + (size_t) first_token * c.dim;
    for (int32_t d = 0; d < c.dim; d += 2) {
        vi x[NV];
        for (int v = 0; v < NV; v++) {
            x[v] = simd::load_words(k + (size_t) (W * v / 16) * 16 * c.dim + 16 * d + 2 * (W * v % 16));
        }
        for (int r = 0; r < MR; r++) {
            const int32_t two = four_bytes(q + r * c.dim + d);
            for (int v = 0; v < NV; v++) {
                acc[r][v] = simd::dot_words(acc[r][v], x[v], two);
            }
        }
    }
    for (int r = 0; r < MR; r++) {
        for (int v = 0; v < NV; v++) {
            simd::store(s + r * word_tokens + first_token + W * v,
                        simd::fma(simd::to_float(acc[r][v]), simd::set1(rows[r].step), simd::set1(rows[r].base)));
        }
    }
}

// out[r][d0 + ..] += step[r] * (w[r] . values) for MR rows and NV vectors of dimensions.
template <int MR, int NV>
inline void word_values(const word_chunk & c, const int16_t * w, const float * step, int first_token, int n_tokens, int32_t d0,
                        float * out) {
    vi acc[MR][NV];
    for (int r = 0; r < MR; r++) {
        for (int j = 0; j < NV; j++) {
            acc[r][j] = simd::izero();
        }
    }
    const int16_t * v[NV];
    for (int j = 0; j < NV; j++) {
        const int32_t d = d0 + W * j;
        v[j] = c.v + (size_t) (d - d % 16) * c.n_tokens + 16 * first_token + 2 * (d % 16);
    }
    for (int t = 0; t < n_tokens; t += 2) {
        vi x[NV];
        for (int j = 0; j < NV; j++) {
            x[j] = simd::load_words(v[j] + 16 * t);
        }
        for (int r = 0; r < MR; r++) {
            const int32_t two = four_bytes(w + r * word_tokens + first_token + t);
            for (int j = 0; j < NV; j++) {
                acc[r][j] = simd::dot_words(acc[r][j], x[j], two);
            }
        }
    }
    for (int r = 0; r < MR; r++) {
        for (int j = 0; j < NV; j++) {
            float * to = out + r * c.dim + d0 + W * j;
            const vf by = simd::mul(simd::load(c.v_step + d0 + W * j), simd::set1(step[r]));
            simd::store(to, simd::fma(simd::to_float(acc[r][j]), by, simd::load(to)));
        }
    }
}

// The scores of one row and span become weights 2^(score - top) in words w of one step. Returns their sum.
inline float round_weights(const float * s, float top, int16_t * w, float & step) {
    constexpr int n = word_span / W;
    const vf m = simd::set1(top);
    vf e[n], sum = simd::zero();
    for (int i = 0; i < n; i++) {
        e[i] = exp2_negative(simd::sub(simd::load(s + W * i), m));
        sum = simd::add(sum, e[i]);
    }
    const float added = simd::reduce_add(sum);
    const float by_sum = added * (1 / (word_sum - word_span)), by_top = 1 / most_word;
    step = by_sum > by_top ? by_sum : by_top;
    const vf inverse = simd::set1(1 / step);
    for (int i = 0; i < n; i++) {
        simd::store_i16(w + W * i, simd::mul(e[i], inverse));
    }
    return added;
}

// Rows [r0, r0 + MR) over one chunk.
template <int MR>
void attend_words(const head_shape & shape, const word_chunk & c, const uint64_t * const * visible, const query_rows & rows, int32_t r0) {
    constexpr int tile_tokens = W * simd::tile_vectors;
    alignas(64) int16_t q[MR * max_head_dim];
    alignas(64) float s[MR * word_tokens];
    alignas(64) int16_t w[MR * word_tokens];
    float step[word_tokens / word_span * MR];
    word_query query[MR];
    float * out = rows.out + (size_t) r0 * c.dim;
    for (int r = 0; r < MR; r++) {
        query[r] = round_query(c, rows.q + (size_t) (r0 + r) * c.dim, q + r * c.dim);
    }
    int t = 0;
    for (; t + tile_tokens <= c.n_tokens; t += tile_tokens) {
        word_scores<MR, simd::tile_vectors>(c, q, query, t, s);
    }
    for (; t < c.n_tokens; t += 16) {
        word_scores<MR, 16 / W>(c, q, query, t, s);
    }
    for (int r = 0; r < MR; r++) {
        float * row = s + r * word_tokens;
        cap_scores(row, c.n_tokens, rows.soft_cap);
        for (int p = 0; p < c.n_tokens / shape.page_tokens; p++) {
            if (visible[p]) {
                hide(row + p * shape.page_tokens, shape.page_tokens, visible[p][(r0 + r) / rows.per_token]);
            }
        }
        // Weights are taken against the maximum of the chunk, which uses all their levels.
        const float highest = row_maximum(row, c.n_tokens);
        float & row_max = rows.max[r0 + r];
        const float shrink = raise_maximum(highest, row_max, rows.sum[r0 + r]);
        if (shrink != 1.0f) {
            scale_row(out + r * c.dim, c.dim, shrink);
        }
        // A row that sees nothing has weights of 0 against any finite maximum.
        const bool sees = highest > minus_infinity;
        const float scale = sees ? exp2_negative(highest - row_max) : 0.0f;
        for (int i = c.n_tokens; i % word_span != 0; i += W) {
            simd::store(row + i, simd::set1(minus_infinity));
        }
        for (int first = 0; first < c.n_tokens; first += word_span) {
            float & at = step[first / word_span * MR + r];
            rows.sum[r0 + r] += scale * round_weights(row + first, sees ? highest : 0.0f, w + r * word_tokens + first, at);
            at *= scale;
        }
    }
    for (int first = 0; first < c.n_tokens; first += word_span) {
        const int n = c.n_tokens - first < word_span ? c.n_tokens - first : word_span;
        const float * at = step + first / word_span * MR;
        int32_t d = 0;
        for (; d + W * simd::tile_vectors <= c.dim; d += W * simd::tile_vectors) {
            word_values<MR, simd::tile_vectors>(c, w, at, first, n, d, out);
        }
        for (; d < c.dim; d += 16) {
            word_values<MR, 16 / W>(c, w, at, first, n, d, out);
        }
    }
}

void attend_rows_words(const head_shape & shape, page_format format, const page_run & run, const query_rows & rows) {
    const int pages_per_chunk = word_tokens / shape.page_tokens;
    word_chunk c;
    for (int first = 0; first < run.n; first += pages_per_chunk) {
        widen_chunk(shape, format, run, first, run.n - first < pages_per_chunk ? run.n - first : pages_per_chunk, c);
        for_each_tile(rows.n, [&](auto mr, int32_t r) { attend_words<decltype(mr)::value>(shape, c, run.visible + first, rows, r); });
    }
}

}  // namespace
