#include "page_bound.h"

#include "simd_generic.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmm {

namespace {

constexpr float code_range = 15;               // of 4 bits
constexpr float rounding = 1e-5f;              // of sums in f32, as a share of their terms

float most_of_quantized(const head_shape & shape, const uint8_t * block, const float * q) {
    quantized_header h;
    std::memcpy(&h, block, sizeof(h));
    const uint8_t * step = block + sizeof(h);
    const auto * least = reinterpret_cast<const int8_t *>(step + shape.dim);
    float sum = 0, terms = 0;
    for (int32_t d = 0; d < shape.dim; d++) {
        const float low = q[d] * ((float) least[d] * h.k_min), span = q[d] * ((float) step[d] * h.k_scale * code_range);
        const float term = low + std::max(0.0f, span);
        sum += term;
        terms += std::fabs(low) + std::fabs(span);
    }
    return sum + rounding * terms;
}

float most_of_halves(const head_shape & shape, const uint8_t * block, const float * q) {
    const auto * k = reinterpret_cast<const uint16_t *>(block);            // [page/16][dim][16]
    float sum = 0, terms = 0;
    for (int32_t d = 0; d < shape.dim; d++) {
        simd::vf least = simd::set1(INFINITY), most = simd::set1(-INFINITY);
        for (int32_t group = 0; group < shape.page_tokens / lane_tokens; group++) {
            for (int32_t i = 0; i < lane_tokens; i += simd::width) {
                const simd::vf x = simd::load(k + ((size_t) group * shape.dim + d) * lane_tokens + i);
                least = simd::min(least, x);
                most = simd::max(most, x);
            }
        }
        const float low = -simd::reduce_max(simd::sub(simd::zero(), least)), high = simd::reduce_max(most);
        const float term = std::max(q[d] * low, q[d] * high);
        sum += term;
        terms += std::fabs(q[d]) * std::max(std::fabs(low), std::fabs(high));
    }
    return sum + rounding * terms;
}

}  // namespace

float most_score(const head_shape & shape, page_format format, const uint8_t * block, const float * q) {
    return format == page_format::f16 ? most_of_halves(shape, block, q) : most_of_quantized(shape, block, q);
}

}  // namespace llmm
