#include "prompt_choice.h"

#include "hash_unit.h"

#include <algorithm>

namespace llmm {

namespace {
constexpr double newest_share = 0.5;           // of the tokens that stay
constexpr double words_share = 0.25;
constexpr float least_words = 0.5f;            // of the greatest score
constexpr float striking_words = 5.0f;         // times the mean: any text shares some words with itself
}

void prompt_choice::forget() {
    std::fill(scores_.begin(), scores_.end(), 0.0f);
    std::fill(words_.begin(), words_.end(), 0.0f);
}

void prompt_choice::add_words(const std::vector<int32_t> & pages, const std::vector<float> & scores) {
    float most = 0, sum = 0;
    for (const float s : scores) {
        most = std::max(most, s);
        sum += s;
    }
    const float least = std::max(least_words * most, striking_words * sum / (float) scores.size());
    for (size_t i = 0; i < pages.size(); i++) {
        words_[(size_t) pages[i]] = scores[i] >= least ? scores[i] : 0;
    }
}

bool prompt_choice::is_better(int32_t a, int32_t b) const {
    const float words_a = words_[(size_t) a], words_b = words_[(size_t) b];
    return words_a != words_b ? words_a > words_b : score(a) > score(b);
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
    // Takes of the others, the best first, what fits.
    const auto take = [&](int64_t most, const auto & is_wanted, const auto & goes_before) {
        std::stable_sort(others.begin(), others.end(), goes_before);
        std::vector<page> left;
        for (const page & p : others) {
            if (is_wanted(p) && p.n_tokens <= most && kept + p.n_tokens <= n_keep) {
                most -= p.n_tokens;
                kept += p.n_tokens;
            } else {
                left.push_back(p);
            }
        }
        others = std::move(left);
    };
    if (policy == prune_policy::attention) {
        take((int64_t) (words_share * (double) n_keep), [&](const page & p) { return words_[(size_t) p.index] > 0; },
             [&](const page & a, const page & b) { return is_better(a.index, b.index); });
    }
    const auto value = [&](const page & p) { return policy == prune_policy::random ? hash_unit(0, (uint32_t) p.index) : score(p.index); };
    take(n_keep, [](const page &) { return true; }, [&](const page & a, const page & b) { return value(a) > value(b); });
    std::vector<int32_t> out;
    for (const page & p : others) {
        out.push_back(p.index);
    }
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace llmm
