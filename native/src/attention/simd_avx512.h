// AVX-512 (F, BW, VL, DQ, VNNI) for kernels_impl.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

struct simd {
    using vf = __m512;           // f32 lanes
    using vi = __m512i;          // bytes or i32 lanes
    static constexpr int width = 16;
    static constexpr int tile_rows = 6;          // rows x vectors of a matrix tile that fit the registers
    static constexpr int tile_vectors = 4;
    static constexpr float least_power = -160.0f;      // 2^x is 0 there
    // Up to so many rows read f16 pages as they lie in memory; more are worth widening them for.
    static constexpr int direct_half_rows = 15;

    static vf zero() { return _mm512_setzero_ps(); }
    static vf set1(float x) { return _mm512_set1_ps(x); }
    static vf load(const float * p) { return _mm512_loadu_ps(p); }
    static vf load(const uint16_t * p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p)); }
    static vf load(const uint8_t * p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *) p))); }
    static vf load(const int8_t * p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) p))); }
    static void store(float * p, vf x) { _mm512_storeu_ps(p, x); }
    static void store_half(uint16_t * p, vf x) {
        _mm256_storeu_si256((__m256i *) p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    static vf add(vf a, vf b) { return _mm512_add_ps(a, b); }
    static vf sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
    static vf mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
    static vf div(vf a, vf b) { return _mm512_div_ps(a, b); }
    static vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
    static vf max(vf a, vf b) { return _mm512_max_ps(a, b); }
    static vf min(vf a, vf b) { return _mm512_min_ps(a, b); }
    static vf abs(vf a) { return _mm512_abs_ps(a); }
    static vf round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    static vf ldexp(vf a, vf n) { return _mm512_scalef_ps(a, n); }
    static vf masked(vf x, uint32_t bits, vf other) { return _mm512_mask_mov_ps(other, (__mmask16) bits, x); }
    static float reduce_add(vf a) { return _mm512_reduce_add_ps(a); }
    static float reduce_max(vf a) { return _mm512_reduce_max_ps(a); }
    static float reduce_min(vf a) { return _mm512_reduce_min_ps(a); }

    static vi izero() { return _mm512_setzero_si512(); }
    static vi iadd(vi a, vi b) { return _mm512_add_epi32(a, b); }
    static vi load_bytes(const uint8_t * p) { return _mm512_loadu_si512(p); }
    template <int Shift, int Mask>
    static vi field(vi x) { return _mm512_and_si512(_mm512_srli_epi16(x, Shift), _mm512_set1_epi8(Mask)); }
    // acc[lane] += sum of 4 products of the lane's bytes, codes below 16, with 4 broadcast bytes.
    static vi dot_signed(vi acc, vi codes, int32_t four) { return dot(acc, codes, _mm512_set1_epi32(four)); }
    static vi dot_unsigned(vi acc, vi codes, int32_t four) { return dot(acc, _mm512_set1_epi32(four), codes); }
    // Mask bits of each 32-bit lane, from Shift on, as numbers.
    template <int Shift, int Mask>
    static vf lane_field(vi x) { return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(x, Shift), _mm512_set1_epi32(Mask))); }
    static vi load_words(const int16_t * p) { return _mm512_loadu_si512(p); }
    // Rounds pairs of numbers and puts them side by side, a first.
    static void store_words(int16_t * p, vf a, vf b) {
        const __m512i high = _mm512_slli_epi32(_mm512_cvtps_epi32(b), 16);
        _mm512_storeu_si512(p, _mm512_mask_mov_epi16(high, 0x55555555, _mm512_cvtps_epi32(a)));
    }
    static void store_i16(int16_t * p, vf x) { _mm256_storeu_si256((__m256i *) p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x))); }
    // acc[lane] += sum of the products of the lane's 2 words with 2 broadcast ones.
    static vi dot_words(vi acc, vi words, int32_t two) {
        __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(words), "v"(_mm512_set1_epi32(two)));
        return acc;
    }
    static vf to_float(vi x) { return _mm512_cvtepi32_ps(x); }
    static void store_i8(int8_t * p, vf x) { _mm_storeu_si128((__m128i *) p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x))); }
    static void store_u8(uint8_t * p, vf x) { _mm_storeu_si128((__m128i *) p, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(x))); }
    // Into the second-level cache: the first has too few misses in flight to hide the latency of memory.
    static void prefetch(const void * p) { _mm_prefetch((const char *) p, _MM_HINT_T1); }

private:
    // The intrinsic, but gcc 12 copies its accumulator back and forth.
    static vi dot(vi acc, vi u8, vi s8) {
        __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u8), "v"(s8));
        return acc;
    }
};

}  // namespace
