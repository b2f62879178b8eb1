// What a session without pages needs for drafts, without llama.cpp's internal headers: see draft_cache.
#pragma once

#include <memory>

struct llama_context;
struct llama_context_params;
struct llama_model;

namespace llmm {

class draft_hooks;

// Of one context. Outlives it.
class draft_switch {
public:
    draft_switch();

    // As llama_init_from_model. Once.
    llama_context * new_context(llama_model * model, const llama_context_params & params);

    // While on, steps of several tokens are drafts. Changes nothing where the architecture has another kind of cache.
    void set(bool on);

private:
    std::shared_ptr<draft_hooks> hooks_;
};

}  // namespace llmm
