#include "low_rank.h"

#include "attention/kernel_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llmm {

namespace {

constexpr size_t alignment = 64;

float greatest(const float * x, size_t n, size_t step) {
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        most = std::max(most, std::fabs(x[i * step]));
    }
    return most;
}

// What to multiply a component's numbers with before they are stored.
float gain_for(low_rank_type type, float most) {
    if (most == 0) {
        return 1;
    }
    switch (type) {
        case low_rank_type::f32: return 1;
        // A power of two costs no digit: the greatest lies below 2^15, and as much of the range as there is below it.
        case low_rank_type::f16: return std::ldexp(1.0f, std::min(120, 14 - std::ilogb(most)));
        case low_rank_type::i8: return 127.0f / most;
    }
    return 1;
}

// n is a multiple of low_rank_step.
void store(low_rank_type type, const float * x, int32_t n, uint8_t * to) {
    if (type == low_rank_type::f32) {
        std::memcpy(to, x, (size_t) n * sizeof(float));
        return;
    }
    if (type == low_rank_type::f16) {
        kernels().to_half(x, n, reinterpret_cast<uint16_t *>(to));
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        to[i] = (uint8_t) (int8_t) std::lrintf(std::min(127.0f, std::max(-127.0f, x[i])));
    }
}

}  // namespace

low_rank::low_rank(low_rank_type type, int32_t n_in, int32_t n_out, int32_t rank, const float * a, const float * b, int32_t all) {
    view_.type = type;
    view_.n_in = n_in;
    view_.n_out = n_out;
    view_.rank = rank;
    view_.n_steps = (n_in + low_rank_step - 1) / low_rank_step;
    const int32_t padded_in = view_.n_steps * low_rank_step;
    const size_t element = type == low_rank_type::f32 ? 4 : type == low_rank_type::f16 ? 2 : 1;
    const size_t a_bytes = (size_t) rank * padded_in * element;
    const size_t b_bytes = (size_t) rank * n_blocks() * low_rank_block * element;
    bytes_.resize(a_bytes + b_bytes + 2 * alignment);
    uint8_t * to_a = bytes_.data() + (alignment - reinterpret_cast<uintptr_t>(bytes_.data()) % alignment);
    uint8_t * to_b = to_a + (a_bytes + alignment - 1) / alignment * alignment;

    std::vector<float> line((size_t) std::max(padded_in, n_blocks() * low_rank_block));
    for (int32_t j = 0; j < rank; j++) {
        const float * row = a + (size_t) j * n_in;
        const float gain_a = gain_for(type, greatest(row, (size_t) n_in, 1));
        const float gain_b = gain_for(type, greatest(b + j, (size_t) n_out, (size_t) all));
        std::fill(line.begin(), line.end(), 0.0f);
        for (int32_t i = 0; i < n_in; i++) {
            line[(size_t) i] = row[i] * gain_a;
        }
        const int32_t first = j / low_rank_group * low_rank_group;         // of the group
        const int32_t width = std::min(low_rank_group, rank - first);
        for (int32_t step = 0; step < view_.n_steps; step++) {
            store(type, line.data() + step * low_rank_step, low_rank_step,
                  to_a + ((size_t) first * padded_in + (size_t) (step * width + j - first) * low_rank_step) * element);
        }
        std::fill(line.begin(), line.end(), 0.0f);
        for (int32_t o = 0; o < n_out; o++) {
            line[(size_t) o] = b[(size_t) o * all + j] * gain_b;
        }
        for (int32_t block = 0; block < n_blocks(); block++) {
            store(type, line.data() + block * low_rank_block, low_rank_block, to_b + ((size_t) block * rank + j) * low_rank_block * element);
        }
        scale_.push_back(1.0f / gain_a / gain_b);
    }
    view_.a = to_a;
    view_.b = to_b;
    view_.scale = scale_.data();
}

}  // namespace llmm
