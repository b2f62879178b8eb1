// What quantised pages do to a model: decides which formats are safe for it.
#pragma once

#include "model.h"

#include "llm_mobile.h"

#include <memory>

namespace llmm {

// Evaluates a built-in text with f16 and with quantised pages, most of it long enough in the cache to be quantised when
// the scored tokens look at it, and compares the predictions. Throws as evaluator does.
llmm_kv_probe_result probe_kv(const std::shared_ptr<model> & owner, int32_t page_tokens, int32_t n_threads);

}  // namespace llmm
