// What a session needs of the paged cache, without llama.cpp's internal headers.
#pragma once

#include "kv/page_store.h"
#include "pruning/pruner.h"

#include <memory>
#include <string>
#include <vector>

namespace llmm {

class context_hooks;
class paging_hooks;

// Paging of one context. Outlives it; all but the first functions need the context, with pages.
class paging {
public:
    explicit paging(const kv_settings & settings, const prune_settings & prune = {});

    // For new_context.
    std::shared_ptr<context_hooks> hooks() const;

    // Why llama.cpp could not make the context, if it was for want of a cache; std::system_error: there is no spill file to
    // be had.
    void rethrow_failure() const;

    // Why the context has llama.cpp's own cache instead; empty if it has pages.
    const std::string & refusal() const;

    kv_counters counters() const;
    int32_t n_cached_tokens() const;

    // The empty cache of this context becomes what that of another is, by sharing its pages.
    bool share_from(const paging & other);

    // After each step. If spilled pages could not be read in it: the first position that is lost. Else -1.
    int32_t finish_step();

    // ---- drafts: see paged_cache::set_drafting, page_store::steps_alike
    void set_drafting(bool on);
    bool allows_drafts() const;
    int32_t steps_alike(int32_t next_pos, int32_t n) const;

    // ---- token pruning
    bool tells_masses() const;               // else nothing is pruned by attention
    bool is_pruning() const;                 // did so in the last step
    void set_pruning(const prune_settings & settings);
    void observe_entropy(float entropy);     // see pruner
    prune_counters pruning() const;
    std::vector<prune_event> prune_events();
    std::vector<prune_page> prune_pages() const;

    // ---- prompts of which later layers see only a part: see paged_cache
    std::string refuses_partial_prompts() const;
    bool begin_prompt(int32_t layer, int32_t n_tokens, uint64_t hidden_bytes);
    void watch_prompt();
    int32_t watch_tokens() const;
    std::vector<int32_t> keep_of_prompt(const int32_t * tokens, int32_t begin, int64_t n_keep, const std::vector<int32_t> & question);
    void keep_hidden(const int32_t * tokens, const float * hidden, int32_t begin, int32_t n_kept);
    int32_t recall_layer() const;
    std::vector<int32_t> recall_for_prompt(int32_t begin, int64_t n_keep, int64_t n_most, const std::vector<int32_t> & question);
    void recalled_hidden(int32_t position, float * to) const;
    int64_t finish_recall();
    int64_t n_shadow_tokens() const;
    std::vector<int32_t> present_of(const std::vector<int32_t> & positions) const;
    void end_prompt();
    int32_t whole_before(int32_t position) const;

    // False: what may not be given up needs more.
    bool set_budget(uint64_t bytes);

    // Why nothing is spilled any more; empty if all is well.
    const std::string & spill_error() const;

private:
    std::shared_ptr<paging_hooks> hooks_;
};

}  // namespace llmm
