// row_products for the blocks of `row_simd`, which the including file has defined. Each product has eight partial sums, lane
// by lane those of ggml's AVX2 code (ggml_vec_dot_q4_1_q8_1, ggml_vec_dot_q8_0_q8_0): integers are exact however they are
// added, scales are multiplied first and then fused, lanes are added from the middle. q4_1's sum of minima is a ninth.
#pragma once

#include "row_products.h"

#include "attention/kernel_math_impl.h"

#include <immintrin.h>

#include <cstring>

namespace {

using llmm::row_products;
using llmm::weight_format;

constexpr int row_tile = 4;                      // rows of weights at once
constexpr int32_t row_prefetch = 4096;           // bytes: a tile's rows are too short for the processor's own prefetching

template <weight_format F>
struct row_block;

template <>
struct row_block<weight_format::q4_1> {
    static constexpr int32_t x_bytes = 20, x_codes = 4, y_bytes = 36, y_codes = 4;
    using scale = uint32_t;                      // d and m, d and s: f16 each
};

template <>
struct row_block<weight_format::q8_0> {
    static constexpr int32_t x_bytes = 34, x_codes = 2, y_bytes = 34, y_codes = 2;
    using scale = uint16_t;                      // d, and nothing in the other's place
};

template <weight_format F>
inline int scale_at(const uint8_t * block) {
    typename row_block<F>::scale bits;
    std::memcpy(&bits, block, sizeof(bits));
    return (int) bits;
}

// The lanes of each of four added as ggml adds them: (0 + 4) + (2 + 6), (1 + 5) + (3 + 7), and these.
inline __m128 sums_of_lanes(__m256 a, __m256 b, __m256 c, __m256 d) {
    const auto halves = [](__m256 x) { return _mm_add_ps(_mm256_extractf128_ps(x, 1), _mm256_castps256_ps128(x)); };
    const auto quarters = [](__m128 x, __m128 y) { return _mm_add_ps(_mm_movelh_ps(x, y), _mm_movehl_ps(y, x)); };
    const __m128 ab = quarters(halves(a), halves(b)), cd = quarters(halves(c), halves(d));
    return _mm_add_ps(_mm_shuffle_ps(ab, cd, _MM_SHUFFLE(2, 0, 2, 0)), _mm_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 1, 3, 1)));
}

// What rows of activations are scaled by: of C rows, block after block, d and s (or 0) of each. Writes some numbers more.
template <weight_format F, int C>
inline void read_scales(int32_t n_blocks, const uint8_t * y, ptrdiff_t y_stride, float * scales) {
    const auto of = [&](int c, int32_t b) { return c < C ? scale_at<F>(y + c * y_stride + (ptrdiff_t) b * row_block<F>::y_bytes) : 0; };
    for (int32_t b = 0; b < n_blocks; b++) {
        _mm256_storeu_ps(scales + (ptrdiff_t) b * 2 * C, _mm256_cvtph_ps(_mm_set_epi32(of(3, b), of(2, b), of(1, b), of(0, b))));
    }
}

// row_tile rows x C rows. x[r] is the first block of a row, y_scales is of read_scales; ahead: what to fetch meanwhile, null for
// nothing. The first n_x products of each column are written.
template <weight_format F, int C>
inline void row_products_tile(int32_t n_blocks, const uint8_t * const (&x)[row_tile], const uint8_t * ahead, const uint8_t * y,
                              ptrdiff_t y_stride, const float * y_scales, float * out, ptrdiff_t out_stride, int n_x) {
    using block = row_block<F>;
    constexpr int V = row_tile / row_simd::rows, S = row_simd::scaled_columns;
    typename row_simd::floats sum[C][V], minima[(C + S - 1) / S];
    for (auto & of_column : sum) {
        for (auto & v : of_column) {
            v = row_simd::zero();
        }
    }
    for (auto & m : minima) {
        m = row_simd::zero();
    }
    for (int32_t b = 0; b < n_blocks; b++) {
        const ptrdiff_t at = (ptrdiff_t) b * block::x_bytes;
        const auto x_scales = row_simd::scales_of_rows(_mm256_cvtph_ps(
            _mm_set_epi32(scale_at<F>(x[3] + at), scale_at<F>(x[2] + at), scale_at<F>(x[1] + at), scale_at<F>(x[0] + at))));
        typename row_simd::ints codes[V];
        for (int v = 0; v < V; v++) {
            codes[v] = row_simd::template load<F>(x + v * row_simd::rows, at + block::x_codes);
        }
        if (ahead) {
            for (int32_t i = 0; i < row_tile * block::x_bytes; i += 64) {
                _mm_prefetch(reinterpret_cast<const char *>(ahead + row_tile * at + i), _MM_HINT_T0);
            }
        }
        for (int c = 0; c < C; c += S) {
            const auto of_columns = row_simd::template scales_of_columns<(C > 1)>(y_scales + 2 * ((ptrdiff_t) b * C + c));
            const auto scales = row_simd::mul(x_scales, of_columns);
            if (F == weight_format::q4_1) {
                minima[c / S] = row_simd::fma(x_scales, of_columns, minima[c / S]);
            }
            for (int k = 0; k < S && c + k < C; k++) {
                const auto activations = row_simd::template activations<F>(y + (c + k) * y_stride + (ptrdiff_t) b * block::y_bytes + block::y_codes);
                for (int v = 0; v < V; v++) {
                    sum[c + k][v] = row_simd::fma(row_simd::spread(scales, v, k), row_simd::template dot<F>(codes[v], activations), sum[c + k][v]);
                }
            }
        }
    }
    for (int c = 0; c < C; c++) {
        const auto row = [&](int r) { return row_simd::row(sum[c][r / row_simd::rows], r % row_simd::rows); };
        __m128 products = sums_of_lanes(row(0), row(1), row(2), row(3));
        if (F == weight_format::q4_1) {
            products = _mm_add_ps(products, row_simd::minima_of_rows(minima[c / S], c % S));
        }
        if (n_x == row_tile) {
            _mm_storeu_ps(out + c * out_stride, products);
        } else {
            float some[row_tile];
            _mm_storeu_ps(some, products);
            std::memcpy(out + c * out_stride, some, n_x * sizeof(float));
        }
    }
}

template <weight_format F>
void multiply_rows_of(const row_products & p) {
    static_assert(row_simd::columns <= 4, "read_scales reads four");
    float scales[2 * row_simd::columns * llmm::most_row_blocks + 8];
    for_each_tile<row_simd::columns>(p.n_y, [&](auto columns, int32_t j) {
        constexpr int C = decltype(columns)::value;
        const uint8_t * y = p.y + j * p.y_stride;
        read_scales<F, C>(p.n_blocks, y, p.y_stride, scales);
        for (int32_t i = 0; i < p.n_x; i += row_tile) {
            const int n_x = p.n_x - i < row_tile ? p.n_x - i : row_tile;
            const uint8_t * x[row_tile];
            for (int r = 0; r < row_tile; r++) {
                x[r] = p.x + (i + (r < n_x ? r : 0)) * p.x_stride;
            }
            row_products_tile<F, C>(p.n_blocks, x, j == 0 ? x[0] + row_prefetch : nullptr, y, p.y_stride, scales,
                                    p.out + j * p.out_stride + i, p.out_stride, n_x);
        }
    });
}

void multiply_rows(weight_format format, const row_products & p) {
    switch (format) {
        case weight_format::q4_1: return multiply_rows_of<weight_format::q4_1>(p);
        case weight_format::q8_0: return multiply_rows_of<weight_format::q8_0>(p);
    }
}

}  // namespace
