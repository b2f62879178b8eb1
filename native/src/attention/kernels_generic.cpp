// The kernels for generic.
#include "simd_generic.h"

#include "kernels_impl.h"
#include "layers/low_rank_impl.h"

const llmm::kernel_table llmm::generic_kernels = {
    "generic", attend<attend_rows_float>, rotate, store, quantize, dequantize, merge, add_mass, entropy, add_low_rank, to_half,
    nullptr
};
