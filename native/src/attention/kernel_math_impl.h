// What all kernels share: names of the vector type, constants, 2^x. Written over the type `simd` that the including file
// has defined: simd_avx512.h or a sibling. This and the other *_impl.h files are one translation unit per instruction
// set, in an anonymous namespace, and call no inline function of another header in a loop, so that no copy compiled
// for a newer CPU can end up in code for an older one.
#pragma once

#include "kernel_table.h"

namespace {

using namespace llmm;
using vf = simd::vf;
using vi = simd::vi;

constexpr int W = simd::width;
constexpr size_t prefetch_bytes = 8192;
constexpr float minus_infinity = -__builtin_inff();

// head_shape::elements() for this instruction set alone.
inline size_t elements(const head_shape & s) {
    return (size_t) s.dim * s.page_tokens;
}

// 2^x for x <= 0, and 0 for what f32 cannot hold: 2^n times a polynomial of the rest, which is at most a half; relative
// error below 1e-7.
inline vf exp2_negative(vf x) {
    const vf at = simd::max(x, simd::set1(simd::least_power));
    const vf n = simd::round(at);
    const vf r = simd::sub(at, n);
    vf p = simd::fma(r, simd::set1(0.00132764725f), simd::set1(0.00967554096f));
    p = simd::fma(p, r, simd::set1(0.0555071309f));
    p = simd::fma(p, r, simd::set1(0.240221202f));
    p = simd::fma(p, r, simd::set1(0.693146944f));
    p = simd::fma(p, r, simd::set1(1.00000012f));
    return simd::ldexp(p, n);
}

inline float exp2_negative(float x) {
    float lanes[W];
    simd::store(lanes, exp2_negative(simd::set1(x)));
    return lanes[0];
}

// cap * tanh(x / cap); tanh |y| = (1 - e^-2|y|) / (1 + e^-2|y|).
inline vf soft_cap(vf x, float cap) {
    const vf y = simd::mul(x, simd::set1(1.0f / cap));
    const vf size = simd::abs(y);
    const vf e = exp2_negative(simd::mul(size, simd::set1(-2.88539008f)));      // -2 log2 e
    const vf t = simd::div(simd::sub(simd::set1(1.0f), e), simd::add(simd::set1(1.0f), e));
    // the sign: y / |y|, and 0 for 0
    const vf sign = simd::div(y, simd::max(size, simd::set1(1e-30f)));
    return simd::mul(simd::mul(t, sign), simd::set1(cap));
}

inline void scale_row(float * x, int32_t dim, float by) {
    const vf f = simd::set1(by);
    for (int32_t d = 0; d < dim; d += W) {
        simd::store(x + d, simd::mul(simd::load(x + d), f));
    }
}

template <int N>
struct count {
    static constexpr int value = N;
};

// Four bytes to broadcast. One load each: loads of more are shifted apart in scalar registers.
inline int32_t four_bytes(const void * p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return four;
}

// Calls f(count<rows of a tile>, first row) until n rows are done, with as many rows as Most where there are so many.
template <int Most = simd::tile_rows, typename F>
inline void for_each_tile(int32_t n, F && f) {
    int32_t r = 0;
    const auto go = [&](auto rows) {
        f(rows, r);
        r += decltype(rows)::value;
    };
    while (n - r >= Most) { go(count<Most>{}); }
    if constexpr (Most > 4) {
        if (n - r >= 4) { go(count<4>{}); }
    }
    if constexpr (Most > 3) {
        if (n - r >= 3) { go(count<3>{}); }
    }
    if constexpr (Most > 2) {
        if (n - r >= 2) { go(count<2>{}); }
    }
    if (n - r >= 1) { go(count<1>{}); }
}

// How far from page `at` to ask for memory: about prefetch_bytes further in the order of reading.
inline ptrdiff_t ahead_of(const page_run & run, int at, size_t page_bytes) {
    if (page_bytes >= prefetch_bytes) {
        return prefetch_bytes;
    }
    const int next = at + (int) (prefetch_bytes / page_bytes);
    return next < run.n ? run.blocks[next] - run.blocks[at] : 0;
}

}  // namespace
