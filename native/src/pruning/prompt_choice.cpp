#include "prompt_choice.h"

#include "hash_unit.h"

#include <algorithm>

namespace llmm {

namespace {
constexpr double newest_share = 0.5;           // of the tokens that stay
}

void prompt_choice::add(const float * mass, const page_list & list, const std::vector<int32_t> & pages) {
    double total = 0;
    for (int32_t i = 0; i < list.n; i++) {
        total += mass[i];
    }
    for (int32_t i = 0; i < list.n && total > 0; i++) {
        scores_[(size_t) pages[(size_t) (list.index ? list.index[i] : i)]] += (float) (mass[i] / total);
    }
}

std::vector<int32_t> prompt_choice::leave_out(std::vector<page> pages, int64_t n_keep, prune_policy policy) const {
    std::sort(pages.begin(), pages.end(), [](const page & a, const page & b) { return a.last_pos > b.last_pos; });
    int64_t kept = 0;
    std::vector<page> others;
    for (const page & p : pages) {
        kept += p.stays ? p.n_tokens : 0;
    }
    const int64_t newest = policy == prune_policy::attention ? (int64_t) (newest_share * (double) n_keep) : policy == prune_policy::recency ? n_keep : 0;
    int64_t n_newest = 0;
    for (const page & p : pages) {
        if (p.stays) {
            n_newest += p.n_tokens;
        } else if (n_newest + p.n_tokens <= newest && kept + p.n_tokens <= n_keep) {
            n_newest += p.n_tokens;
            kept += p.n_tokens;
        } else {
            others.push_back(p);
        }
    }
    const auto value = [&](const page & p) { return policy == prune_policy::random ? hash_unit(0, (uint32_t) p.index) : score(p.index); };
    std::stable_sort(others.begin(), others.end(), [&](const page & a, const page & b) { return value(a) > value(b); });
    std::vector<int32_t> out;
    for (const page & p : others) {
        if (kept + p.n_tokens <= n_keep) {
            kept += p.n_tokens;
        } else {
            out.push_back(p.index);
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace llmm
