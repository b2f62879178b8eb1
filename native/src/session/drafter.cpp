#include "drafter.h"

#include <algorithm>

namespace llmm {

namespace {
constexpr size_t least_places = 256;
}  // namespace

bool ngram_drafter::same(int32_t end_a, int32_t end_b, int32_t n) const {
    return std::equal(tokens_.begin() + (end_a - n), tokens_.begin() + end_a, tokens_.begin() + (end_b - n));
}

uint32_t ngram_drafter::hash(int32_t end, int32_t n) const {
    uint64_t h = 0;
    for (int32_t i = end - n; i < end; i++) {
        h = (h ^ (uint32_t) tokens_[(size_t) i]) * 0x9E3779B97F4A7C15ull;
        h ^= h >> 32;
    }
    return (uint32_t) h;
}

// Of the n-gram that ends there: where it stands, or the free place where it belongs.
size_t ngram_drafter::place(const table & t, int32_t end, int32_t n) const {
    const size_t mask = t.ends.size() - 1;
    size_t at = hash(end, n) & mask;
    while (t.ends[at] >= 0 && !same(t.ends[at], end, n)) {
        at = (at + 1) & mask;
    }
    return at;
}

// Remembers the n-gram that ends there in place of its former occurrence, which it returns; -1 if there was none.
int32_t ngram_drafter::replace(int32_t end, int32_t n) {
    table & t = tables_[n - least_n];
    if (2 * (t.n_used + 1) > t.ends.size()) {
        table larger;
        larger.n_used = t.n_used;
        larger.ends.assign(std::max(least_places, 2 * t.ends.size()), -1);
        for (const int32_t e : t.ends) {
            if (e >= 0) {
                larger.ends[place(larger, e, n)] = e;
            }
        }
        t = std::move(larger);
    }
    int32_t & entry = t.ends[place(t, end, n)];
    const int32_t former = entry;
    t.n_used += former < 0;
    entry = end;
    return former;
}

void ngram_drafter::push(int32_t token) {
    tokens_.push_back(token);
    const auto end = (int32_t) tokens_.size();
    for (int32_t n = least_n; n <= most_n; n++) {
        former_[n - least_n] = end >= n ? replace(end, n) : -1;
    }
}

void ngram_drafter::begin(span<const int32_t> history) {
    if (history.size() < tokens_.size() || !std::equal(tokens_.begin(), tokens_.end(), history.begin())) {
        tokens_.clear();
        for (table & t : tables_) {
            t = {};
        }
    }
}

draft ngram_drafter::propose(span<const int32_t> history, int32_t max_n) {
    while (tokens_.size() < history.size()) {
        push(history[tokens_.size()]);
    }
    draft d;
    if (tokens_.empty() || max_n <= 0) {
        return d;
    }
    for (int32_t n = most_n; n >= least_n; n--) {
        const int32_t from = former_[n - least_n];
        if (from < 0) {
            continue;
        }
        d.strength = n - least_n;
        for (int32_t i = 0; i < max_n; i++) {
            const size_t at = (size_t) (from + i);     // past the end it is the draft that repeats itself
            d.tokens.push_back(at < tokens_.size() ? tokens_[at] : d.tokens[at - tokens_.size()]);
        }
        break;
    }
    return d;
}

}  // namespace llmm
