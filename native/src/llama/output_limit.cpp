#include "output_limit.h"

#include "llama-context.h"
#include "llama-cparams.h"

#include <algorithm>

namespace llmm {

void allow_outputs(llama_context * context, int32_t n) {
    // The context itself is no constant, only the access to its parameters.
    auto & limit = const_cast<llama_cparams &>(context->get_cparams()).n_outputs_max;
    limit = std::max(limit, (uint32_t) n);
}

}  // namespace llmm
