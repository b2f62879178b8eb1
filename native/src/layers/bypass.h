// A low-rank stand-in for a part of a layer that is skipped: what the part adds to the residual stream x is taken to be
//
//     bias + up * (down * (x / rms(x)))
//
// with a rank of a few per cent of the width.
#pragma once

#include <cstdint>
#include <vector>

namespace llmm {

constexpr float bypass_epsilon = 1e-6f;      // added to the mean square

struct bypass {
    int32_t width = 0;
    int32_t rank = 0;
    std::vector<float> down;                 // [width][rank]
    std::vector<float> up;                   // [rank][width]
    std::vector<float> bias;                 // [width]

    // out[i] = x[i] + stand-in(x)[i] for i in [begin, end). x and out are [width].
    void add_to(const float * x, float * out, int32_t begin, int32_t end) const;
};

}  // namespace llmm
