// Adapters whose factors are applied by a node of our own, one for each matrix, in the place of llama.cpp's four.
#pragma once

#include "layers/low_rank.h"

#include <cstdint>
struct llama_adapter_lora;

namespace llmm {

struct low_rank_summary {
    int32_t matrices = 0;
    int32_t own = 0;                 // of these, with a node of our own
    int32_t rank = 0;                // the largest in force
    int32_t file_rank = 0;           // the largest of the file
    uint64_t bytes = 0;              // of the factors in force
};

// What an adapter has, as llama.cpp has loaded it.
low_rank_summary summary_of(const llama_adapter_lora & adapter);

// Arranges its factors, cut to the first `rank` components where there are more (0: as they are), for our node, and frees
// what llama.cpp keeps of them. Those of embeddings, of experts and of a rank beyond max_low_rank stay llama.cpp's. The
// strength stays what it is with the whole file. `small`: in 8 bits, which is enough for corrections; otherwise f32 factors
// stay f32, and all others become f16. No context uses the adapter yet.
// Throws std::domain_error if factors that stay llama.cpp's would have to be cut, std::invalid_argument for numbers that are
// not finite, std::bad_alloc.
void apply_by_own_nodes(llama_adapter_lora & adapter, int32_t rank, bool small);

}  // namespace llmm
