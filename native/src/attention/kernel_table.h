// The kernels over pages, of low-rank factors and of quantised weights. One table per instruction set, chosen once by dispatch.cpp; results differ between tables in
// the last bits and never between numbers of threads.
#pragma once

#include "page_layout.h"

#include "layers/low_rank.h"
#include "matmul/row_products.h"

namespace llmm {

// Up to so many rows attention is bound by reading the pages, and kernels walk them as they lie in memory, page by page.
constexpr int32_t few_rows = 8;

// Kernels treat quantised pages in groups of so many tokens, counted from the start of a run: runs cut at multiples of
// it give the same bits.
constexpr int32_t chunk_tokens = 512;

// Rows of queries of one KV head, and what has been gathered for each: the running maximum of its scores, the sum of
// 2^(score - maximum) and the sum of the values weighted by it (online softmax, Milakov and Gimelshein,
// arXiv 1805.02867). Scores are in base 2: queries, caps and sinks take in a factor log2 e beforehand.
struct query_rows {
    const float * q;        // [n][dim], scaled, in the basis of the pages
    float * max;            // [n], begins at -infinity
    float * sum;            // [n], begins at 0
    float * out;            // [n][dim], begins at 0, in the basis of the pages
    int32_t n;
    int32_t per_token;      // rows of the same token are neighbours and see the same keys
    float soft_cap;         // 0 = none; else scores become cap * tanh(score / cap)
    // Null, or (few_rows at most) what each page adds: at [row * page_stride + page_run::index] the page's sum of
    // 2^(score - maximum), and the maximum of that moment. Pages that no row sees are not written.
    float * page_sum;
    float * page_max;
    ptrdiff_t page_stride;
};

// Pages of one format.
struct page_run {
    const uint8_t * const * blocks;     // [n], one head's block each, 64-byte aligned
    const uint64_t * const * visible;   // [n], each null (every slot is visible to every row) or [tokens] words: bit i
                                        // of a word says whether the token sees slot i
    const int32_t * index;              // [n], where query_rows::page_sum has the page; read only if that is wanted
    int32_t n;
};

// What softmax divides by: sum of 2^(score - max) over all keys.
struct softmax_total {
    float max;
    float sum;
};

struct kernel_table {
    const char * name;                  // "generic", "avx2", "avx512", "neon"

    // Attends from all rows to all pages.
    void (*attend)(const head_shape &, page_format, const page_run &, const query_rows &);

    // Rotates rows of [n][dim] in place; see rotation_block.
    void (*rotate)(int32_t dim, float * rows, int32_t n);

    // Writes the key and value of one token, [dim] each, into a slot of an f16 block. Rounds as llama.cpp does.
    void (*store)(const head_shape &, uint8_t * block, int32_t slot, const float * k, const float * v);

    // f16 block -> quantised block, and back. n_tokens: slots that hold something; the others become zero.
    void (*quantize)(const head_shape &, page_format to, const uint8_t * f16, int32_t n_tokens, uint8_t * out);
    void (*dequantize)(const head_shape &, page_format from, const uint8_t * block, uint8_t * f16);

    // out[i] = sum_c 2^(max_c - max) * partial_c[i] / sum: joins what n chunks of the keys gave. Each partial is
    // [dim] values, then its maximum and its sum. sink: null, or a score that takes part in the sum without a value.
    softmax_total (*merge)(int32_t dim, const float * partials, int32_t n, const float * sink, float * out);

    // mass[i] += the share of page i in the total of a row, from its query_rows::page_sum and page_max.
    void (*add_mass)(const float * page_sum, const float * page_max, int32_t n_pages, softmax_total total, float * mass);

    // Entropy in nats of the distribution whose logits are scores.
    float (*entropy)(const float * scores, int32_t n);

    // y += scale * B (A x) for n rows: blocks [begin, end) of low_rank_block outputs. Strides in elements; x has n_in
    // numbers, y has n_out.
    void (*add_low_rank)(const low_rank_view &, float scale, const float * x, ptrdiff_t x_stride, float * y, ptrdiff_t y_stride,
                         int32_t n, int32_t begin, int32_t end);

    // f32 -> f16, n a multiple of 16.
    void (*to_half)(const float * x, int32_t n, uint16_t * out);

    // Null where there is none.
    void (*multiply_rows)(weight_format, const row_products &);
};

// Floats of one row's partial result.
inline int32_t partial_floats(int32_t dim) {
    return dim + 2;
}

extern const kernel_table generic_kernels;
extern const kernel_table avx2_kernels;
extern const kernel_table avx512_kernels;
extern const kernel_table neon_kernels;

// The fastest table of this build that this CPU can run. LLMM_ISA=generic|avx2|avx512|neon in the environment forces
// one, for tests; a table that the CPU cannot run is not taken. Decided at the first call.
const kernel_table & kernels();

// A table by name, null if this build or this CPU has none of that name.
const kernel_table * kernels_named(const char * name);

}  // namespace llmm
