// What goes where: the part of page_store that keeps the budget.
#include "page_store.h"

#include <algorithm>

namespace llmm {

namespace {

constexpr int32_t least_demotions = 1;         // per step, beside one for each page that the step fills
constexpr int32_t most_recalls = 4;
constexpr int32_t spare_pages = 8;             // f16 pages' worth of room that must be free before a spilled page returns
constexpr uint64_t least_groups = 16;          // of f16 pages in the budget, for the step of large pages to be small beside it
constexpr float importance_decay = 0.98f;      // per step: half of what was seen counts after 34 tokens

bool contains(const std::vector<int32_t> & sorted, int32_t page) {
    return std::binary_search(sorted.begin(), sorted.end(), page);
}

}  // namespace

uint64_t page_store::fixed_bytes() const {
    return other_bytes_ + lent_bytes_ + pool_->table_bytes() + views_.capacity() * sizeof(page_view) + states_.capacity() * sizeof(page_state) +
           infos_.capacity() * sizeof(page_info) + staging_.capacity() + (spill_ ? spill_->table_bytes() : 0);
}

bool page_store::affords_huge_pages(uint64_t budget) const {
    return budget == 0 || budget >= least_groups * pool_->group_bytes(page_format::f16);
}

// The system gives large pages whole: of each format, the rest of the newest group may be resident before its use.
uint64_t page_store::ahead_bytes() const {
    return huge_pages_ ? pool_->group_bytes(page_format::f16) + pool_->group_bytes(cold_format()) : 0;
}

uint64_t page_store::bytes_needed(uint64_t more) const {
    return fixed_bytes() + slab_total_ + more + ahead_bytes();
}

bool page_store::fits(uint64_t more) const {
    return settings_.budget_bytes == 0 || bytes_needed(more) <= settings_.budget_bytes;
}

page_format page_store::least_format(page_format f) const {
    switch (settings_.quantize) {
        case kv_quantize::f16:      break;
        case kv_quantize::q4:       return f == page_format::f16 ? page_format::q4 : f;
        case kv_quantize::adaptive:
        case kv_quantize::smallest: return f == page_format::none ? f : page_format::q42;
    }
    return f;
}

template <typename Allowed>
int32_t page_store::oldest(const std::vector<int32_t> & keep, Allowed && allowed) const {
    int32_t found = -1;
    for (int32_t p = 0; p < n_pages_; p++) {
        if (in_memory(p) && (found < 0 || infos_[p].last_pos < infos_[found].last_pos) && allowed(p) && !contains(keep, p)) {
            found = p;
        }
    }
    return found;
}

int32_t page_store::evict_one(const std::vector<int32_t> & keep) {
    int32_t found = -1;
    for (int32_t p = 0; p < n_pages_; p++) {
        if (has_data(p) && may_evict(p) && !contains(keep, p) &&
            (found < 0 || infos_[p].importance < infos_[found].importance ||
             (infos_[p].importance == infos_[found].importance && infos_[p].last_pos < infos_[found].last_pos))) {
            found = p;
        }
    }
    if (found >= 0) {
        evict(found);
    }
    return found;
}

void page_store::evict(int32_t page) {
    release(page);
    evicted_.push_back(page);
    counters_.evictions++;
}

// One step towards less memory; false if there is none.
bool page_store::concede(const std::vector<int32_t> & keep) {
    const auto to_format = [&](page_format from, page_format to, bool aged_only) {
        const int32_t p = oldest(keep, [&](int32_t i) { return top_format(i) == from && (!aged_only || is_aged(i)); });
        return p >= 0 && demote(p, to);
    };
    const auto to_file = [&](bool aged_only) {
        const int32_t p = may_spill() ? oldest(keep, [&](int32_t i) { return !aged_only || is_aged(i); }) : -1;
        return p >= 0 && spill(p);
    };
    const bool quantize = settings_.quantize != kv_quantize::f16, adaptive = settings_.quantize == kv_quantize::adaptive;
    return (quantize && to_format(page_format::f16, cold_format(), true)) ||
           (adaptive && to_format(page_format::q4, page_format::q42, true)) ||
           to_file(true) ||
           evict_one(keep) >= 0 ||
           (quantize && to_format(page_format::f16, cold_format(), false)) ||
           (adaptive && to_format(page_format::q4, page_format::q42, false)) ||
           to_file(false);
}

bool page_store::lend(uint64_t bytes, int32_t n_tokens) {
    lent_bytes_ = 0;
    const auto pages = [&](int32_t n) { return (uint64_t) ((n + shape_.page_tokens - 1) / shape_.page_tokens); };
    const int32_t recent = std::min(n_tokens, settings_.recent_tokens + settings_.pinned_tokens);
    const page_format older = settings_.quantize == kv_quantize::f16 ? page_format::f16 : cold_format();
    const uint64_t text = pages(recent) * page_bytes(page_format::f16, n_layers_) + pages(n_tokens - recent) * page_bytes(older, n_layers_);
    if (!fits(bytes + (bytes > 0 ? text + working_bytes() : 0))) {
        return false;
    }
    lent_bytes_ = bytes;
    add_bytes(0);
    return true;
}

// Bytes that remain when `pages` are f16 in memory and all else has been given up that may be.
uint64_t page_store::least_bytes(const std::vector<int32_t> & pages) const {
    uint64_t bytes = fixed_bytes() + ahead_bytes() + working_bytes();
    for (const int32_t p : pages) {
        bytes += page_bytes(page_format::f16, std::max(states_[p].depth, write_end_));
    }
    for (int32_t p = 0; p < n_pages_; p++) {
        if (in_memory(p) && !contains(pages, p) && !may_evict(p) && !may_spill()) {
            bytes += page_bytes(least_format(format(p)), states_[p].depth);
        }
    }
    return bytes;
}

bool page_store::give_way(uint64_t bytes, const std::vector<int32_t> & keep) {
    while (!fits(bytes)) {
        if (!concede(keep)) {
            return false;
        }
    }
    return true;
}

uint64_t page_store::bytes_to_write(int32_t page) const {
    const int32_t depth = states_[page].depth;
    const uint64_t held = in_memory(page) ? page_bytes(page) : 0;
    const uint64_t whole = is_writable(page) ? std::max(held, page_bytes(format(page), depth)) : page_bytes(page_format::f16, depth);
    return whole - held + page_bytes(page_format::f16, std::max(0, write_end_ - depth));
}

bool page_store::make_room(const std::vector<int32_t> & pages) {
    if (settings_.budget_bytes != 0 && least_bytes(pages) > settings_.budget_bytes) {
        return false;
    }
    uint64_t needed = working_bytes();
    for (const int32_t p : pages) {
        needed += bytes_to_write(p);
    }
    return give_way(needed, pages);
}

bool page_store::set_budget(uint64_t bytes) {
    spill_error_.clear();                      // perhaps the disk has room again
    if (huge_pages_ && bytes != 0 && !affords_huge_pages(bytes)) {
        huge_pages_ = false;
        pool_->leave_huge_pages();
    }
    if (bytes != 0 && least_bytes({}) > bytes) {
        return false;
    }
    // The former budget stays in force meanwhile: a page that is quantised needs a little more memory at first.
    while (bytes != 0 && bytes_needed(0) > bytes) {
        if (!concede({})) {
            return false;
        }
    }
    settings_.budget_bytes = bytes;
    return true;
}

bool page_store::is_due(int32_t page, int32_t next_pos) const {
    const page_info & info = infos_[page];
    return in_memory(page) && top_format(page) == page_format::f16 && !is_pinned(page) && info.n_used == shape_.page_tokens &&
           info.last_pos < next_pos - settings_.recent_tokens;
}

int32_t page_store::steps_alike(int32_t next_pos, int32_t n) const {
    const bool quantizes = settings_.quantize != kv_quantize::f16;
    n = std::min(n, shape_.page_tokens - 1 - next_pos % shape_.page_tokens);      // up to the end of the page
    int32_t n_due = 0;
    for (int32_t p = 0; p < n_pages_ && quantizes; p++) {
        if (is_due(p, next_pos)) {
            n_due++;
        } else if (is_due(p, next_pos + n)) {
            n = infos_[p].last_pos + settings_.recent_tokens - next_pos;
        }
    }
    return n_due > least_demotions + 1 ? 0 : std::max(0, n);
}

void page_store::maintain(int32_t next_pos, int32_t n_tokens, const std::vector<int32_t> & keep) {
    if (settings_.quantize != kv_quantize::f16) {
        int32_t left = least_demotions + (n_tokens + shape_.page_tokens - 1) / shape_.page_tokens;
        for (int32_t p = 0; p < n_pages_ && left > 0; p++) {
            if (is_due(p, next_pos) && !contains(keep, p)) {
                left -= demote(p, cold_format());
            }
        }
    }
    for (int32_t i = 0; i < most_recalls; i++) {
        int32_t newest = -1;
        for (int32_t p = 0; p < n_pages_; p++) {
            newest = states_[p].spilled && (newest < 0 || infos_[p].last_pos > infos_[newest].last_pos) ? p : newest;
        }
        if (newest < 0 || !fits(page_bytes(format(newest), states_[newest].depth) + spare_pages * page_bytes(page_format::f16, n_layers_) + working_bytes()) || !recall(newest)) {
            break;
        }
    }
}

void page_store::observe(const std::vector<float> & shares) {
    for (int32_t p = 0; p < n_pages_; p++) {
        infos_[p].importance = importance_decay * infos_[p].importance + shares[p];
    }
}

}  // namespace llmm
