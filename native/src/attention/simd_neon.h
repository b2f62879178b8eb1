// NEON of ARMv8.2 with the dot product extension for kernels_impl.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace {

struct simd {
    using vf = float32x4_t;
    using vi = uint8x16_t;
    static constexpr int width = 4;
    static constexpr int tile_rows = 6;
    static constexpr int tile_vectors = 4;
    static constexpr float least_power = -127.0f;      // ldexp gives 0 there
    // Up to so many rows read f16 pages as they lie in memory; more are worth widening them for.
    static constexpr int direct_half_rows = 8;

    static vf zero() { return vdupq_n_f32(0.0f); }
    static vf set1(float x) { return vdupq_n_f32(x); }
    static vf load(const float * p) { return vld1q_f32(p); }
    static vf load(const uint16_t * p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
    static vf load(const uint8_t * p) {
        uint32_t four;
        std::memcpy(&four, p, 4);
        return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
    }
    static vf load(const int8_t * p) {
        uint32_t four;
        std::memcpy(&four, p, 4);
        return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(four)))));
    }
    static void store(float * p, vf x) { vst1q_f32(p, x); }
    static void store_half(uint16_t * p, vf x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
    static vf add(vf a, vf b) { return vaddq_f32(a, b); }
    static vf sub(vf a, vf b) { return vsubq_f32(a, b); }
    static vf mul(vf a, vf b) { return vmulq_f32(a, b); }
    static vf div(vf a, vf b) { return vdivq_f32(a, b); }
    static vf fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
    static vf max(vf a, vf b) { return vmaxq_f32(a, b); }
    static vf min(vf a, vf b) { return vminq_f32(a, b); }
    static vf abs(vf a) { return vabsq_f32(a); }
    static vf round(vf a) { return vrndnq_f32(a); }
    static vf ldexp(vf a, vf n) {
        const int32x4_t bits = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
        return vmulq_f32(a, vreinterpretq_f32_s32(bits));
    }
    static vf masked(vf x, uint32_t bits, vf other) {
        static const uint32_t lane[4] = { 1, 2, 4, 8 };
        return vbslq_f32(vtstq_u32(vdupq_n_u32(bits), vld1q_u32(lane)), x, other);
    }
    static float reduce_add(vf a) { return vaddvq_f32(a); }
    static float reduce_max(vf a) { return vmaxvq_f32(a); }

    static vi izero() { return vdupq_n_u8(0); }
    static vi iadd(vi a, vi b) { return vreinterpretq_u8_u32(vaddq_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b))); }
    static vi load_bytes(const uint8_t * p) { return vld1q_u8(p); }
    template <int Shift, int Mask>
    static vi field(vi x) {
        if constexpr (Shift > 0) {
            x = vshrq_n_u8(x, Shift);
        }
        return vandq_u8(x, vdupq_n_u8(Mask));
    }
    static vi dot_signed(vi acc, vi codes, int32_t four) {
        return vreinterpretq_u8_s32(vdotq_s32(vreinterpretq_s32_u8(acc), vreinterpretq_s8_u8(codes),
                                              vreinterpretq_s8_s32(vdupq_n_s32(four))));
    }
    static vi dot_unsigned(vi acc, vi codes, int32_t four) {
        return vreinterpretq_u8_u32(vdotq_u32(vreinterpretq_u32_u8(acc), codes, vreinterpretq_u8_s32(vdupq_n_s32(four))));
    }
    // Mask bits of each 32-bit lane, from Shift on, as numbers.
    template <int Shift, int Mask>
    static vf lane_field(vi x) {
        uint32x4_t lanes = vreinterpretq_u32_u8(x);
        if constexpr (Shift > 0) {
            lanes = vshrq_n_u32(lanes, Shift);
        }
        return vcvtq_f32_u32(vandq_u32(lanes, vdupq_n_u32(Mask)));
    }
    static vf to_float(vi x) { return vcvtq_f32_s32(vreinterpretq_s32_u8(x)); }
    static void store_i8(int8_t * p, vf x) {
        const int16x4_t w = vqmovn_s32(vcvtnq_s32_f32(x));
        const int8x8_t b = vqmovn_s16(vcombine_s16(w, w));
        vst1_lane_s32((int32_t *) p, vreinterpret_s32_s8(b), 0);
    }
    static void store_u8(uint8_t * p, vf x) {
        const uint16x4_t w = vqmovun_s32(vcvtnq_s32_f32(x));
        const uint8x8_t b = vqmovn_u16(vcombine_u16(w, w));
        vst1_lane_u32((uint32_t *) p, vreinterpret_u32_u8(b), 0);
    }
    static void prefetch(const void * p) { __builtin_prefetch(p); }
};

}  // namespace
