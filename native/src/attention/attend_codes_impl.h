// Attention of few rows over quantised pages: products of small integers straight from the codes, a span of pages at a
// time, so that the latency of each step is paid once per span. Queries are rounded to 8 bits per span after taking in the
// channels' scales, softmax weights to 8 bits per page after taking in the tokens' scales.
#pragma once

#include "codec_impl.h"
#include "softmax_impl.h"

namespace {

constexpr int most_code_tokens = 256;              // of a span
constexpr int span_elements = 16384;               // of keys in a span: their codes and those of the values fit the first-level cache

// Tokens of a span: a divisor of chunk_tokens, a multiple of a page.
inline int code_tokens(int32_t dim) {
    int n = most_code_tokens;
    while (n > max_page_tokens && n * dim > span_elements) {
        n /= 2;
    }
    return n;
}

// Some pages, opened, and what comes after them.
struct code_span {
    quantized_block pages[most_code_tokens / 16];
    const uint8_t * const * blocks;
    const uint8_t * const * next;                  // of the following span, or these again
    int n_pages;
    int n_tokens;
    // Scales and minima of the values by token.
    alignas(64) float v_scale[most_code_tokens];
    alignas(64) float v_min[most_code_tokens];
};

// Queries in 8 bits, [page][row][dim]: a score is base[page][row] + step[row] * (sum of products with codes). The step is
// that of the widest range that any channel of any page has.
template <int MR>
struct code_queries {
    alignas(64) int8_t q8[MR * span_elements / 16];
    float base[MR * most_code_tokens / 16];
    float step[MR];
};

template <int MR>
inline void round_queries(int32_t dim, const code_span & span, const float * q, code_queries<MR> & to) {
    vf top[MR];
    for (int r = 0; r < MR; r++) {
        top[r] = simd::zero();
    }
    for (int32_t d = 0; d < dim; d += W) {
        vf widest = simd::zero();
        for (int p = 0; p < span.n_pages; p++) {
            const quantized_block & b = span.pages[p];
            widest = simd::max(widest, simd::mul(simd::load(b.k_scale + d), simd::set1(b.h.k_scale)));
        }
        for (int r = 0; r < MR; r++) {
            top[r] = simd::max(top[r], simd::abs(simd::mul(simd::load(q + r * dim + d), widest)));
        }
    }
    float per_step[MR];
    for (int r = 0; r < MR; r++) {
        const float most = simd::reduce_max(top[r]);
        to.step[r] = most / 127;
        per_step[r] = most > 0 ? 127 / most : 0.0f;
    }
    for (int p = 0; p < span.n_pages; p++) {
        const quantized_block & b = span.pages[p];
        int8_t * q8 = to.q8 + p * MR * dim;
        vf sum[MR], scale[MR];
        for (int r = 0; r < MR; r++) {
            sum[r] = simd::zero();
            scale[r] = simd::set1(per_step[r] * b.h.k_scale);
        }
        for (int32_t d = 0; d < dim; d += W) {
            const vf k_scale = simd::load(b.k_scale + d), k_min = simd::load(b.k_min + d);
            for (int r = 0; r < MR; r++) {
                const vf x = simd::load(q + r * dim + d);
                sum[r] = simd::fma(x, k_min, sum[r]);
                simd::store_i8(q8 + r * dim + d, simd::mul(simd::mul(x, k_scale), scale[r]));
            }
        }
        for (int r = 0; r < MR; r++) {
            to.base[p * MR + r] = simd::reduce_add(sum[r]) * b.h.k_min;
        }
    }
}

// s[r][t] for all tokens of a page. Both halves of a byte have sums of their own, which keeps the multipliers busy.
// Meanwhile the codes at `later` come near.
template <int MR>
inline void score_codes(int32_t dim, int32_t page_tokens, const uint8_t * k_codes, const int8_t * q8, const float * base,
                        const float * step, const uint8_t * later, float * s) {
    for (int part = 0; part < page_tokens / 16; part++) {
        for (int lane = 0; lane < 16; lane += W) {
            vi low_sum[MR], high_sum[MR];
            for (int r = 0; r < MR; r++) {
                low_sum[r] = simd::izero();
                high_sum[r] = simd::izero();
            }
            const size_t first = (size_t) part * dim * 8;
            for (int32_t d = 0; d < dim; d += 8) {
                if (lane == 0) {
                    simd::prefetch(later + first + 8 * d);
                }
                const vi x = simd::load_bytes(k_codes + first + 8 * d + 4 * lane);
                const vi low = simd::field<0, 15>(x), high = simd::field<4, 15>(x);
                for (int r = 0; r < MR; r++) {
                    low_sum[r] = simd::dot_signed(low_sum[r], low, four_bytes(q8 + r * dim + d));
                    high_sum[r] = simd::dot_signed(high_sum[r], high, four_bytes(q8 + r * dim + d + 4));
                }
            }
            for (int r = 0; r < MR; r++) {
                simd::store(s + r * most_code_tokens + 16 * part + lane,
                            simd::fma(simd::to_float(simd::iadd(low_sum[r], high_sum[r])), simd::set1(step[r]),
                                      simd::set1(base[r])));
            }
        }
    }
}

// The weights of one row, as small integers with one step per page. Returns what the minima of the values add to every
// dimension, and in `sums`, unless it is null, the sum of each page's weights.
inline float round_weights(const code_span & span, int32_t page_tokens, const float * s, float row_max, float & row_sum, uint8_t * w8,
                           float * step, ptrdiff_t step_stride, float * sums) {
    const vf m = simd::set1(row_max);
    vf sum = simd::zero(), minima = simd::zero();
    for (int p = 0; p < span.n_pages; p++) {
        vf w[max_page_tokens / W], page_sum = simd::zero(), top = simd::zero();
        for (int i = 0; i < page_tokens / W; i++) {
            const int t = p * page_tokens + W * i;
            const vf e = exp2_negative(simd::sub(simd::load(s + t), m));
            page_sum = simd::add(page_sum, e);
            minima = simd::fma(e, simd::load(span.v_min + t), minima);
            w[i] = simd::mul(e, simd::load(span.v_scale + t));
            top = simd::max(top, w[i]);
        }
        const float most = simd::reduce_max(top);
        const vf per_step = simd::set1(most > 0 ? 255 / most : 0.0f);
        step[p * step_stride] = most / 255;
        for (int i = 0; i < page_tokens / W; i++) {
            simd::store_u8(w8 + p * page_tokens + W * i, simd::mul(w[i], per_step));
        }
        sum = simd::add(sum, page_sum);
        if (sums) {
            sums[p] = simd::reduce_add(page_sum);
        }
    }
    row_sum += simd::reduce_add(sum);
    return simd::reduce_add(minima);
}

// out[r] += step[r] * (w[r] . codes) over one page.
template <int MR>
inline void add_codes(int32_t dim, int32_t page_tokens, page_format format, const uint8_t * v_codes, const uint8_t * w8,
                      const float * step, const uint8_t * later, float * out) {
    const int tokens_per_row = format == page_format::q4 ? 8 : 16;     // of codes, 64 bytes for 16 dimensions
    for (int32_t d = 0; d < dim; d += W) {
        const size_t first = (size_t) (d / 16) * (page_tokens / tokens_per_row) * 64;
        vi low_sum[MR], high_sum[MR];
        for (int r = 0; r < MR; r++) {
            low_sum[r] = simd::izero();
            high_sum[r] = simd::izero();
        }
        for (int t = 0, row = 0; t < page_tokens; t += tokens_per_row, row += 64) {
            if (d % 16 == 0) {
                simd::prefetch(later + first + row);
            }
            const vi x = simd::load_bytes(v_codes + first + row + 4 * (d % 16));
            if (format == page_format::q4) {
                const vi low = simd::field<0, 15>(x), high = simd::field<4, 15>(x);
                for (int r = 0; r < MR; r++) {
                    const uint8_t * w = w8 + r * most_code_tokens + t;
                    low_sum[r] = simd::dot_unsigned(low_sum[r], low, four_bytes(w));
                    high_sum[r] = simd::dot_unsigned(high_sum[r], high, four_bytes(w + 4));
                }
            } else {
                const vi x0 = simd::field<0, 3>(x), x1 = simd::field<2, 3>(x);
                const vi x2 = simd::field<4, 3>(x), x3 = simd::field<6, 3>(x);
                for (int r = 0; r < MR; r++) {
                    const uint8_t * w = w8 + r * most_code_tokens + t;
                    low_sum[r] = simd::dot_unsigned(simd::dot_unsigned(low_sum[r], x0, four_bytes(w)), x1, four_bytes(w + 4));
                    high_sum[r] = simd::dot_unsigned(simd::dot_unsigned(high_sum[r], x2, four_bytes(w + 8)), x3, four_bytes(w + 12));
                }
            }
        }
        for (int r = 0; r < MR; r++) {
            float * to = out + r * dim + d;
            simd::store(to, simd::fma(simd::to_float(simd::iadd(low_sum[r], high_sum[r])), simd::set1(step[r]), simd::load(to)));
        }
    }
}

template <int MR>
void attend_codes(const head_shape & shape, page_format format, const code_span & span, const page_run & run, int first_page,
                  const query_rows & rows, int32_t r0) {
    const int32_t D = shape.dim, P = shape.page_tokens;
    float * out = rows.out + (size_t) r0 * D;
    alignas(64) float s[MR * most_code_tokens];
    alignas(64) uint8_t w8[MR * most_code_tokens];
    float w_step[MR * most_code_tokens / 16];
    code_queries<MR> q;
    round_queries<MR>(D, span, rows.q + (size_t) r0 * D, q);
    for (int p = 0; p < span.n_pages; p++) {
        const quantized_block & b = span.pages[p];
        score_codes<MR>(D, P, b.k_codes, q.q8 + p * MR * D, q.base + p * MR, q.step, b.v_codes, s + p * P);
    }
    for (int r = 0; r < MR; r++) {
        float * row = s + r * most_code_tokens;
        cap_scores(row, span.n_tokens, rows.soft_cap);
        for (int p = 0; p < span.n_pages; p++) {
            if (const uint64_t * words = run.visible[first_page + p]) {
                hide(row + p * P, P, words[(r0 + r) / rows.per_token]);
            }
        }
        float & row_max = rows.max[r0 + r];
        float & row_sum = rows.sum[r0 + r];
        const float shrink = raise_maximum(row_maximum(row, span.n_tokens), row_max, row_sum);
        // A row that has seen nothing yet has weights of 0 against any finite maximum.
        const float against = row_max == minus_infinity ? 0.0f : row_max;
        float sums[most_code_tokens / 16];
        const vf add = simd::set1(round_weights(span, P, row, against, row_sum, w8 + r * most_code_tokens, w_step + r, MR,
                                                rows.page_sum ? sums : nullptr));
        for (int p = 0; p < span.n_pages && rows.page_sum; p++) {
            const ptrdiff_t at = (r0 + r) * rows.page_stride + run.index[first_page + p];
            rows.page_sum[at] = sums[p];
            rows.page_max[at] = row_max;
        }
        const vf by = simd::set1(shrink);
        for (int32_t d = 0; d < D; d += W) {
            simd::store(out + r * D + d, simd::fma(simd::load(out + r * D + d), by, add));
        }
    }
    const size_t header_bytes = (size_t) (span.pages[0].k_codes - span.blocks[0]);
    for (int p = 0; p < span.n_pages; p++) {
        for (size_t at = 0; at < header_bytes; at += 64) {
            simd::prefetch(span.next[p] + at);
        }
        add_codes<MR>(D, P, format, span.pages[p].v_codes, w8 + p * P, w_step + p * MR, span.next[p] + header_bytes, out);
    }
}

void open_span(const head_shape & shape, const page_run & run, int first_page, int n_pages, code_span & span) {
    span.blocks = run.blocks + first_page;
    span.next = span.blocks + (first_page + 2 * n_pages <= run.n ? n_pages : 0);
    span.n_pages = n_pages;
    span.n_tokens = n_pages * shape.page_tokens;
    for (int p = 0; p < n_pages; p++) {
        const quantized_block b = open_block(shape, span.blocks[p]);
        for (int t = 0; t < shape.page_tokens; t += W) {
            const int at = p * shape.page_tokens + t;
            simd::store(span.v_scale + at, simd::mul(simd::load(b.v_scale + t), simd::set1(b.h.v_scale)));
            simd::store(span.v_min + at, simd::mul(simd::load(b.v_min + t), simd::set1(b.h.v_min)));
        }
        span.pages[p] = b;
    }
}

void attend_rows_codes(const head_shape & shape, page_format format, const page_run & run, const query_rows & rows) {
    const int pages_per_span = code_tokens(shape.dim) / shape.page_tokens;
    code_span span;
    for (int first = 0; first < run.n; first += pages_per_span) {
        open_span(shape, run, first, run.n - first < pages_per_span ? run.n - first : pages_per_span, span);
        for_each_tile<4>(rows.n, [&](auto mr, int32_t r) {
            attend_codes<decltype(mr)::value>(shape, format, span, run, first, rows, r);
        });
    }
}

}  // namespace
