#pragma once

#include <memory>
#include <vector>

struct llama_context;
struct llama_context_params;
struct llama_model;

namespace llmm {

class context_hooks;

// As llama_init_from_model, with hooks.
llama_context * new_context(llama_model * model, const llama_context_params & params, std::vector<std::shared_ptr<context_hooks>> hooks);

}  // namespace llmm
