// One conversation: a history of tokens, keys and values of a prefix of it, and the logits of its last token.
//
// Invariants: n_kv_ <= history_.size(); if has_logits_, the logits belong to the last token of the history. The cache holds
// n_kv_ tokens and, within a generation, those of an open draft after them.
// What is in the history but not in the cache is evaluated by the next step that needs it, so dropping cached keys
// and values is always allowed and only costs time.
//
// Threads: one call at a time; a second one is refused as BUSY. cancel and set_threads from any thread.
#pragma once

#include "adapter.h"
#include "drafting.h"
#include "evaluator.h"
#include "model.h"
#include "sampler.h"
#include "span.h"

#include "llm_mobile.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace llmm {

// Checks of parameters; they throw RANGE.
int32_t checked_page_tokens(int32_t n, const char * name);       // 16, 32 or 64
int32_t checked_threads(int32_t n, const char * name);           // 0 becomes the number of physical cores
prune_settings checked_pruning(const llmm_prune_params & params, const char * name);

struct progress_sink {
    llmm_progress_cb callback = nullptr;
    void * user_data = nullptr;

    // Throws CANCELLED if the callback asks for it.
    void report(double fraction) const;
};

class session {
public:
    // Takes pruning in place of params.prune.
    session(std::shared_ptr<model> owner, const llmm_session_params & params, const prune_settings & pruning = {});

    // Goes on where the parent is.
    struct fork_of {
        session & parent;
    };
    explicit session(const fork_of & from);

    // --- from any thread
    void cancel() { control_.cancel = true; }
    void cancel_reset() { control_.cancel = false; }
    void set_threads(int32_t n_threads, int32_t n_threads_batch);
    void set_kv_budget(uint64_t bytes);

    // --- one at a time
    const model & owner() const { return *owner_; }
    int32_t n_ctx() const { return n_ctx_; }
    int32_t n_tokens() const { return n_tokens_.load(std::memory_order_relaxed); }
    std::vector<int32_t> tokens();

    void eval(span<const int32_t> tokens, const progress_sink & progress);
    int32_t prefill(span<const int32_t> tokens, const progress_sink & progress);
    void rewind(int32_t n_tokens);
    llmm_token_result decode(sampler & s);
    llmm_generate_result generate(sampler & s, const llmm_generate_params & params);
    void set_draft_source(std::unique_ptr<draft_source> source, bool paced = true);      // in place of prompt lookup
    void logits(span<float> out);
    void top_logprobs(span<int32_t> tokens, span<float> logprobs);
    void embed(span<const int32_t> tokens, llmm_pooling pooling, bool normalize, span<float> out);
    llmm_perplexity_result perplexity(span<const int32_t> tokens, const llmm_perplexity_params & params);
    void set_adapters(std::vector<std::shared_ptr<adapter>> adapters, std::vector<float> scales);
    void set_pruning(const prune_settings & settings);
    std::vector<llmm_prune_event> prune_events();
    std::vector<llmm_prune_page> prune_pages();
    void eval_hidden(span<const int32_t> tokens, span<const float> hidden_in, span<float> hidden_out);
    void taps(span<const int32_t> tokens, std::vector<layer_tap> taps);
    void set_gates(gate_policy policy);
    std::vector<int32_t> skippable_parts();
    void set_bypass(int32_t part, std::shared_ptr<const bypass> stand_in);
    void save(const std::string & path);
    void load(const std::string & path);
    llmm_stats stats();
    void stats_reset();

private:
    // Holds the session for one call, or throws BUSY.
    class call {
    public:
        explicit call(session & s);
        ~call();

    private:
        session & session_;
    };

    evaluator & chat_evaluator();                             // the context of the conversation
    evaluator & make_evaluator(const evaluator_params & params);
    void collect_gate_counts();
    void drop_evaluator();                                    // and with it all keys, values and logits
    void append(span<const int32_t> tokens);
    void truncate(int32_t n);                                 // the history, and the cache with it
    void evaluate_pending(const progress_sink & progress, bool prompt);
    const float * last_logits();                              // evaluating what is pending
    const float * known_logits() const;
    bool may_outgrow_context() const { return pages_ && pages_->evict; }
    void check_room(int64_t n_tokens) const;
    void require_pages() const;
    bool is_whole() const { return layers_.has_all_of(owner_->n_layers()); }
    void require_whole() const;
    void check_part(int32_t part, const std::string & name) const;      // that it can be skipped
    std::string fingerprint() const;                          // of the model and its layers in use
    bool apply_kv_budget();
    void apply_pending_budget() noexcept;
    void evaluate_once(const progress_sink & progress, bool prompt, int32_t begin);
    int32_t sample_next(sampler & s, float * logprob);
    void throw_if_cancelled();
    void begin_drafts();
    bool has_one_pending() const;
    bool draft_ahead(int32_t most);
    void step_plainly();
    void confirm_draft(int32_t token);
    void close_draft();
    void settle_drafts() noexcept;
    uint64_t adapters_digest() const;

    std::shared_ptr<model> owner_;
    int32_t n_ctx_ = 0;
    int32_t n_batch_ = 0;
    llama_flash_attn_type flash_attention_ = LLAMA_FLASH_ATTN_TYPE_AUTO;
    std::optional<kv_settings> pages_;
    prune_settings pruning_;
    layer_range layers_;
    gate_policy gates_;
    std::map<int32_t, std::shared_ptr<const bypass>> bypasses_;      // by part
    std::optional<std::vector<int32_t>> skippable_;                  // once asked for
    evaluator_control control_;
    std::atomic<bool> busy_{ false };
    std::mutex trim_mutex_;                                   // held while a budget is applied between calls
    std::mutex budget_mutex_;
    std::optional<uint64_t> wanted_budget_;                   // set beside a call, in force from its next step on

    std::unique_ptr<evaluator> evaluator_;
    std::vector<int32_t> history_;
    std::atomic<int32_t> n_tokens_{ 0 };                      // history_.size(), readable beside a call
    int32_t n_kv_ = 0;
    bool has_logits_ = false;
    std::unique_ptr<drafting> drafting_;                      // once a generation has asked for drafts
    std::vector<float> loaded_logits_;                        // of the last token, after load(); else empty
    std::vector<std::shared_ptr<adapter>> adapters_;
    std::vector<float> adapter_scales_;
    llmm_stats counters_{};
};

}  // namespace llmm
