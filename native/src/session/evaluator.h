// Runs tokens through a llama_context: owns the context and its thread pool, takes its turn on the processor's cores,
// and can be stopped from another thread within a graph node's time.
#pragma once

#include "kv/page_store.h"
#include "layers/gate_policy.h"
#include "llama/layer_control.h"
#include "llama/draft_switch.h"
#include "llama/memory_report.h"
#include "llama/paging.h"
#include "model.h"
#include "span.h"

#include "llama.h"

#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

struct ggml_threadpool;

namespace llmm {

// What the result of a step is wanted for.
enum class outputs {
    none,     // keys and values only
    last,     // logits of the last token
    from,     // logits of all tokens from an index on
};

struct evaluator_params {
    int32_t n_ctx = 0;
    int32_t n_batch = 0;
    int32_t n_outputs = 1;                // most outputs of one step
    bool embeddings = false;              // hidden states beside the logits
    llama_flash_attn_type flash_attention = LLAMA_FLASH_ATTN_TYPE_AUTO;
    std::optional<kv_settings> pages;     // none: llama.cpp's own cache
    prune_settings prune;                 // with pages only
    layer_range layers;                   // to evaluate
    bool gates = false;                   // in the graph from the start
};

// What pruned prompts have saved and cost.
struct prompt_counters {
    int64_t tokens = 0;                   // of such prompts
    int64_t left_out = 0;                 // of those: that later layers did not see
    int64_t recalled = 0;                 // of those: that a question brought back
    int64_t choice_us = 0;                // spent on choosing them, the steps that are watched included
};

// Threads in force and the wish to stop; shared with the threads that may change them while a step runs.
struct evaluator_control {
    std::atomic<int32_t> n_threads{ 1 };
    std::atomic<int32_t> n_threads_batch{ 1 };
    std::atomic<bool> cancel{ false };
};

class evaluator {
public:
    // Throws OUT_OF_MEMORY, NOT_AVAILABLE. control outlives the evaluator.
    evaluator(std::shared_ptr<model> owner, const evaluator_params & params, evaluator_control & control);
    ~evaluator();
    evaluator(const evaluator &) = delete;
    evaluator & operator=(const evaluator &) = delete;

    const evaluator_params & params() const { return params_; }
    llama_context * get() const { return context_; }

    // Evaluates at most n_batch tokens at positions [position, position + n) of sequence 0. `from` is the first index
    // with an output for outputs::from. Throws CANCELLED, OUT_OF_MEMORY, INTERNAL, IO (spilled pages could not be read):
    // the cache may then hold a part of the tokens, and the caller cuts it, to take_damage() if that is lower.
    void run(span<const int32_t> tokens, int32_t position, outputs wanted, size_t from = 0);

    // ---- prompts of which later layers see only a part (prune_settings::prefill_keep): prompt.cpp
    // Whether n tokens of a prompt at `position` are read like that, or are a question that may bring back what was left
    // out: `whole` if nothing of that prompt has been read yet, for the rest of a long one is no question.
    bool is_read_in_stages(int32_t position, int32_t n, bool whole) const;
    // Evaluates its first tokens, several thousand at most, and returns how many; logits of the last one if all are
    // done. before_step: of each step, with the share that is done. Throws as run() and what before_step throws.
    int32_t run_in_stages(span<const int32_t> tokens, int32_t position, outputs wanted, const std::function<void(double)> & before_step);
    const prompt_counters & prompts() const { return prompt_counts_; }
    int64_t n_shadow_tokens() const { return paging_ ? paging_->n_shadow_tokens() : 0; }     // that can be brought back

    // ---- drafts: tokens that may turn out not to be the text
    // How many of n tokens after that at `position` may be evaluated with it and taken back as if they had never been.
    int32_t draft_room(int32_t position, int32_t n) const;
    // As run, with logits of all tokens. What follows the first one is a draft; draft_room() allows it.
    void run_draft(span<const int32_t> tokens, int32_t position);
    // As cut, of drafted tokens.
    int32_t take_back(int32_t position);

    const float * logits(int32_t index) const;        // index within the last batch; -1: the last output
    const float * embedding(int32_t index) const;

    // Forgets keys and values from `position` on, or from an earlier one if what would be left cannot be continued (a
    // sliding window that has moved past, a recurrent state, a pruned prompt). The number of positions that are left.
    int32_t cut(int32_t position);

    // The first position whose page was found damaged in the last run, -1 if none; asked once.
    int32_t take_damage() { return std::exchange(damaged_, -1); }

    // Becomes, empty, what another evaluator of the same model and parameters is. Pages are shared, what else there is of
    // keys and values is copied. False: memory does not suffice, and nothing is kept.
    bool copy_from(const evaluator & other);

    // False: what may not be given up needs more.
    bool set_kv_budget(uint64_t bytes) { return !paging_ || paging_->set_budget(bytes); }

    memory_report memory() const { return report_memory(context_); }
    kv_counters pages() const { return paging_ ? paging_->counters() : kv_counters{}; }
    prune_counters pruning() const { return paging_ ? paging_->pruning() : prune_counters{}; }
    // These with pages only. Throws RANGE, NOT_AVAILABLE, and the former settings stay.
    void set_pruning(const prune_settings & settings);
    std::vector<prune_event> prune_events() { return paging_->prune_events(); }
    std::vector<prune_page> prune_pages() const { return paging_->prune_pages(); }
    int32_t n_cached_tokens() const { return paging_->n_cached_tokens(); }      // with pages only

    // ---- layers
    const layer_control & layers() const { return *layers_; }
    // Of the next run: rows of the model's width for each token, see layer_control.
    void set_hidden(const float * in, float * out) { layers_->set_hidden(in, out); }
    void set_gates(const gate_policy & policy);                  // parts are in range
    void set_bypass(int32_t part, std::shared_ptr<const bypass> stand_in) { layers_->set_bypass(part, std::move(stand_in)); }
    void set_taps(std::vector<layer_tap> taps);
    void set_tap_row(size_t row) { layers_->set_tap_row(row); }
    gate_counters take_gate_counts() { return std::exchange(gate_counts_, {}); }

private:
    void step(span<const int32_t> tokens, outputs wanted, size_t from);       // positions are in batch_
    void check_pruning(const prune_settings & settings) const;
    void begin_layers(layer_range range);
    int32_t first_pruned_layer() const;
    bool prunes_prompt(int32_t position, int32_t n) const;
    bool may_recall(int32_t position, int32_t n) const;
    bool keeps_positions(int32_t end) const;
    void open_gates(int32_t n_tokens);
    void size_graphs_anew();
    void apply_threads();
    void free_retired_pools();
    void warn_if_blind() const;

    std::shared_ptr<model> owner_;
    evaluator_params params_;
    evaluator_control & control_;
    std::unique_ptr<paging> paging_;
    std::unique_ptr<layer_control> layers_;
    gate_state gates_;
    gate_counters gate_counts_;
    prompt_counters prompt_counts_;
    float entropy_ = NAN;                 // of the last prediction, if anybody wants to know
    std::unique_ptr<draft_switch> draft_switch_;          // without pages
    llama_context * context_ = nullptr;
    ggml_threadpool * pool_ = nullptr;
    // Former pools. The back end keeps pointing to the one it computed with last until it computes with another.
    std::vector<ggml_threadpool *> retired_pools_;
    int32_t pool_threads_ = 0;
    int32_t set_threads_ = 0, set_threads_batch_ = 0;
    bool encoder_only_ = false;
    bool ran_ = false;
    int32_t damaged_ = -1;
    llama_batch batch_{};
};

}  // namespace llmm
