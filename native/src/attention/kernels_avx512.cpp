// The kernels for avx512.
#if defined(__x86_64__) || defined(_M_X64)
#include "simd_avx512.h"

#include "attend_words_impl.h"
#include "kernels_impl.h"
#include "layers/low_rank_impl.h"
#include "matmul/row_simd_avx512.h"

#include "matmul/row_products_impl.h"

const llmm::kernel_table llmm::avx512_kernels = {
    "avx512", attend<attend_rows_words>, rotate, store, quantize, dequantize, merge, add_mass, entropy, add_low_rank, to_half,
    multiply_rows
};
#endif
