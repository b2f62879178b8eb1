// What a session without pages needs for drafts, without llama.cpp's internal headers: see draft_cache.
#pragma once

#include <memory>

namespace llmm {

class context_hooks;
class draft_hooks;

// Of one context. Outlives it.
class draft_switch {
public:
    draft_switch();

    // For new_context.
    std::shared_ptr<context_hooks> hooks() const;

    // While on, steps of several tokens are drafts. Changes nothing where the architecture has another kind of cache.
    void set(bool on);

private:
    std::shared_ptr<draft_hooks> hooks_;
};

}  // namespace llmm
