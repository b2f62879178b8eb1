// The kernels for neon.
#if defined(__aarch64__)
#include "simd_neon.h"

#include "kernels_impl.h"
#include "layers/low_rank_impl.h"

const llmm::kernel_table llmm::neon_kernels = {
    "neon", attend<attend_rows_float>, rotate, store, quantize, dequantize, merge, add_mass, entropy, add_low_rank, to_half,
    nullptr
};
#endif
