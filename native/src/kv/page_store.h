// The pages of one cache: where their keys and values are, in which format, and the budget that bounds them. Knows tokens
// only as slots of pages and positions; which token is where is the caller's business.
//
// page_store.cpp moves contents between formats, memory, the spill file and other stores; page_budget.cpp decides what
// goes where.
//
// One thread at a time, but for fetch(). Memory that a kernel reads stays where it is until the next call that may move
// it: maintain, make_room, reserve, set_budget, release.
#pragma once

#include "page_pool.h"
#include "spill_file.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace llmm {

// How pages older than the recent window are kept; as llmm_kv_quantize.
enum class kv_quantize : int32_t {
    f16      = 0,
    q4       = 1,
    adaptive = 2,                          // q4, and q42 where the budget presses
    smallest = 3,                          // q42
};

struct kv_settings {
    int32_t page_tokens = 32;              // 16, 32 or 64
    uint64_t budget_bytes = 0;             // bound of all bytes of the cache; 0 = none
    kv_quantize quantize = kv_quantize::adaptive;
    bool evict = false;                    // when the budget is full, pages may be forgotten
    bool exact = false;                    // llama.cpp's attention over gathered pages
    int32_t recent_tokens = 128;           // newest tokens, kept as stored and never evicted
    int32_t pinned_tokens = 16;            // first tokens (attention sinks, a system prompt): the same
    std::string spill_dir;                 // empty: no spill file
    int32_t n_threads = 1;                 // that may read spilled pages at a time
};

struct kv_counters {
    int32_t pages[page_formats] = {};      // in memory, by format
    uint64_t bytes[page_formats] = {};
    int32_t pages_spilled = 0;
    int32_t pages_shared = 0;              // in memory, and held by another store too
    uint64_t bytes_total = 0;              // pages, tables and buffers
    uint64_t bytes_peak = 0;
    uint64_t bytes_spilled = 0;
    uint64_t budget = 0;
    int64_t demotions = 0;                 // of a page, all layers
    int64_t promotions = 0;                // a quantised or spilled page was written again
    int64_t spills = 0;
    int64_t recalls = 0;
    int64_t evictions = 0;
    int64_t demotion_us = 0;
    int64_t spill_us = 0;
    int64_t read_us = 0;
    int64_t read_bytes = 0;
};

class page_store {
public:
    // other_bytes: what the caller keeps beside the store, part of the budget. Throws std::bad_alloc if the tables alone
    // do not fit memory or budget, std::system_error if the spill file cannot be made.
    page_store(const kv_settings & settings, int32_t dim, int32_t n_heads_kv, int32_t n_layers, int32_t n_pages, uint64_t other_bytes);
    ~page_store();
    page_store(const page_store &) = delete;
    page_store & operator=(const page_store &) = delete;

    const kv_settings & settings() const { return settings_; }
    const head_shape & shape() const { return shape_; }
    int32_t n_heads_kv() const { return n_heads_kv_; }
    int32_t n_layers() const { return n_layers_; }
    int32_t n_pages() const { return n_pages_; }
    head_strides strides() const { return pool_->strides(); }
    kv_counters counters() const;

    // What the caller knows of a page: slots in use, their lowest and highest position. 0 slots: its memory goes.
    void describe(int32_t page, int32_t n_used, int32_t first_pos, int32_t last_pos);

    // The pages of one layer, [n_pages]; format none where there is no data, a null block where it is in the spill file.
    const page_view * layer(int32_t layer) const { return views_.data() + (size_t) layer * n_pages_; }
    page_format format(int32_t page) const { return layer(0)[page].format; }
    bool is_spilled(int32_t page) const { return states_[page].spilled; }
    // Layers that the page has data in: the first so many. 0: it has none.
    int32_t depth(int32_t page) const { return states_[page].depth; }

    // ---- contents. Pages are sorted, here and below.

    // The layers [begin, end) that reserve() makes pages writable in. Else all of them. A page of which later layers were
    // never reserved has no memory there.
    void set_writable_layers(int32_t begin, int32_t end) { write_begin_ = begin; write_end_ = end; }

    // Makes pages writable: f16 with data in the layers before the end of the writable ones, zero where new, shared with
    // nobody. What lies before the writable layers may stay quantised. False: budget or memory do not suffice, or a spilled
    // page cannot be read; nothing is lost.
    bool reserve(const std::vector<int32_t> & pages);

    uint8_t * block(int32_t layer, int32_t page, int32_t head) const;      // of a page in memory

    // The block of one head of a page, wherever it is, in the page's format. False: it cannot be read.
    bool read(int32_t layer, int32_t page, int32_t head, uint8_t * to) const;

    // Blocks of one head of spilled pages of one format. Zeros where they cannot be read, and damaged() tells. Threads: any.
    void fetch(int32_t layer, int32_t head, const int32_t * pages, int32_t n, uint8_t * to);
    // Has the system read the spilled ones among pages ahead of their use.
    void prefetch(int32_t layer, const std::vector<int32_t> & pages) const;
    // The first spilled page that could not be read since the last call, -1 if none.
    int32_t take_damaged() { return damaged_.exchange(-1); }
    uint8_t * staging() { return staging_.empty() ? nullptr : staging_.data() + staging_offset_; }

    // Gives an empty page memory in a format and in the first so many layers, for its contents to be read into. False: no
    // memory or budget.
    bool restore(int32_t page, page_format f, int32_t depth);

    // Gives up a page's contents.
    void release(int32_t page);
    // Gives up its contents from a layer on. A page in the spill file is evicted.
    void shallow(int32_t page, int32_t depth);

    // Takes over the pages of another store of the same shape and settings, which this store has none of: those in memory
    // are shared, those in its spill file copied. False: memory or disk do not suffice.
    bool share_from(const page_store & other);

    // ---- what goes where

    // Quantises pages that have left the recent window before next_pos, a few per step of n_tokens, and brings spilled ones
    // back where there is room.
    void maintain(int32_t next_pos, int32_t n_tokens, const std::vector<int32_t> & keep);

    // Of n steps of one token after that at position next_pos, how many can share its step and would see the same as on
    // their own: none would quantise a page or begin another one.
    int32_t steps_alike(int32_t next_pos, int32_t n) const;

    // Counts memory of others into the budget, if it has room for that and for n_tokens more, quantised as usual, with nothing
    // given up. False: it has not. lend() in place of the former bytes; 0 gives them back.
    bool lend(uint64_t bytes, int32_t n_tokens);

    // Makes reserve(pages) fit the budget: quantises, spills and evicts others. False: that cannot be done; where it could
    // be known beforehand, nothing has changed.
    bool make_room(const std::vector<int32_t> & pages);

    // Pages evicted since the last call; their tokens are the caller's to forget.
    std::vector<int32_t> take_evicted() { return std::exchange(evicted_, {}); }
    void evict(int32_t page);
    // Evicts the page of least importance among those that may go; -1 if there is none.
    int32_t evict_one(const std::vector<int32_t> & keep);

    // False: what may not be given up needs more; the budget is what it was.
    bool set_budget(uint64_t bytes);

    // Neither pinned nor recent, and complete: not read like the others by habit.
    bool is_prunable(int32_t page) const { return infos_[page].n_used == shape_.page_tokens && is_aged(page); }
    int32_t n_used(int32_t page) const { return infos_[page].n_used; }
    int32_t first_pos(int32_t page) const { return infos_[page].first_pos; }
    int32_t newest_pos() const { return newest_pos_; }            // -1: there are no tokens
    int32_t last_pos(int32_t page) const { return infos_[page].last_pos; }

    // Takes in the shares of attention that pages got in a step, [n_pages]; in sum 1.
    void observe(const std::vector<float> & shares);

    // Pinned tokens have moved up by so much in all: see is_pinned.
    int32_t pinned_shift() const { return pinned_shift_; }
    void set_pinned_shift(int32_t shift) { pinned_shift_ = shift; }
    bool is_pinned(int32_t page) const { return infos_[page].first_pos < settings_.pinned_tokens + pinned_shift_; }

    // Why nothing is spilled any more; empty if all is well.
    const std::string & spill_error() const { return spill_error_; }

private:
    struct page_info {
        int32_t n_used = 0;
        int32_t first_pos = 0;
        int32_t last_pos = -1;
        float importance = 0;
    };
    // Slots that a page holds: of one format, or of two while it moves from one to the other.
    struct holding {
        std::shared_ptr<page_pool> pool;                  // this store's or another's; null: none
        int32_t slot = -1;
    };
    struct page_state {
        std::array<holding, page_formats> held;
        bool spilled = false;
        int32_t depth = 0;                                // layers with data
    };
    page_view & view(int32_t layer, int32_t page) { return views_[(size_t) layer * n_pages_ + page]; }
    size_t slab_bytes(page_format f) const { return pool_->slab_bytes(f); }
    // Of a page that ends with layer n - 1.
    uint64_t page_bytes(page_format f, int32_t n) const { return f == page_format::none ? 0 : n * slab_bytes(f); }
    // Of a page in memory, whose layers may differ in format for a while.
    uint64_t page_bytes(int32_t page) const;
    bool has_data(int32_t page) const { return format(page) != page_format::none; }
    bool in_memory(int32_t page) const { return has_data(page) && !states_[page].spilled; }
    bool is_shared(int32_t page) const;
    // The format of its last layer, which is the last one to be quantised.
    page_format top_format(int32_t page) const { return states_[page].depth > 0 ? layer(states_[page].depth - 1)[page].format : page_format::none; }
    bool is_writable(int32_t page) const;
    bool hold(int32_t page, page_format f);               // a slot of this store, shared with nobody
    bool take(page_format f, int32_t page, int32_t layer);
    void drop(int32_t page, page_format f);
    void add_bytes(int64_t n);
    void convert_block(page_format from, page_format to, const uint8_t * in, uint8_t * out) const;
    bool convert(int32_t page, page_format to);
    bool demote(int32_t page, page_format to);
    bool promote(int32_t page);
    bool own(int32_t page);
    bool deepen(int32_t page, int32_t depth);
    bool spill(int32_t page);
    bool recall(int32_t page);

    uint64_t bytes_needed(uint64_t more) const;
    uint64_t bytes_to_write(int32_t page) const;          // that reserve() adds
    bool fits(uint64_t more) const;
    uint64_t fixed_bytes() const;
    uint64_t ahead_bytes() const;
    bool affords_huge_pages(uint64_t budget) const;
    bool is_due(int32_t page, int32_t next_pos) const;    // to be quantised by maintain
    bool is_aged(int32_t page) const { return infos_[page].last_pos <= newest_pos_ - settings_.recent_tokens && !is_pinned(page); }
    bool may_evict(int32_t page) const { return settings_.evict && is_aged(page); }
    bool may_spill() const { return spill_ && spill_error_.empty(); }
    page_format cold_format() const { return settings_.quantize == kv_quantize::smallest ? page_format::q42 : page_format::q4; }
    page_format least_format(page_format f) const;
    // While a page changes its format, one layer of it exists in both.
    uint64_t working_bytes() const { return slab_bytes(page_format::f16); }
    uint64_t least_bytes(const std::vector<int32_t> & pages) const;
    bool concede(const std::vector<int32_t> & keep);
    bool give_way(uint64_t bytes, const std::vector<int32_t> & keep);
    template <typename Allowed>
    int32_t oldest(const std::vector<int32_t> & keep, Allowed && allowed) const;

    kv_settings settings_;
    head_shape shape_;
    int32_t n_heads_kv_, n_layers_, n_pages_;
    int32_t write_begin_ = 0, write_end_;
    uint64_t other_bytes_;
    uint64_t lent_bytes_ = 0;
    bool huge_pages_ = false;
    const kernel_table & kernels_;
    std::shared_ptr<page_pool> pool_;
    std::unique_ptr<spill_file> spill_;
    std::string spill_error_;
    std::vector<page_view> views_;                        // [layers][pages]
    std::vector<page_state> states_;
    std::vector<page_info> infos_;
    std::vector<int32_t> evicted_;
    std::vector<uint8_t> staging_;
    size_t staging_offset_ = 0;
    int32_t newest_pos_ = -1;
    int32_t pinned_shift_ = 0;
    uint64_t slab_total_ = 0;
    std::atomic<int32_t> damaged_{ -1 };
    std::atomic<int64_t> read_us_{ 0 }, read_bytes_{ 0 };
    kv_counters counters_;
};

}  // namespace llmm
