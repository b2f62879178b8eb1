// What to copy out of each step.
#pragma once

#include <cstdint>
#include <string>

namespace llmm {

// Rows of `width` floats, one for each token.
struct layer_tap {
    int32_t place = -1;                      // of the residual stream, see layer_hooks.h; -1: what goes into `weight`
    std::string weight;
    int32_t width = 0;
    float * to = nullptr;
    bool found = false;                      // set when a graph is built
};

}  // namespace llmm
