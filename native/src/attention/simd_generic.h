// Plain C++ for kernels_impl.h: any CPU, and the easiest to check the others against.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

struct simd {
    static constexpr int width = 4;
    static constexpr int tile_rows = 2;
    static constexpr int tile_vectors = 4;
    static constexpr float least_power = -160.0f;      // 2^x is 0 there
    // Up to so many rows read f16 pages as they lie in memory; more are worth widening them for.
    static constexpr int direct_half_rows = 8;
    struct vf { float at[width]; };
    struct vi { uint8_t at[4 * width]; };

    template <typename F>
    static vf each(F && f) {
        vf x;
        for (int i = 0; i < width; i++) {
            x.at[i] = f(i);
        }
        return x;
    }

    static vf zero() { return set1(0.0f); }
    static vf set1(float v) { return each([&](int) { return v; }); }
    static vf load(const float * p) { return each([&](int i) { return p[i]; }); }
    static vf load(const uint16_t * p) { return each([&](int i) { return to_f32(p[i]); }); }
    static vf load(const uint8_t * p) { return each([&](int i) { return (float) p[i]; }); }
    static vf load(const int8_t * p) { return each([&](int i) { return (float) p[i]; }); }
    static void store(float * p, vf x) { std::memcpy(p, x.at, sizeof(x.at)); }
    static void store_half(uint16_t * p, vf x) {
        for (int i = 0; i < width; i++) {
            p[i] = to_f16(x.at[i]);
        }
    }
    static vf add(vf a, vf b) { return each([&](int i) { return a.at[i] + b.at[i]; }); }
    static vf sub(vf a, vf b) { return each([&](int i) { return a.at[i] - b.at[i]; }); }
    static vf mul(vf a, vf b) { return each([&](int i) { return a.at[i] * b.at[i]; }); }
    static vf div(vf a, vf b) { return each([&](int i) { return a.at[i] / b.at[i]; }); }
    static vf fma(vf a, vf b, vf c) { return each([&](int i) { return a.at[i] * b.at[i] + c.at[i]; }); }
    static vf max(vf a, vf b) { return each([&](int i) { return a.at[i] > b.at[i] ? a.at[i] : b.at[i]; }); }
    static vf min(vf a, vf b) { return each([&](int i) { return a.at[i] < b.at[i] ? a.at[i] : b.at[i]; }); }
    static vf abs(vf a) { return each([&](int i) { return std::fabs(a.at[i]); }); }
    static vf round(vf a) { return each([&](int i) { return std::nearbyint(a.at[i]); }); }
    static vf ldexp(vf a, vf n) { return each([&](int i) { return std::ldexp(a.at[i], (int) n.at[i]); }); }
    static vf masked(vf x, uint32_t bits, vf other) {
        return each([&](int i) { return bits >> i & 1 ? x.at[i] : other.at[i]; });
    }
    static float reduce_add(vf a) { return (a.at[0] + a.at[1]) + (a.at[2] + a.at[3]); }
    static float reduce_max(vf a) { return std::fmax(std::fmax(a.at[0], a.at[1]), std::fmax(a.at[2], a.at[3])); }

    static vi izero() { return {}; }
    static vi iadd(vi a, vi b) {
        uint32_t x[width], y[width];
        std::memcpy(x, a.at, sizeof(x));
        std::memcpy(y, b.at, sizeof(y));
        for (int i = 0; i < width; i++) {
            x[i] += y[i];
        }
        std::memcpy(a.at, x, sizeof(x));
        return a;
    }
    static vi load_bytes(const uint8_t * p) {
        vi x;
        std::memcpy(x.at, p, sizeof(x.at));
        return x;
    }
    template <int Shift, int Mask>
    static vi field(vi x) {
        for (uint8_t & b : x.at) {
            b = b >> Shift & Mask;
        }
        return x;
    }
    static vi dot_signed(vi acc, vi codes, int32_t four) { return dot<int8_t>(acc, codes, four); }
    static vi dot_unsigned(vi acc, vi codes, int32_t four) { return dot<uint8_t>(acc, codes, four); }
    // Mask bits of each 32-bit lane, from Shift on, as numbers.
    template <int Shift, int Mask>
    static vf lane_field(vi x) {
        uint32_t lanes[width];
        std::memcpy(lanes, x.at, sizeof(lanes));
        return each([&](int i) { return (float) (lanes[i] >> Shift & Mask); });
    }
    static vf to_float(vi x) {
        int32_t lanes[width];
        std::memcpy(lanes, x.at, sizeof(lanes));
        return each([&](int i) { return (float) lanes[i]; });
    }
    static void store_i8(int8_t * p, vf x) {
        for (int i = 0; i < width; i++) {
            p[i] = (int8_t) std::nearbyint(std::fmin(127.0f, std::fmax(-128.0f, x.at[i])));
        }
    }
    static void store_u8(uint8_t * p, vf x) {
        for (int i = 0; i < width; i++) {
            p[i] = (uint8_t) std::nearbyint(std::fmin(255.0f, std::fmax(0.0f, x.at[i])));
        }
    }
    static void prefetch(const void *) {}

private:
    template <typename B>
    static vi dot(vi acc, vi codes, int32_t four) {
        int32_t lanes[width];
        B with[4];
        std::memcpy(lanes, acc.at, sizeof(lanes));
        std::memcpy(with, &four, sizeof(with));
        for (int i = 0; i < width; i++) {
            for (int j = 0; j < 4; j++) {
                lanes[i] += codes.at[4 * i + j] * with[j];
            }
        }
        std::memcpy(acc.at, lanes, sizeof(lanes));
        return acc;
    }

    static float to_f32(uint16_t h) {
        const uint32_t sign = (uint32_t) (h & 0x8000) << 16;
        const uint32_t exponent = h >> 10 & 31, fraction = h & 1023;
        float x;
        if (exponent == 0) {
            x = std::ldexp((float) fraction, -24);
            return sign ? -x : x;
        }
        const uint32_t bits = sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | fraction << 13;
        std::memcpy(&x, &bits, 4);
        return x;
    }

    // To nearest, ties to even.
    static uint16_t to_f16(float x) {
        uint32_t bits;
        std::memcpy(&bits, &x, 4);
        const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
        if (magnitude >= 0x7F800000) {
            return (uint16_t) (sign | (magnitude > 0x7F800000 ? 0x7E00 : 0x7C00));
        }
        if (magnitude >= 0x477FF000) {                                 // 65520 and above round to infinity
            return (uint16_t) (sign | 0x7C00);
        }
        if (magnitude < 0x38800000) {                                  // below 2^-14: subnormal
            return (uint16_t) (sign | (uint32_t) std::nearbyint(std::ldexp(std::fabs(x), 24)));
        }
        const uint32_t even = magnitude >> 13 & 1;
        return (uint16_t) (sign | ((magnitude + 0xFFF + even - (112u << 23)) >> 13));
    }
};

}  // namespace
