// A llama_kv_cache whose cells are addresses over pages: cell i lives in page i / P, slot i % P. llama.cpp keeps its
// cells, positions and sequences; keys and values live in a page_store, and attention runs on our kernels through two
// custom graph nodes per layer (store, attend). The base class is given a layer filter that rejects every layer, so it
// owns no tensors.
//
// paged_cache.cpp has cells and batches, paged_graph.cpp the nodes, paged_state.cpp saved and shared state,
// pinned_shift.cpp the positions of pinned tokens.
#pragma once

#include "llmm-hooks.h"
#include "prompt_shadow.h"

#include "kv/page_store.h"
#include "pruning/lexical_match.h"
#include "pruning/prompt_choice.h"
#include "pruning/pruner.h"

#include "llama-cparams.h"

#include <atomic>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace llmm {

struct state_header;

// Positions [begin, end) of the last prompt, which came in one batch or several.
struct last_turn {
    int32_t begin = 0, end = 0;
    int32_t open = 0;                        // 1: the next batch belongs to it
};

// Where a prompt is of which later layers see only a part.
enum class prompt_stage : uint8_t {
    none,
    read,                                    // its tokens go through the first layers
    watch,                                   // the last of them do, and their attention tells what matters
    again,                                   // what stays goes through the other layers, into the cells that it has
};

class paged_cache final : public llama_kv_cache {
public:
    // Throws std::bad_alloc, std::system_error. Check unsupported() first.
    paged_cache(const kv_cache_request & request, const kv_settings & settings, const prune_settings & prune);

    // Why a cache like this cannot be paged; empty if it can.
    static std::string unsupported(const kv_cache_request & request);

    page_store & store() { return store_; }
    const page_store & store() const { return store_; }
    pruner & pruning() { return pruner_; }
    void set_pruning(const prune_settings & settings);
    const pruner & pruning() const { return pruner_; }
    int32_t n_cached_tokens() const { return (int32_t) v_cells[0].get_used(); }

    // Becomes what another cache of the same model and settings is; this one is empty. False: memory does not suffice.
    bool share_from(const paged_cache & other);

    // After each step: takes in what it told. If spilled pages could not be read, the first position that is lost; else -1.
    llama_pos finish_step();

    // Whether attention tells what falls on each page, without which nothing can be pruned by it.
    bool tells_masses() const;

    // For people: what pruning knows of each page, in the order of their tokens.
    std::vector<prune_page> prune_pages() const;

    bool set_budget(uint64_t bytes);

    // While on, steps and cuts are those of drafts: several tokens that stand for as many steps of one, of which some are
    // taken back. Attention is computed for each token as its own step would, to the bit, and what is known of pages stays
    // as it is. With pruning or eviction in force, or pages left out, there are no drafts.
    void set_drafting(bool on) { drafting_ = on; }
    bool allows_drafts() const { return !store_.settings().evict && !pruner_.settings().prunes() && !leaves_any_out(); }

    // ---- prompts of which the layers from some layer on see only a part; see prompt_stage
    // Why that cannot be done; empty if it can.
    std::string refuses_partial_prompts() const;
    // Begins: its tokens come next, for the layers before `layer`. False: the budget has no room for hidden_bytes beside
    // n_tokens tokens.
    bool begin_prompt(int32_t layer, int32_t n_tokens, uint64_t hidden_bytes);
    // The last tokens come, watch_tokens() of them at most in a step.
    void watch_prompt() { stage_ = prompt_stage::watch; }
    int32_t watch_tokens() const;
    // Chooses n_keep or fewer more of these tokens, which begin at position `begin`, beside those that always stay, and leaves
    // the pages of the others out of the layers from `layer` on. Positions of what stays, ascending: it comes next.
    // question: the last of the tokens.
    std::vector<llama_pos> keep_of_prompt(const int32_t * tokens, llama_pos begin, int64_t n_keep, const std::vector<int32_t> & question);
    // Keeps the hidden states of what is left out, [tokens of the prompt][width], so that it can be recalled: as far as the
    // limit of the shadow set and the budget allow, which n_kept tokens need too.
    void keep_hidden(const int32_t * tokens, const float * hidden, llama_pos begin, int32_t n_kept);
    // The first layer of those that a question may recall something for; -1: there is nothing to recall.
    int32_t recall_layer() const;
    // Of a question from position `begin` on: what would belong to the n_keep tokens that stay, were they chosen by the
    // question's attention and words, comes back, n_most tokens at most. Positions as keep_of_prompt gives them, those of what comes back first.
    std::vector<llama_pos> recall_for_prompt(llama_pos begin, int64_t n_keep, int64_t n_most, const std::vector<int32_t> & question);
    // The hidden state of one of them.
    void recalled_hidden(llama_pos position, float * to) const;
    // They have been evaluated: tokens that came back. Else end_prompt() leaves them out again.
    int64_t finish_recall();
    int64_t n_shadow_tokens() const { return shadow_.n_tokens(); }
    // Those of them that are still in the cache.
    std::vector<llama_pos> present_of(const std::vector<llama_pos> & positions) const;
    void end_prompt();
    // The greatest position up to `position` where a text can be cut and go on: after the prompt of which pages were left out,
    // or where none is missing nearby.
    llama_pos whole_before(llama_pos position) const;

    slot_info_vec_t prepare(const std::vector<llama_ubatch> & ubatches) override;
    void apply_ubatch(const slot_info & sinfo, const llama_ubatch & ubatch) override;
    bool get_can_shift() const override { return false; }
    void clear(bool data) override;
    bool seq_rm(llama_seq_id seq_id, llama_pos p0, llama_pos p1) override;
    void seq_keep(llama_seq_id seq_id) override;
    // Positions are part of the stored keys: shifting them at will is not possible, and these throw.
    [[noreturn]] void seq_add(llama_seq_id seq_id, llama_pos p0, llama_pos p1, llama_pos shift) override;
    [[noreturn]] void seq_div(llama_seq_id seq_id, llama_pos p0, llama_pos p1, int d) override;
    std::map<ggml_backend_buffer_type_t, size_t> memory_breakdown() const override;
    void state_write(llama_io_write_i & io, llama_seq_id seq_id, llama_state_seq_flags flags) const override;
    void state_read(llama_io_read_i & io, llama_seq_id seq_id, llama_state_seq_flags flags) override;

    bool llmm_evaluates_again() const override { return stage_ == prompt_stage::again; }
    void llmm_on_apply(const slot_info & sinfo, const llama_ubatch & ubatch) override;
    ggml_tensor * llmm_attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args) override;

private:
    // What the nodes of one layer need; its address stays in cached graphs.
    struct layer_nodes {
        paged_cache * cache;
        int32_t index;                       // among the paged layers
        int32_t group;
        float scale;
        float soft_cap;
        bool has_sinks;
    };
    friend void store_node(ggml_tensor *, int, int, void *);
    friend void attend_node(ggml_tensor *, int, int, void *);
    friend void gather_node(ggml_tensor *, int, int, void *);

    state_header make_state_header(size_t n_cells, size_t n_pages) const;
    std::vector<int32_t> pages_of(const std::vector<uint32_t> & cells) const;      // sorted
    void describe_page(int32_t page);
    void describe_all();
    void forget_evicted();
    bool free_cells(uint32_t n);
    void absorb_masses();
    template <typename Visit>
    void each_mass(int32_t n_layers, Visit && visit) const;
    bool is_left_out(int32_t page) const { return store_.depth(page) > 0 && store_.depth(page) < store_.n_layers(); }
    bool leaves_any_out() const;
    template <typename TokenAt>
    void match_words(std::vector<int32_t> pages, const std::vector<int32_t> & question, TokenAt && token_at);
    llama_pos position_of(int32_t page, int32_t slot) const { return v_cells[0].pos_get((uint32_t) (page * store_.shape().page_tokens + slot)); }
    bool is_full(int32_t page) const { return store_.n_used(page) == store_.shape().page_tokens; }
    void go_on_from(int32_t layer);
    std::vector<prompt_choice::page> pages_from(llama_pos begin) const;
    std::vector<llama_pos> positions_to_go_on(llama_pos begin) const;
    void give_up_shadow(int32_t n_tokens);
    void limit_shadow();
    std::unordered_map<llama_pos, uint32_t> cells_by_position() const;
    slot_info_vec_t cells_of(const std::vector<llama_ubatch> & ubatches) const;
    bool keep_pinned_near(int32_t n_more);
    void rotate_keys(const std::vector<int32_t> & pages, int32_t shift);
    void plan_visibility(const llama_ubatch & ubatch);
    void plan_each_token(int32_t n_tokens);
    void plan_masses(int32_t n_tokens);
    void follow_turn(const llama_ubatch & ubatch);
    bool in_last_turn(int32_t page) const;
    void store(const layer_nodes & layer, const ggml_tensor * k, const ggml_tensor * v, int ith, int nth);
    attend_shape shape_of(const layer_nodes & layer, int32_t n_tokens) const { return { store_.shape(), store_.n_heads_kv(), layer.group, n_tokens }; }
    size_t scratch_floats(const layer_nodes & layer, int32_t n_tokens) const;
    void attend_layer(const layer_nodes & layer, const ggml_tensor * q, const ggml_tensor * sinks, ggml_tensor * dst, int ith);
    void gather(const layer_nodes & layer, ggml_tensor * out, int ith, int nth) const;
    ggml_tensor * exact_attn(const llm_graph_context & graph, const llama_kv_cache_context * context, const attn_args & args,
                             layer_nodes & layer, ggml_tensor * stored);
    // Of one layer, in page_mass_.
    size_t mass_floats() const { return (size_t) store_.n_heads_kv() * plan_pages_.size(); }

    std::vector<layer_nodes> layers_;        // by model layer; index -1 where not paged
    page_store store_;
    pruner pruner_;
    last_turn turn_;
    bool drafting_ = false;
    prompt_stage stage_ = prompt_stage::none;
    int32_t prompt_layer_ = 0;               // first layer that sees only a part
    prompt_choice choice_;
    uint64_t prompt_bytes_ = 0;              // of hidden states, while a prompt is read
    std::vector<int32_t> left_out_;          // pages of this prompt, while it is read
    int32_t pruned_end_ = 0;                 // where the last prompt ends of which pages were left out
    prompt_shadow shadow_;
    std::vector<int32_t> recalling_;         // pages that a question recalls, while it is read
    const kernel_table & kernels_;
    std::optional<llama_cparams> cparams_;         // of the context, once it has built a graph

    // The plan of the current ubatch: written in llmm_on_apply, read by the nodes.
    std::vector<uint32_t> cells_;            // of its tokens
    std::vector<int32_t> plan_pages_;        // pages that some token sees
    bool plan_spilled_ = false;              // some of them are in the spill file
    std::vector<const uint64_t *> plan_visible_;
    std::vector<std::vector<uint64_t>> plan_words_;
    std::vector<page_view> plan_views_;      // [layers][plan pages]
    std::vector<page_facts> plan_facts_;
    std::vector<const uint64_t *> plan_visible_each_;        // of a draft: [tokens][plan pages]
    std::deque<attend_progress> progress_;   // one, or one for each token of a draft
    // Shares of attention that the step's pages got, [layers][KV heads][plan pages]; empty where nobody asks. Of layers
    // whose attention a gate left out: 0.
    std::vector<float> page_mass_;
    std::vector<float> mass_scratch_;
    std::vector<float> bounds_;              // of the step: [layers][KV heads]; empty where nobody asks
};

// Whether a node of the graph stores keys and values in pages.
bool is_store_node(const ggml_tensor * node);

// Hooks of a session with a paged cache. cache() is null until the context exists, and if the architecture cannot page.
class paging_hooks final : public context_hooks {
public:
    paging_hooks(const kv_settings & settings, const prune_settings & prune) : settings_(settings), prune_(prune) {}

    llama_kv_cache * new_kv_cache(const kv_cache_request & request) override;

    paged_cache * cache() const { return cache_; }
    const std::string & refusal() const { return refusal_; }
    const std::exception_ptr & failure() const { return failure_; }      // of the making of the cache

private:
    kv_settings settings_;
    prune_settings prune_;
    std::exception_ptr failure_;
    paged_cache * cache_ = nullptr;          // owned by the context
    std::string refusal_ = "this architecture has no cache that can be paged";
};

}  // namespace llmm
