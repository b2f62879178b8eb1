// Which pages of a prompt later layers see. The last tokens of the prompt tell what matters: their attention in the layers
// just below falls on the pages that they need (observation window: SnapKV, arXiv 2404.14469; one choice for all later
// layers: FastKV, arXiv 2502.01068, GemFilter, arXiv 2409.17422).
#pragma once

#include "prune_settings.h"

#include "attention/attend.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace llmm {

class prompt_choice {
public:
    explicit prompt_choice(int32_t n_pages) : scores_((size_t) n_pages, 0.0f), words_((size_t) n_pages, 0.0f) {}

    void forget();

    // Attention of one KV head of a layer: mass[i] fell on pages[list.index[i]], or pages[i].
    void add(const float * mass, const page_list & list, const std::vector<int32_t> & pages);

    struct page {
        int32_t index;
        int32_t n_tokens;
        int32_t last_pos;
        bool stays;                            // whatever its score
    };
    // What lexical_match says of the pages. Those with less than half of the greatest score, or less than five times the mean,
    // count as if they had none.
    void add_words(const std::vector<int32_t> & pages, const std::vector<float> & scores);

    // Of a prompt's pages, in any order, those that do not belong to the n_keep tokens that stay: half of these are the newest,
    // up to a quarter those that share words, the rest those of greatest score.
    std::vector<int32_t> leave_out(std::vector<page> pages, int64_t n_keep, prune_policy policy) const;
    float score(int32_t page) const { return scores_[(size_t) page]; }
    // Whether a page goes before another where not all that were chosen can stay.
    bool is_better(int32_t a, int32_t b) const;

private:
    std::vector<float> scores_, words_;        // [pages]
};

}  // namespace llmm
