// Decides how many drafted tokens are worth checking, from what steps of each size have taken and how often drafts were
// right. What drafting may lose is bounded: it spends from an account that grows a little with every plain step and by
// what drafts have gained.
//
// All amounts are in plain steps: a step that takes as long as two plain ones costs 2.
#pragma once

#include "drafter.h"

#include <array>
#include <cstdint>

namespace llmm {

class draft_pacer {
public:
    draft_pacer();

    // How many tokens of a draft of this strength and length to check; 0: none, go on plainly.
    int32_t choose(int32_t strength, int32_t length);

    // What a step took: of one token, and of one token and n_drafted more, of which n_accepted were right.
    void note_plain(int64_t us);
    void note_drafted(int32_t strength, int32_t n_drafted, int32_t n_accepted, int64_t us);

private:
    double cost(int32_t n_drafted) const;

    double plain_us_ = 0;                                     // moving average; 0: not known yet
    int32_t n_plain_ = 0;
    std::array<double, most_draft_tokens + 1> cost_;          // by drafted tokens; 0: not known yet
    bool is_costed_ = false;                                  // some size was tried
    double slope_;                                            // what one more token costs, for sizes not tried yet
    // Of the drafted tokens whose predecessors were right, the share that were, by strength and place.
    std::array<std::array<double, most_draft_tokens>, draft_strengths> right_;
    double account_;
    int32_t since_plain_ = 0, since_draft_ = 0;
    int32_t patience_;                                        // plain steps until the next draft against the odds
};

}  // namespace llmm
