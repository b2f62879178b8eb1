// What a session keeps for generating with drafts. drafting.cpp has the steps.
#pragma once

#include "draft_pacer.h"
#include "drafter.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace llmm {

struct drafting {
    std::unique_ptr<draft_source> source;
    draft_pacer pacer;
    bool paced = true;                     // false: all that is proposed is checked, for tests
    bool works = true;                     // false: drafts could not be taken back, or not be evaluated

    // The draft that is in the cache after the history, as long as the model goes along with it.
    bool open = false;
    draft ahead;
    int32_t n_right = 0;                   // tokens of it that are in the history by now
    int64_t us = 0;                        // what its step took
};

}  // namespace llmm
