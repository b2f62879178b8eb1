// Products of quantised weights with quantised activations: the bits of ggml's own, sooner. ggml multiplies one row of weights
// with one of activations at a time, each a chain of additions in which every step waits for the last. Here rows of weights
// run side by side, unpacked once for several rows of activations; each sum still takes its steps in ggml's order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmm {

// Blocks of 32 weights, and of the activations that ggml quantises for them.
enum class weight_format : uint8_t {
    q4_1,       // d, m (f16), 16 bytes of codes;   activations q8_1: d, s = d * sum (f16), 32 codes
    q8_0,       // d (f16), 32 codes;               activations q8_0
};

constexpr int32_t row_product_block = 32;
constexpr int32_t most_row_blocks = 1024;       // of a row

// out[j * out_stride + i] = row i of the weights times row j of the activations. Strides of x and y in bytes.
struct row_products {
    int32_t n_blocks;                           // of a row
    const uint8_t * x;
    ptrdiff_t x_stride;
    int32_t n_x;
    const uint8_t * y;
    ptrdiff_t y_stride;
    int32_t n_y;
    float * out;
    ptrdiff_t out_stride;                       // elements
};

}  // namespace llmm
