#include "bypass.h"

#include <cmath>

namespace llmm {

void bypass::add_to(const float * x, float * out, int32_t begin, int32_t end) const {
    double square = 0;
    for (int32_t i = 0; i < width; i++) {
        square += (double) x[i] * x[i];
    }
    const float scale = (float) (1.0 / std::sqrt(square / width + bypass_epsilon));
    // Outer products in both directions: no sum runs along a vector register.
    thread_local std::vector<float> code;
    code.assign((size_t) rank, 0.0f);
    for (int32_t i = 0; i < width; i++) {
        const float xi = x[i] * scale;
        const float * row = down.data() + (size_t) i * rank;
        for (int32_t r = 0; r < rank; r++) {
            code[(size_t) r] += xi * row[r];
        }
    }
    for (int32_t i = begin; i < end; i++) {
        out[i] = x[i] + bias[(size_t) i];
    }
    for (int32_t r = 0; r < rank; r++) {
        const float c = code[(size_t) r];
        const float * row = up.data() + (size_t) r * width;
        for (int32_t i = begin; i < end; i++) {
            out[i] += c * row[i];
        }
    }
}

}  // namespace llmm
