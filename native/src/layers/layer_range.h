// Layers [begin, end) of a model.
#pragma once

#include <algorithm>
#include <cstdint>

namespace llmm {

struct layer_range {
    int32_t begin = 0;
    int32_t end = INT32_MAX;                 // or any number past the last layer

    bool has(int32_t layer) const { return layer >= begin && layer < end; }
    layer_range common(layer_range other) const { return { std::max(begin, other.begin), std::min(end, other.end) }; }
    bool has_all_of(int32_t n_layers) const { return begin <= 0 && end >= n_layers; }
    bool operator==(const layer_range & o) const { return begin == o.begin && end == o.end; }
    bool operator!=(const layer_range & o) const { return !(*this == o); }
};

}  // namespace llmm
