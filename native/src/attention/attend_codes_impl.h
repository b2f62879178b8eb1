// Attention of few rows over quantised pages: products of small integers straight from the codes. Queries are rounded to
// 8 bits per chunk after taking in the channels' scales, softmax weights to 8 bits per page after taking in the tokens'
// scales.
#pragma once

#include "codec_impl.h"
#include "softmax_impl.h"

namespace {

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
        const float shrink = softmax_step(row, n_tokens, rows.max[r0 + r], rows.sum[r0 + r]).shrink;
        for (int p = 0; p < n_pages && rows.page_sum; p++) {
            vf sum = simd::zero();
            for (int i = 0; i < P; i += W) {
                sum = simd::add(sum, simd::load(row + p * P + i));
            }
            const ptrdiff_t at = (r0 + r) * rows.page_stride + run.index[first_page + p];
            rows.page_sum[at] = simd::reduce_add(sum);
            rows.page_max[at] = rows.max[r0 + r];
        }
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

}  // namespace
