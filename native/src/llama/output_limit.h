// How many tokens of a step may have logits. llama.cpp fixes it when a context is made, for the size of what it reserves
// then; its buffers grow with the steps that need more all the same.
#pragma once

#include <cstdint>

struct llama_context;

namespace llmm {

// From the next step on, at least n. What a step takes more is allocated with the first such step, and kept.
void allow_outputs(llama_context * context, int32_t n);

}  // namespace llmm
