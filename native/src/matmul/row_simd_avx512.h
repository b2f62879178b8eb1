// Blocks of two rows of weights in a register, for row_products_impl.h.
#pragma once

#include "row_products.h"

#include <immintrin.h>

namespace {

struct row_simd {
    using ints = __m512i;
    using floats = __m512;
    static constexpr int rows = 2;               // of a register
    static constexpr int columns = 4;            // that sums fit the registers of

    struct codes {
        __m512i bytes;
        __m512i start;                           // where sums of products begin
    };

    static floats zero() { return _mm512_setzero_ps(); }
    static floats mul(floats a, floats b) { return _mm512_mul_ps(a, b); }
    static floats fma(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
    static __m256 row(floats x, int r) { return r == 0 ? _mm512_castps512_ps256(x) : _mm512_extractf32x8_ps(x, 1); }

    // Scales of rows [r][d, m] -> [r][d, m, d, m], and of columns [c][d, s] -> [r][c][d, s]: their product has those of every
    // row with two columns.
    static constexpr int scaled_columns = 2;
    static floats scales_of_rows(__m256 x) {
        return _mm512_castpd_ps(_mm512_permutexvar_pd(_mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), _mm512_castpd256_pd512(_mm256_castps_pd(x))));
    }
    template <bool Two>
    static floats scales_of_columns(const float * y) {
        return Two ? _mm512_broadcast_f32x4(_mm_loadu_ps(y))
                   : _mm512_castsi512_ps(_mm512_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(y))));
    }
    static __m128 minima_of_rows(floats x, int column) {
        const __m512i lanes = _mm512_add_epi32(_mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 9, 5, 1), _mm512_set1_epi32(2 * column));
        return _mm512_castps512_ps128(_mm512_permutexvar_ps(lanes, x));
    }

    // The scales of rows 2 v and 2 v + 1 with a column, eight times each.
    static floats spread(floats scales, int v, int column) {
        const __m512i second = _mm512_set_epi32(4, 4, 4, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0);
        return _mm512_permutexvar_ps(_mm512_add_epi32(second, _mm512_set1_epi32(8 * v + 2 * column)), scales);
    }

    // Codes of a block of two rows, not negative: those of q8_0 have 128 added.
    template <llmm::weight_format F>
    static ints load(const uint8_t * const * x, ptrdiff_t at) {
        if (F == llmm::weight_format::q4_1) {
            const auto low_and_high = [&](const uint8_t * p) {
                return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
            };
            const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(low_and_high(x[0] + at)), low_and_high(x[1] + at), 1);
            const __m512i shift = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
            return _mm512_and_si512(_mm512_srlv_epi64(both, shift), _mm512_set1_epi8(15));
        }
        const auto bytes = [&](const uint8_t * p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)); };
        const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(bytes(x[0] + at)), bytes(x[1] + at), 1);
        return _mm512_xor_si512(both, _mm512_set1_epi8(-128));
    }

    template <llmm::weight_format F>
    static codes activations(const uint8_t * p) {
        const __m512i y = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
        const __m512i none = _mm512_setzero_si512();
        if (F == llmm::weight_format::q4_1) {
            return { y, none };
        }
        return { y, _mm512_sub_epi32(none, _mm512_dpbusd_epi32(none, _mm512_set1_epi8(-128), y)) };
    }

    template <llmm::weight_format F>
    static floats dot(ints x, const codes & y) {
        return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(y.start, x, y.bytes));
    }
};

}  // namespace
