// Which pages each KV head of each layer attends to while a session decodes. A page is, for a head,
//   active:  may be read;
//   shadow:  kept with its keys and values, not read, and tested every few steps;
//   dropped: not read any more; its memory goes once that holds for every head.
// Of the active pages a step reads all, or, if asked to, the selected ones: the fewest that hold most of what the last look
// at them saw.
//
// A test reads all pages but dropped ones, so its result is that of dense attention, and the
// shares of softmax that fall out of it are exact: pages are pruned and recalled by them. A look reads the active pages
// and renews the selection. Selecting pages by softmax mass follows what was measured
// for this library (docs/pruning.md); keeping pruned tokens for recall follows ArkVale (NeurIPS 2024) and LazyLLM
// (arXiv 2407.14057).
//
// Pages that the caller protects (pinned, recent, being written) are always read. One thread at a time.
#pragma once

#include "prune_settings.h"

#include "attention/attend.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace llmm {

struct prune_counters {
    // Tokens, on average over layers and heads; the sum of the first three is what the cache holds or held.
    double active = 0;
    double shadow = 0;
    double dropped = 0;
    double pruned_total = 0;               // that left the active set so far; what came back counts again
    double recalled_total = 0;
    double read = 0;                       // tokens read per step since the session began
    // Share of attention that a step would have left out, measured at each test; the mean so far and the most of a test.
    double omitted_mean = 0;
    double omitted_most = 0;
    // Of steps that left something out: what that can have been at most, if bounds are wanted.
    double bound_mean = 0;
    double bound_most = 0;
    int64_t steps = 0;                     // that decoded with pruning in force
    int64_t tests = 0;
    int64_t looks = 0;
    int64_t time_us = 0;                   // spent deciding
};

enum class prune_event_kind : int32_t { pruned = 0, recalled = 1, dropped = 2 };       // as llmm_prune_event_kind

// A page crossed between "active for most heads" and not.
struct prune_event {
    int32_t position;                      // of the token being evaluated
    int32_t first_pos, last_pos;           // of the page's tokens
    float active_share;                    // of heads
    prune_event_kind kind;
};

// A page, for people.
struct page_summary {
    float importance;                      // moving average of the share of attention that falls on it, mean over heads
    float active_share;                    // of heads
    float dropped_share;
};

struct prune_page {
    int32_t first_pos, last_pos;
    page_summary state;
};

// What a caller knows of a page that a step may read.
struct page_facts {
    int32_t page;
    int32_t n_tokens;
    int32_t first_pos, last_pos;
    bool is_protected;
};

class pruner {
public:
    pruner(const prune_settings & settings, int32_t n_layers, int32_t n_heads_kv, int32_t n_pages);

    const prune_settings & settings() const { return settings_; }
    // What is active, shadow or dropped stays so until the next test.
    void set_settings(const prune_settings & settings);
    static uint64_t table_bytes(int32_t n_layers, int32_t n_heads_kv, int32_t n_pages);

    // The next step is a test, because something new came: a turn, say.
    void expect_change() { phase_.test_next = 1; }
    // Entropy in nats of what a step predicted. Much more than before calls for a test: tokens may be needed that nobody
    // needed lately.
    void observe_entropy(float entropy);

    // Decides what a step of n_tokens reads among pages, which ascend and see all of its tokens' context. With more than one
    // token: all but dropped pages.
    void plan(const std::vector<page_facts> & pages, int32_t position, int32_t n_tokens);

    // Of the step: indices into pages. Null: every head of the layer reads all.
    const page_list * chosen(int32_t layer) const { return reads_all_ ? nullptr : lists_.data() + (size_t) layer * n_heads_; }
    bool wants_mass() const { return wants_mass_; }
    // A bound of what each head leaves out is wanted of the step, [layers][KV heads].
    bool wants_bounds() const { return settings_.bound && !reads_all_ && kind_ != step::none; }
    void absorb_bounds(const std::vector<float> & bounds);
    bool is_acting() const { return kind_ != step::none; }     // in the step: long enough a context, one token

    // The page_mass of all layers after the step, [layers][KV heads][pages], in the order of the lists. True after a test.
    bool absorb(const float * mass);

    // A page lost tokens and holds n_left: what comes next has no history. Not between a step and its absorb().
    void forget(int32_t page, int32_t n_left = 0);
    // As little, but nothing of what is known is about the tokens that went.
    void shrink(int32_t page, int32_t n_left);
    void forget_all();
    // The layers from first_layer on have nothing of these pages: dropped, and not read even where they are protected.
    void leave_out(const std::vector<int32_t> & pages, int32_t first_layer);
    // They have them after all, and nothing is known of them there.
    void bring_back(const std::vector<int32_t> & pages, int32_t first_layer);
    // Pages that every head has dropped; the caller empties them.
    std::vector<int32_t> all_dropped() const;

    prune_counters counters() const;
    std::vector<prune_event> take_events() { return std::exchange(events_, {}); }
    page_summary describe(int32_t page) const;

    // All that the decisions of later steps depend on, page by page, for saved sessions.
    struct phase {
        int32_t test_next = 1;
        int32_t tests_in_turn = 0;
        int32_t since_test = 0, since_look = 0;
        float mean_entropy = -1;           // of the last steps; -1: there were none
    };
    const phase & current_phase() const { return phase_; }
    void restore_phase(const phase & p);
    size_t page_bytes() const;
    void save_page(int32_t page, uint8_t * out) const;
    void restore_page(int32_t page, const uint8_t * data);       // any bytes
    void copy_from(const pruner & other);                  // of the same shape; counters stay

private:
    enum class step : uint8_t { none, test, look, active, selected, stale };
    enum flag : uint8_t { pruned = 1, unselected = 2, dropped = 4, absent = 8 };      // what is absent is dropped too
    struct entry {
        float average = -1;                // of the share of attention; -1: never seen
        float peak = 0;
        float latest = 0;
        int32_t wanted_at = -(1 << 30);    // position at which it last belonged to the kept ones
    };

    struct ranked {
        float value;
        int32_t unit;
        int32_t index;                     // into pages_
        // Of equal values the first in memory is the greater, so that orders are the same everywhere.
        bool operator>(const ranked & o) const { return value != o.value ? value > o.value : unit != o.unit ? unit < o.unit : index < o.index; }
        bool operator<(const ranked & o) const { return o > *this; }
    };

    size_t at(int32_t unit, int32_t page) const { return (size_t) unit * n_pages_ + page; }
    static bool may_read(const page_facts & page, uint8_t flags, step kind);
    float importance(int32_t unit, const page_facts & p) const;
    bool is_candidate(int32_t unit, const page_facts & p) const;
    bool may_prune_now() const;
    void choose_step();
    void build_lists();
    void decide();
    void prune_by_threshold(int32_t unit);
    void prune_by_target();
    void set_pruned(int32_t unit, const page_facts & p, bool prune);
    void enforce_shadow();
    void select(int32_t unit);
    void record_events();

    prune_settings settings_;
    int32_t n_heads_, n_pages_, n_units_;
    std::vector<entry> entries_;           // [units][pages]
    std::vector<uint8_t> flags_;           // [units][pages]
    std::vector<int32_t> n_dropped_;       // [pages]: heads that have dropped it
    int32_t any_dropped_ = 0;              // sum of those
    std::vector<prune_event_kind> told_;   // [pages]: what recorded events have told; recalled stands for active
    phase phase_;

    // The plan of the step.
    std::vector<page_facts> pages_;
    int32_t position_ = 0;
    step kind_ = step::none;
    bool reads_all_ = true, wants_mass_ = false;
    std::vector<page_list> lists_;         // [units], of pages_
    std::vector<int32_t> indices_;
    step listed_ = step::stale;            // what kind of step the lists are for; stale: they are not valid
    double listed_tokens_ = 0;

    // Scratch.
    std::vector<float> values_;
    std::vector<ranked> ranked_;
    std::vector<uint8_t> keep_;

    std::vector<prune_event> events_;
    prune_counters totals_;
    double read_tokens_ = 0, omitted_sum_ = 0, bound_sum_ = 0;
    int64_t bounded_steps_ = 0;
};

}  // namespace llmm
