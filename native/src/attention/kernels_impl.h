// The functions of a kernel_table, for the vector type `simd` that the including file has defined.
#pragma once

#include "attend_codes_impl.h"
#include "attend_float_impl.h"

namespace {

static_assert(simd::direct_half_rows >= few_rows, "masses of pages are known there only");

// Many: what attends where rows are worth widening pages for. Codes of quantised pages would be faster as they are for up
// to about 24 rows, but with the error of 8 bits, which only decoding has reason to accept.
template <decltype(kernel_table::attend) Many>
void attend(const head_shape & shape, page_format format, const page_run & run, const query_rows & rows) {
    if (rows.n > (format == page_format::f16 ? simd::direct_half_rows : few_rows)) {
        Many(shape, format, run, rows);
    } else if (format == page_format::f16) {
        attend_rows_float(shape, format, run, rows);
    } else {
        attend_rows_codes(shape, format, run, rows);
    }
}

softmax_total merge(int32_t dim, const float * partials, int32_t n, const float * sink, float * out) {
    const int32_t stride = dim + 2;
    float top = sink ? *sink : minus_infinity;
    for (int32_t c = 0; c < n; c++) {
        const float m = partials[c * stride + dim];
        top = m > top ? m : top;
    }
    float sum = sink ? exp2_negative(*sink - top) : 0.0f;
    for (int32_t d = 0; d < dim; d += W) {
        simd::store(out + d, simd::zero());
    }
    for (int32_t c = 0; c < n; c++) {
        const float * part = partials + c * stride;
        if (part[dim] == minus_infinity) {
            continue;
        }
        const float f = exp2_negative(part[dim] - top);
        sum += f * part[dim + 1];
        for (int32_t d = 0; d < dim; d += W) {
            simd::store(out + d, simd::fma(simd::set1(f), simd::load(part + d), simd::load(out + d)));
        }
    }
    scale_row(out, dim, sum > 0 ? 1.0f / sum : 0.0f);
    return { top, sum };
}

void add_mass(const float * page_sum, const float * page_max, int32_t n_pages, softmax_total total, float * mass) {
    if (!(total.sum > 0)) {
        return;
    }
    const float inverse = 1.0f / total.sum;
    const vf top = simd::set1(total.max), by = simd::set1(inverse);
    int32_t p = 0;
    for (; p + W <= n_pages; p += W) {
        const vf e = exp2_negative(simd::sub(simd::load(page_max + p), top));
        simd::store(mass + p, simd::fma(simd::mul(simd::load(page_sum + p), e), by, simd::load(mass + p)));
    }
    for (; p < n_pages; p++) {
        mass[p] += page_sum[p] * exp2_negative(page_max[p] - total.max) * inverse;
    }
}

// With y the scores in base 2, less the greatest: log(sum 2^y) - log 2 * sum(y 2^y) / sum 2^y.
float entropy(const float * scores, int32_t n) {
    constexpr float log_2 = 0.693147181f, log2_e = 1.44269504f;
    const int32_t whole = n / W * W;
    float top = row_maximum(scores, whole);
    for (int32_t i = whole; i < n; i++) {
        top = scores[i] > top ? scores[i] : top;
    }
    const vf against = simd::set1(top), base = simd::set1(log2_e), least = simd::set1(simd::least_power);
    vf z = simd::zero(), s = simd::zero();
    for (int32_t i = 0; i < whole; i += W) {
        const vf y = simd::max(simd::mul(simd::sub(simd::load(scores + i), against), base), least);
        const vf e = exp2_negative(y);
        z = simd::add(z, e);
        s = simd::fma(y, e, s);
    }
    float total = simd::reduce_add(z), weighted = simd::reduce_add(s);
    for (int32_t i = whole; i < n; i++) {
        const float y = (scores[i] - top) * log2_e, e = exp2_negative(y);
        total += e;
        weighted += e > 0 ? y * e : 0.0f;
    }
    return __builtin_logf(total) - log_2 * weighted / total;
}

}  // namespace
