// Quantised pages: how their blocks open, codes to numbers and back, rotation, and storing tokens in f16.
#pragma once

#include "kernel_math_impl.h"

namespace {

struct quantized_block {
    quantized_header h;
    const uint8_t * k_scale;
    const int8_t * k_min;
    const uint8_t * v_scale;
    const int8_t * v_min;
    const uint8_t * k_codes;
    const uint8_t * v_codes;
};

inline quantized_block open_block(const head_shape & s, const uint8_t * data) {
    quantized_block b;
    __builtin_memcpy(&b.h, data, sizeof(b.h));
    b.k_scale = data + sizeof(b.h);
    b.k_min   = (const int8_t *) b.k_scale + s.dim;
    b.v_scale = b.k_scale + 2 * s.dim;
    b.v_min   = (const int8_t *) b.v_scale + s.page_tokens;
    b.k_codes = data + (sizeof(quantized_header) + 2 * (size_t) s.dim + 2 * (size_t) s.page_tokens + 63) / 64 * 64;
    b.v_codes = b.k_codes + elements(s) / 2;
    return b;
}

// Four neighbours of codes, as they lie in the bytes of each lane: to[j][..] = least[j] + scale[j] * code.
template <int Shift, int Mask>
inline void widen_four(vi x, const float * least, const float * scale, float * to, ptrdiff_t stride) {
    const auto one = [&](int j, vf code) {
        simd::store(to + j * stride, simd::fma(code, simd::set1(scale[j]), simd::set1(least[j])));
    };
    one(0, simd::lane_field<Shift, Mask>(x));
    one(1, simd::lane_field<8 + Shift, Mask>(x));
    one(2, simd::lane_field<16 + Shift, Mask>(x));
    one(3, simd::lane_field<24 + Shift, Mask>(x));
}

// One key block of 16 tokens, [dim][16] f32, and its values, [16][dim] f32.
void widen(const head_shape & s, page_format f, const quantized_block & b, int block, float * k, float * v) {
    float scale[max_head_dim], least[max_head_dim];
    for (int32_t d = 0; d < s.dim; d += W) {
        simd::store(scale + d, simd::mul(simd::load(b.k_scale + d), simd::set1(b.h.k_scale)));
        simd::store(least + d, simd::mul(simd::load(b.k_min + d), simd::set1(b.h.k_min)));
    }
    const uint8_t * codes = b.k_codes + (size_t) block * s.dim * 8;
    for (int32_t d = 0; d < s.dim; d += 8, codes += 64) {
        for (int lane = 0; lane < 16; lane += W) {
            const vi x = simd::load_bytes(codes + 4 * lane);
            widen_four<0, 15>(x, least + d, scale + d, k + 16 * d + lane, 16);
            widen_four<4, 15>(x, least + d + 4, scale + d + 4, k + 16 * (d + 4) + lane, 16);
        }
    }
    for (int t = 0; t < 16; t += W) {
        simd::store(scale + t, simd::mul(simd::load(b.v_scale + 16 * block + t), simd::set1(b.h.v_scale)));
        simd::store(least + t, simd::mul(simd::load(b.v_min + 16 * block + t), simd::set1(b.h.v_min)));
    }
    const int per_row = f == page_format::q4 ? 8 : 16;                 // tokens in 64 bytes of codes
    const ptrdiff_t n = s.dim;
    for (int32_t d = 0; d < s.dim; d += 16) {
        const uint8_t * row = b.v_codes + ((size_t) (d / 16) * (s.page_tokens / per_row) + 16 * block / per_row) * 64;
        for (int lane = 0; lane < 16; lane += W) {
            float * to = v + d + lane;
            const vi x = simd::load_bytes(row + 4 * lane);
            if (f == page_format::q4) {
                const vi y = simd::load_bytes(row + 64 + 4 * lane);
                widen_four<0, 15>(x, least, scale, to, n);
                widen_four<4, 15>(x, least + 4, scale + 4, to + 4 * n, n);
                widen_four<0, 15>(y, least + 8, scale + 8, to + 8 * n, n);
                widen_four<4, 15>(y, least + 12, scale + 12, to + 12 * n, n);
            } else {
                widen_four<0, 3>(x, least, scale, to, n);
                widen_four<2, 3>(x, least + 4, scale + 4, to + 4 * n, n);
                widen_four<4, 3>(x, least + 8, scale + 8, to + 8 * n, n);
                widen_four<6, 3>(x, least + 12, scale + 12, to + 12 * n, n);
            }
        }
    }
}

// ---- rotation ---------------------------------------------------------------------------------------------------

// Columns of [dim][16]: lanes are tokens, so every step is a vector operation.
void rotate_columns(int32_t dim, float * x) {
    const int32_t block = dim & -dim;
    for (int32_t half = 1; half < block; half *= 2) {
        for (int32_t d = 0; d < dim; d += 2 * half) {
            for (int32_t i = d; i < d + half; i++) {
                for (int t = 0; t < 16; t += W) {
                    const vf a = simd::load(x + 16 * i + t), b = simd::load(x + 16 * (i + half) + t);
                    simd::store(x + 16 * i + t, simd::add(a, b));
                    simd::store(x + 16 * (i + half) + t, simd::sub(a, b));
                }
            }
        }
    }
    const vf norm = simd::set1(1.0f / __builtin_sqrtf((float) block));
    for (int32_t i = 0; i < 16 * dim; i += W) {
        simd::store(x + i, simd::mul(simd::load(x + i), norm));
    }
}

// Signs of the Walsh-Hadamard matrix of W x W: (-1)^popcount(i & j) in row i.
struct walsh_signs {
    float at[W * W] = {};

    constexpr walsh_signs() {
        for (int i = 0; i < W; i++) {
            for (int j = 0; j < W; j++) {
                int odd = 0;
                for (int both = i & j; both != 0; both &= both - 1) {
                    odd ^= 1;
                }
                at[i * W + j] = odd ? -1.0f : 1.0f;
            }
        }
    }
};

// Steps within a vector are one product with a matrix of signs, those between vectors additions: no lanes to exchange.
void rotate(int32_t dim, float * rows, int32_t n) {
    alignas(64) static constexpr walsh_signs signs;
    const int32_t block = dim & -dim;
    const vf norm = simd::set1(1.0f / __builtin_sqrtf((float) block));
    for (int32_t r = 0; r < n; r++) {
        float * x = rows + (size_t) r * dim;
        for (int32_t d = 0; d < dim; d += W) {
            vf even = simd::zero(), odd = simd::zero();
            for (int i = 0; i < W; i += 2) {
                even = simd::fma(simd::set1(x[d + i]), simd::load(signs.at + i * W), even);
                odd = simd::fma(simd::set1(x[d + i + 1]), simd::load(signs.at + (i + 1) * W), odd);
            }
            simd::store(x + d, simd::mul(simd::add(even, odd), norm));
        }
        for (int32_t half = W; half < block; half *= 2) {
            for (int32_t d = 0; d < dim; d += 2 * half) {
                for (int32_t i = d; i < d + half; i += W) {
                    const vf a = simd::load(x + i), b = simd::load(x + i + half);
                    simd::store(x + i, simd::add(a, b));
                    simd::store(x + i + half, simd::sub(a, b));
                }
            }
        }
    }
}

// ---- storing and converting -------------------------------------------------------------------------------------

void store(const head_shape & shape, uint8_t * block, int32_t slot, const float * k, const float * v) {
    uint16_t * keys = (uint16_t *) block + (size_t) (slot / 16) * 16 * shape.dim + slot % 16;
    uint16_t * values = (uint16_t *) block + elements(shape) + (size_t) slot * shape.dim;
    alignas(64) uint16_t half[max_head_dim];
    for (int32_t d = 0; d < shape.dim; d += W) {
        simd::store_half(half + d, simd::load(k + d));
        simd::store_half(values + d, simd::load(v + d));
    }
    for (int32_t d = 0; d < shape.dim; d++) {
        keys[16 * d] = half[d];
    }
}

// A range [least, most] as 8-bit steps of two shared scales: the represented range holds the given one.
struct range_codes {
    float scale;                       // shared, of the steps and of the minima
    float min;
};

inline range_codes encode_ranges(const float * least, const float * most, int32_t n, float levels, uint8_t * scale, int8_t * min) {
    float far = 0, wide = 0;
    for (int32_t i = 0; i < n; i++) {
        const float a = __builtin_fabsf(least[i]);
        far = a > far ? a : far;
    }
    range_codes shared;
    shared.min = far / 127;
    for (int32_t i = 0; i < n; i++) {
        const float m = shared.min > 0 ? __builtin_floorf(least[i] / shared.min) : 0.0f;
        min[i] = (int8_t) (m < -128 ? -128 : m);
        const float width = (most[i] - min[i] * shared.min) / levels;
        wide = width > wide ? width : wide;
    }
    shared.scale = wide / 255;
    for (int32_t i = 0; i < n; i++) {
        const float width = (most[i] - min[i] * shared.min) / levels;
        const float s = shared.scale > 0 ? __builtin_ceilf(width / shared.scale) : 0.0f;
        scale[i] = (uint8_t) (s > 255 ? 255 : s < 1 ? 1 : s);
    }
    return shared;
}

inline uint8_t encode(float x, float least, float scale, float levels) {
    const float c = scale > 0 ? __builtin_rintf((x - least) / scale) : 0.0f;
    return (uint8_t) (c < 0 ? 0 : c > levels ? levels : c);
}

void quantize(const head_shape & shape, page_format to, const uint8_t * f16, int32_t n_tokens, uint8_t * out) {
    const int32_t D = shape.dim, P = shape.page_tokens;
    const int n_blocks = P / 16;
    const float levels = to == page_format::q4 ? 15.0f : 3.0f;
    const quantized_block b = open_block(shape, out);
    const size_t bytes = (size_t) (b.v_codes - out) + (size_t) D * P / (to == page_format::q4 ? 2 : 4);
    __builtin_memset(out, 0, bytes);
    alignas(64) float k[max_page_tokens * max_head_dim];       // [page/16][dim][16]
    alignas(64) float v[max_page_tokens * max_head_dim];       // the same
    const uint16_t * keys = (const uint16_t *) f16;
    const uint16_t * values = keys + elements(shape);
    for (size_t i = 0; i < elements(shape); i += W) {
        simd::store(k + i, simd::load(keys + i));
    }
    alignas(64) float row[max_head_dim];
    for (int32_t t = 0; t < P; t++) {
        for (int32_t d = 0; d < D; d += W) {
            simd::store(row + d, simd::load(values + (size_t) t * D + d));
        }
        float * column = v + (size_t) (t / 16) * 16 * D + t % 16;
        for (int32_t d = 0; d < D; d++) {
            column[16 * d] = row[d];
        }
    }
    for (int i = 0; i < n_blocks; i++) {
        rotate_columns(D, k + (size_t) i * 16 * D);
        rotate_columns(D, v + (size_t) i * 16 * D);
    }

    quantized_header h;
    float least[max_head_dim], most[max_head_dim];
    for (int32_t d = 0; d < D; d++) {
        float lo = k[16 * d], hi = lo;
        for (int32_t t = 1; t < n_tokens; t++) {
            const float x = k[(size_t) (t / 16) * 16 * D + 16 * d + t % 16];
            lo = x < lo ? x : lo;
            hi = x > hi ? x : hi;
        }
        least[d] = lo;
        most[d] = hi;
    }
    const range_codes kr = encode_ranges(least, most, D, 15.0f, (uint8_t *) b.k_scale, (int8_t *) b.k_min);
    for (int32_t t = 0; t < P; t++) {
        const float * column = v + (size_t) (t / 16) * 16 * D + t % 16;
        float lo = 0, hi = 0;
        for (int32_t d = 0; d < D && t < n_tokens; d++) {
            const float x = column[16 * d];
            lo = d == 0 || x < lo ? x : lo;
            hi = d == 0 || x > hi ? x : hi;
        }
        least[t] = lo;
        most[t] = hi;
    }
    const range_codes vr = encode_ranges(least, most, P, levels, (uint8_t *) b.v_scale, (int8_t *) b.v_min);
    h.k_scale = kr.scale;
    h.k_min = kr.min;
    h.v_scale = vr.scale;
    h.v_min = vr.min;
    __builtin_memcpy(out, &h, sizeof(h));

    uint8_t * k_codes = (uint8_t *) b.k_codes;
    uint8_t * v_codes = (uint8_t *) b.v_codes;
    for (int32_t d = 0; d < D; d++) {
        const float scale = b.k_scale[d] * h.k_scale, min = b.k_min[d] * h.k_min;
        for (int32_t t = 0; t < n_tokens; t++) {
            const uint8_t c = encode(k[(size_t) (t / 16) * 16 * D + 16 * d + t % 16], min, scale, 15.0f);
            k_codes[(size_t) (t / 16) * D * 8 + (d / 8) * 64 + (t % 16) * 4 + d % 4] |= (uint8_t) (d % 8 < 4 ? c : c << 4);
        }
    }
    for (int32_t t = 0; t < n_tokens; t++) {
        const float scale = b.v_scale[t] * h.v_scale, min = b.v_min[t] * h.v_min;
        const float * column = v + (size_t) (t / 16) * 16 * D + t % 16;
        for (int32_t d = 0; d < D; d++) {
            const uint8_t c = encode(column[16 * d], min, scale, levels);
            if (to == page_format::q4) {
                v_codes[(size_t) (d / 16) * P * 8 + (t / 8) * 64 + (d % 16) * 4 + t % 4] |= (uint8_t) (t % 8 < 4 ? c : c << 4);
            } else {
                v_codes[(size_t) (d / 16) * P * 4 + (t / 16) * 64 + (d % 16) * 4 + t % 4] |= (uint8_t) (c << 2 * (t % 16 / 4));
            }
        }
    }
}

void dequantize(const head_shape & shape, page_format from, const uint8_t * data, uint8_t * f16) {
    const int32_t D = shape.dim;
    const quantized_block b = open_block(shape, data);
    alignas(64) float k[16 * max_head_dim];
    alignas(64) float v[16 * max_head_dim];
    uint16_t * keys = (uint16_t *) f16;
    uint16_t * values = keys + elements(shape);
    for (int i = 0; i < shape.page_tokens / 16; i++) {
        widen(shape, from, b, i, k, v);
        rotate_columns(D, k);
        rotate(D, v, 16);
        for (int32_t j = 0; j < 16 * D; j += W) {
            simd::store_half(keys + (size_t) i * 16 * D + j, simd::load(k + j));
            simd::store_half(values + (size_t) i * 16 * D + j, simd::load(v + j));
        }
    }
}

}  // namespace
