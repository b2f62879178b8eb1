// The pages of one cache: their memory in each layer, their formats, and the budget that bounds them. Knows tokens only
// as slots of pages and positions; which token is where is the caller's business.
//
// One thread at a time. Memory that a kernel reads stays where it is until the next call that may move it: reserve,
// demote_aged, set_budget, release.
#pragma once

#include "address_space.h"
#include "attention/attend.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace llmm {

struct kv_settings {
    int32_t page_tokens = 32;              // 16, 32 or 64
    uint64_t budget_bytes = 0;             // bound of all bytes of the cache; 0 = none
    bool quantize = true;                  // pages older than the recent window take fewer bits
    bool evict = false;                    // when the budget is full, the oldest pages may be forgotten
    int32_t recent_tokens = 128;           // newest tokens, kept as stored and never evicted
    int32_t pinned_tokens = 16;            // first tokens (attention sinks, a system prompt): the same
};

struct kv_counters {
    int32_t pages[page_formats] = {};      // now, by page_format; none counts evicted pages that have live tokens
    uint64_t bytes[page_formats] = {};
    uint64_t bytes_total = 0;              // pages and tables
    uint64_t bytes_peak = 0;
    int64_t demotions = 0;                 // of a page, all layers
    int64_t promotions = 0;                // a quantised page was written again
    int64_t evictions = 0;
    int64_t demotion_us = 0;
};

class page_store {
public:
    // Throws std::bad_alloc if the tables alone do not fit memory or budget.
    page_store(const kv_settings & settings, int32_t dim, int32_t n_heads_kv, int32_t n_layers, int32_t n_pages);
    ~page_store();
    page_store(const page_store &) = delete;
    page_store & operator=(const page_store &) = delete;

    const kv_settings & settings() const { return settings_; }
    const head_shape & shape() const { return shape_; }
    int32_t n_heads_kv() const { return n_heads_kv_; }
    int32_t n_layers() const { return n_layers_; }
    // Bytes of one layer's part of a page.
    size_t slab_bytes(page_format f) const { return n_heads_kv_ * block_bytes(shape_, f); }
    head_strides strides() const;
    int32_t n_pages() const { return n_pages_; }
    kv_counters counters() const;

    // What the caller knows of a page: slots in use, their lowest and highest position.
    void describe(int32_t page, int32_t n_used, int32_t first_pos, int32_t last_pos);

    // The pages of one layer, [n_pages]; format none where there is no data.
    const page_view * layer(int32_t layer) const { return views_.data() + (size_t) layer * n_pages_; }
    page_format format(int32_t page) const { return layer(0)[page].format; }

    // Whether reserve() can succeed, giving up what may be given up. Pages are sorted, here and below.
    bool can_reserve(const std::vector<int32_t> & pages) const;

    // Makes pages writable: f16 with data in every layer, zero where new. Demotes and evicts others as the budget
    // demands. False: budget or memory do not suffice; pages may have been demoted, none of `pages` is lost.
    bool reserve(const std::vector<int32_t> & pages);

    // Quantises pages whose tokens are all older than the recent window before `next_pos`.
    void demote_aged(int32_t next_pos, const std::vector<int32_t> & keep);

    // Gives an empty page memory in a format, for its contents to be read into. False: no memory or budget.
    bool restore(int32_t page, page_format f);

    // Gives up a page's memory.
    void release(int32_t page);

    // Block of one head of a page with data.
    uint8_t * block(int32_t layer, int32_t page, int32_t head) const;

private:
    struct page_info {
        int32_t n_used = 0;
        int32_t first_pos = 0;
        int32_t last_pos = -1;
        bool evicted = false;
    };

    int32_t group_pages(page_format f) const { return (f == page_format::f16 ? 256 : 1024) / shape_.page_tokens; }
    size_t group_bytes(page_format f) const { return group_pages(f) * n_layers_ * slab_bytes(f); }
    size_t page_bytes(page_format f) const { return n_layers_ * slab_bytes(f); }
    page_view & view(int32_t layer, int32_t page) { return views_[(size_t) layer * n_pages_ + page]; }
    size_t block_at(page_format f, int32_t layer, int32_t head, int32_t page) const {
        const int32_t n = group_pages(f);
        return ((((size_t) (page / n) * n_layers_ + layer) * n_heads_kv_ + head) * n + page % n) * block_bytes(shape_, f);
    }
    const uint8_t * take(page_format f, int32_t layer, int32_t page);       // null: no memory or budget
    void give(page_format f, int32_t layer, int32_t page);
    bool fits(uint64_t more) const;
    bool is_pinned(const page_info & info) const { return info.first_pos < settings_.pinned_tokens; }
    bool may_evict(const page_info & info) const {
        return settings_.evict && !is_pinned(info) && info.last_pos <= newest_pos_ - settings_.recent_tokens;
    }
    // While a page changes its format, one layer of it exists in both.
    size_t working_bytes() const { return slab_bytes(page_format::f16); }
    bool convert(int32_t page, page_format to,
                 void (*one)(const page_store &, page_format from, page_format to, const uint8_t * in, uint8_t * out));
    bool demote(int32_t page, page_format to);
    bool promote(int32_t page);
    void evict(int32_t page);
    bool concede(const std::vector<int32_t> & keep);      // one step: demotes or evicts one page
    uint64_t table_bytes() const;
    uint64_t ahead_bytes() const;

    kv_settings settings_;
    head_shape shape_;
    int32_t n_heads_kv_, n_layers_, n_pages_;
    // Blocks by format: [groups of pages][layers][heads][pages of the group]. What one head reads in order lies in long
    // runs, and yet the memory of the newest group is all that is taken ahead of its use.
    std::unique_ptr<address_space> spaces_[page_formats];
    bool huge_pages_;
    const kernel_table & kernels_;
    std::vector<page_view> views_;                        // [layers][pages]
    std::vector<page_info> info_;
    int32_t newest_pos_ = -1;
    uint64_t slab_total_ = 0;
    kv_counters counters_;
};

}  // namespace llmm
