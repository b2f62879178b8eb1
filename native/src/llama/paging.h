// What a session needs of the paged cache, without llama.cpp's internal headers.
#pragma once

#include "kv/page_store.h"

#include <memory>
#include <string>

struct llama_context;
struct llama_context_params;
struct llama_model;

namespace llmm {

class paging_hooks;

// Paging of one context. Outlives it.
class paging {
public:
    explicit paging(const kv_settings & settings);

    // As llama_init_from_model, with a paged cache. Once.
    llama_context * new_context(llama_model * model, const llama_context_params & params);

    // Why the context has llama.cpp's own cache instead; empty if it has pages.
    const std::string & refusal() const;

    // Of the context, which must still live.
    kv_counters counters() const;

private:
    std::shared_ptr<paging_hooks> hooks_;
};

}  // namespace llmm
