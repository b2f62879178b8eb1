// What all kernels share: names of the vector type, constants, e^x. Written over the type `simd` that the including file
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

// e^x for x <= 0: 2^n times a Taylor polynomial of the rest, which is at most ln(2)/2; relative error below 3e-7.
inline vf exp_negative(vf x) {
    const vf limit = simd::set1(-87.0f);
    const vf at = simd::max(x, limit);
    const vf n = simd::round(simd::mul(at, simd::set1(1.44269504f)));
    vf r = simd::fma(n, simd::set1(-0.693359375f), at);
    r = simd::fma(n, simd::set1(2.12194440e-4f), r);
    vf p = simd::set1(1.0f / 720);
    p = simd::fma(p, r, simd::set1(1.0f / 120));
    p = simd::fma(p, r, simd::set1(1.0f / 24));
    p = simd::fma(p, r, simd::set1(1.0f / 6));
    p = simd::fma(p, r, simd::set1(0.5f));
    p = simd::fma(p, r, simd::set1(1.0f));
    p = simd::fma(p, r, simd::set1(1.0f));
    return simd::below_to_zero(x, limit, simd::ldexp(p, n));
}

inline float exp_negative(float x) {
    float lanes[W];
    simd::store(lanes, exp_negative(simd::set1(x)));
    return lanes[0];
}

// cap * tanh(x / cap); tanh |y| = (1 - e^-2|y|) / (1 + e^-2|y|).
inline vf soft_cap(vf x, float cap) {
    const vf y = simd::mul(x, simd::set1(1.0f / cap));
    const vf size = simd::abs(y);
    const vf e = exp_negative(simd::mul(size, simd::set1(-2.0f)));
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

// How far from page `at` to ask for memory: about prefetch_bytes further in the order of reading.
inline ptrdiff_t ahead_of(const page_run & run, int at, size_t page_bytes) {
    if (page_bytes >= prefetch_bytes) {
        return prefetch_bytes;
    }
    const int next = at + (int) (prefetch_bytes / page_bytes);
    return next < run.n ? run.blocks[next] - run.blocks[at] : 0;
}

}  // namespace
