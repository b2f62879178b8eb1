// How much memory a context holds. llama.cpp tells this through an internal header only.
#pragma once

#include <cstdint>

struct llama_context;

namespace llmm {

struct memory_report {
    uint64_t kv_bytes = 0;         // key-value cache
    uint64_t compute_bytes = 0;    // work buffers and graphs
};

memory_report report_memory(const llama_context * context);

}  // namespace llmm
