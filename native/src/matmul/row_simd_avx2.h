// A block of one row of weights in a register, for row_products_impl.h.
#pragma once

#include "row_products.h"

#include <immintrin.h>

namespace {

struct row_simd {
    using ints = __m256i;
    using floats = __m256;
    static constexpr int rows = 1;
    static constexpr int columns = 2;

    static floats zero() { return _mm256_setzero_ps(); }
    static floats mul(floats a, floats b) { return _mm256_mul_ps(a, b); }
    static floats fma(floats a, floats b, floats c) { return _mm256_fmadd_ps(a, b, c); }
    static __m256 row(floats x, int) { return x; }

    static constexpr int scaled_columns = 1;
    static floats scales_of_rows(__m256 x) { return x; }
    template <bool>
    static floats scales_of_columns(const float * y) {
        return _mm256_castsi256_ps(_mm256_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(y))));
    }
    static __m128 minima_of_rows(floats x, int) {
        return _mm256_castps256_ps128(_mm256_permutevar8x32_ps(x, _mm256_setr_epi32(1, 3, 5, 7, 1, 3, 5, 7)));
    }
    static floats spread(floats scales, int v, int) { return _mm256_permutevar8x32_ps(scales, _mm256_set1_epi32(2 * v)); }

    template <llmm::weight_format F>
    static ints load(const uint8_t * const * x, ptrdiff_t at) {
        if (F == llmm::weight_format::q4_1) {
            const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i *>(x[0] + at)));
            return _mm256_and_si256(_mm256_srlv_epi64(twice, _mm256_set_epi64x(4, 4, 0, 0)), _mm256_set1_epi8(15));
        }
        return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x[0] + at));
    }

    template <llmm::weight_format F>
    static ints activations(const uint8_t * p) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
    }

    // Pairs of products fit 16 bits: one factor is at most 128, the other at most 127.
    template <llmm::weight_format F>
    static floats dot(ints x, ints y) {
        const bool is_signed = F == llmm::weight_format::q8_0;
        const __m256i size = is_signed ? _mm256_sign_epi8(x, x) : x, other = is_signed ? _mm256_sign_epi8(y, x) : y;
        return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_maddubs_epi16(size, other), _mm256_set1_epi16(1)));
    }
};

}  // namespace
