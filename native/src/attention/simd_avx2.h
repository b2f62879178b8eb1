// AVX2, FMA and F16C for kernels_impl.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

struct simd {
    using vf = __m256;
    using vi = __m256i;
    static constexpr int width = 8;
    static constexpr int tile_rows = 6;
    static constexpr int tile_vectors = 2;
    static constexpr float least_power = -127.0f;      // ldexp gives 0 there
    // Up to so many rows read f16 pages as they lie in memory; more are worth widening them for.
    static constexpr int direct_half_rows = 24;

    static vf zero() { return _mm256_setzero_ps(); }
    static vf set1(float x) { return _mm256_set1_ps(x); }
    static vf load(const float * p) { return _mm256_loadu_ps(p); }
    static vf load(const uint16_t * p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p)); }
    static vf load(const uint8_t * p) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *) p))); }
    static vf load(const int8_t * p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) p))); }
    static void store(float * p, vf x) { _mm256_storeu_ps(p, x); }
    static void store_half(uint16_t * p, vf x) {
        _mm_storeu_si128((__m128i *) p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    static vf add(vf a, vf b) { return _mm256_add_ps(a, b); }
    static vf sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
    static vf mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
    static vf div(vf a, vf b) { return _mm256_div_ps(a, b); }
    static vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
    static vf max(vf a, vf b) { return _mm256_max_ps(a, b); }
    static vf min(vf a, vf b) { return _mm256_min_ps(a, b); }
    static vf abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
    static vf round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    static vf ldexp(vf a, vf n) {
        const __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
        return _mm256_mul_ps(a, _mm256_castsi256_ps(bits));
    }
    static vf masked(vf x, uint32_t bits, vf other) {
        const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        const __m256i keep = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int) bits), lane), lane);
        return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(keep));
    }
    static float reduce_add(vf a) {
        __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
    }
    static float reduce_max(vf a) {
        __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
    }

    static vi izero() { return _mm256_setzero_si256(); }
    static vi iadd(vi a, vi b) { return _mm256_add_epi32(a, b); }
    static vi load_bytes(const uint8_t * p) { return _mm256_loadu_si256((const __m256i *) p); }
    template <int Shift, int Mask>
    static vi field(vi x) { return _mm256_and_si256(_mm256_srli_epi16(x, Shift), _mm256_set1_epi8(Mask)); }
    // Two products of a code below 16 and a byte fit 16 bits, so the saturation of maddubs never shows.
    static vi dot_signed(vi acc, vi codes, int32_t four) {
        const __m256i pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi32(four));
        return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    static vi dot_unsigned(vi acc, vi codes, int32_t four) {
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi32(four), codes);
        return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    // Mask bits of each 32-bit lane, from Shift on, as numbers.
    template <int Shift, int Mask>
    static vf lane_field(vi x) { return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(x, Shift), _mm256_set1_epi32(Mask))); }
    static vf to_float(vi x) { return _mm256_cvtepi32_ps(x); }
    static void store_i8(int8_t * p, vf x) { _mm_storel_epi64((__m128i *) p, _mm_packs_epi16(words(x), _mm_setzero_si128())); }
    static void store_u8(uint8_t * p, vf x) { _mm_storel_epi64((__m128i *) p, _mm_packus_epi16(words(x), _mm_setzero_si128())); }
    static void prefetch(const void * p) { _mm_prefetch((const char *) p, _MM_HINT_T1); }      // as on AVX-512

private:
    static __m128i words(vf x) {
        const __m256i i = _mm256_cvtps_epi32(x);
        return _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    }
};

}  // namespace
