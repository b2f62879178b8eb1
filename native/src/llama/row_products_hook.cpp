#include "row_products_hook.h"

#include "cpu_backend.h"

#include "attention/kernel_table.h"

#include "ggml-cpu.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace llmm {

namespace {

struct known_type {
    ggml_type type, activations;
    weight_format format;
    int32_t halves;                              // f16 numbers that a block of either begins with
    bool same = false;                           // bits, on this CPU
};

std::array<known_type, 2> & known_types() {
    static std::array<known_type, 2> types = { { { GGML_TYPE_Q4_1, GGML_TYPE_Q8_1, weight_format::q4_1, 2 },
                                                 { GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, weight_format::q8_0, 1 } } };
    return types;
}

// ggml_llmm_multiply_rows_t
bool multiply(ggml_type type, int64_t n, const void * x, size_t x_stride, int64_t n_x, const void * y, size_t y_stride, int64_t n_y,
              float * out, size_t out_stride) {
    const int64_t n_blocks = n / row_product_block;
    for (const known_type & t : known_types()) {
        if (t.type == type && t.same && n_blocks <= most_row_blocks) {
            kernels().multiply_rows(t.format, { (int32_t) n_blocks, (const uint8_t *) x, (ptrdiff_t) x_stride, (int32_t) n_x,
                                                (const uint8_t *) y, (ptrdiff_t) y_stride, (int32_t) n_y, out, (ptrdiff_t) out_stride });
            return true;
        }
    }
    return false;
}

// Blocks with any codes but -128, which ggml quantises nothing to, and scales of either sign and of a few powers of two.
std::vector<uint8_t> any_blocks(ggml_type type, int32_t halves, int32_t n) {
    std::vector<uint8_t> bytes(n * ggml_type_size(type));
    uint32_t state = 1;
    for (uint8_t & b : bytes) {
        state = state * 1664525u + 1013904223u;
        b = (uint8_t) (state >> 24);
        b = b == 0x80 ? 0 : b;
    }
    for (int32_t i = 0; i < n; i++) {
        for (int32_t h = 0; h < halves; h++) {
            uint8_t & high = bytes[i * ggml_type_size(type) + 2 * h + 1];
            high = (uint8_t) (0x20 | (high & 0x8F));
        }
    }
    return bytes;
}

bool gives_the_same(const known_type & t, ggml_vec_dot_t dot) {
    constexpr int32_t n_blocks = 9, n = 7;       // every size of tile, and what is left over
    const std::vector<uint8_t> x = any_blocks(t.type, t.halves, n * n_blocks), y = any_blocks(t.activations, t.halves, n * n_blocks);
    const size_t x_row = x.size() / n, y_row = y.size() / n;
    std::array<float, n * n> ours{}, theirs{};
    kernels().multiply_rows(t.format, { n_blocks, x.data(), (ptrdiff_t) x_row, n, y.data(), (ptrdiff_t) y_row, n, ours.data(), n });
    for (int32_t j = 0; j < n; j++) {
        for (int32_t i = 0; i < n; i++) {
            dot(n_blocks * row_product_block, &theirs[j * n + i], 0, x.data() + i * x_row, 0, y.data() + j * y_row, 0, 1);
        }
    }
    return std::memcmp(ours.data(), theirs.data(), sizeof(ours)) == 0;
}

}  // namespace

void install_row_products() {
    const auto traits = cpu_function<decltype(&ggml_get_type_traits_cpu)>("ggml_get_type_traits_cpu");
    const auto set = cpu_function<void (*)(decltype(&multiply))>("ggml_llmm_set_multiply_rows");
    if (!traits || !set || !kernels().multiply_rows) {
        return;
    }
    for (known_type & t : known_types()) {
        const ggml_type_traits_cpu & theirs = *traits(t.type);
        t.same = theirs.vec_dot_type == t.activations && gives_the_same(t, theirs.vec_dot);
    }
    set(multiply);
}

}  // namespace llmm
