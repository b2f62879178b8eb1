// From scores to softmax weights.
#pragma once

#include "kernel_math_impl.h"

namespace {

// Which of up to 64 tokens a row sees, as bits.
inline uint64_t visible_bits(const page_run & run, int32_t page_tokens, int first_block, int n_blocks, int32_t token) {
    uint64_t bits = 0;
    const int per_page = page_tokens / 16;
    for (int b = 0; b < n_blocks; b++) {
        const int block = first_block + b;
        const uint64_t * words = run.visible[block / per_page];
        const uint64_t word = words ? words[token] : ~0ull;
        bits |= (word >> 16 * (block % per_page) & 0xFFFF) << 16 * b;
    }
    return bits;
}

// The greatest of n scores (a multiple of 16).
inline float row_maximum(const float * s, int n) {
    vf top = simd::set1(minus_infinity);
    for (int i = 0; i < n; i += W) {
        top = simd::max(top, simd::load(s + i));
    }
    return simd::reduce_max(top);
}

// A row's maximum takes in the greatest of new scores. Returns the factor by which what was gathered before shrinks.
inline float raise_maximum(float highest, float & row_max, float & row_sum) {
    if (!(highest > row_max)) {
        return 1.0f;
    }
    const float shrink = exp2_negative(row_max - highest);      // 0 for the first
    row_max = highest;
    row_sum *= shrink;
    return shrink;
}

struct softmax_change {
    float shrink;          // the factor by which what was gathered before shrinks
    float added;           // the sum of the new weights
};

// n scores (a multiple of 16) of one row become weights and enter maximum and sum.
inline softmax_change softmax_step(float * s, int n, float & row_max, float & row_sum) {
    const float highest = row_maximum(s, n);
    if (highest == minus_infinity) {
        for (int i = 0; i < n; i += W) {
            simd::store(s + i, simd::zero());
        }
        return { 1.0f, 0.0f };
    }
    const float shrink = raise_maximum(highest, row_max, row_sum);
    const vf m = simd::set1(row_max);
    vf sum = simd::zero();
    for (int i = 0; i < n; i += W) {
        const vf e = exp2_negative(simd::sub(simd::load(s + i), m));
        simd::store(s + i, e);
        sum = simd::add(sum, e);
    }
    const float added = simd::reduce_add(sum);
    row_sum += added;
    return { shrink, added };
}

inline void cap_scores(float * s, int n, float cap) {
    for (int i = 0; i < n && cap > 0; i += W) {
        simd::store(s + i, soft_cap(simd::load(s + i), cap));
    }
}

inline void hide(float * s, int n, uint64_t bits) {
    const vf hidden = simd::set1(minus_infinity);
    for (int i = 0; i < n; i += W) {
        simd::store(s + i, simd::masked(simd::load(s + i), (uint32_t) (bits >> i), hidden));
    }
}

}  // namespace
