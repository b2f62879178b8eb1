#include "prompt_shadow.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>

namespace llmm {

namespace {

// Takes the greatest number of a row below 2^15.
float scale_for(const float * row, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        most = std::max(most, std::fabs(row[i]));
    }
    return most > 0 && std::isfinite(most) ? std::ldexp(1.0f, std::max(-100, std::ilogb(most) - 14)) : 1.0f;
}

}  // namespace

void prompt_shadow::put(int32_t page, float score, std::vector<int32_t> tokens, const std::vector<const float *> & hidden) {
    rows r = empty_rows();
    r.score = score;
    r.tokens = std::move(tokens);
    std::vector<float> scaled(width_);
    for (size_t slot = 0; slot < page_tokens_; slot++) {
        r.scale[slot] = scale_for(hidden[slot], width_);
        std::transform(hidden[slot], hidden[slot] + width_, scaled.begin(), [&](float x) { return x / r.scale[slot]; });
        ggml_fp32_to_fp16_row(scaled.data(), r.halves.data() + slot * width_, (int64_t) width_);
    }
    restore(page, std::move(r));
}

void prompt_shadow::get(int32_t page, int32_t slot, float * to) const {
    const rows & r = of(page);
    ggml_fp16_to_fp32_row(r.halves.data() + (size_t) slot * width_, to, (int64_t) width_);
    std::transform(to, to + width_, to, [&](float x) { return x * r.scale[(size_t) slot]; });
}

int32_t prompt_shadow::least() const {
    return std::min_element(pages_.begin(), pages_.end(), [](const auto & a, const auto & b) { return a.second->score < b.second->score; })->first;
}

}  // namespace llmm
