// Guesses of the next tokens, for the model to check several of them in one step. A wrong guess costs time and nothing
// else.
#pragma once

#include "span.h"

#include <cstdint>
#include <vector>

namespace llmm {

constexpr int32_t most_draft_tokens = 16;
constexpr int32_t draft_strengths = 3;

struct draft {
    std::vector<int32_t> tokens;
    int32_t strength = 0;                  // below draft_strengths: drafts of one strength are about as often right
};

class draft_source {
public:
    virtual ~draft_source() = default;

    // A generation begins with this history, which may be any.
    virtual void begin(span<const int32_t> history) = 0;

    // At most max_n tokens that may follow the history, none if there is no telling. The history goes on from that of the
    // last call.
    virtual draft propose(span<const int32_t> history, int32_t max_n) = 0;
};

// Prompt lookup (Saxena 2023): what followed when the last few tokens stood in the history before. The longest n-gram
// that did, and its newest occurrence.
class ngram_drafter final : public draft_source {
public:
    static constexpr int32_t least_n = 2, most_n = 4;
    static_assert(most_n - least_n + 1 == draft_strengths, "an n-gram's length is its strength");

    void begin(span<const int32_t> history) override;
    draft propose(span<const int32_t> history, int32_t max_n) override;

private:
    // Where each n-gram ended last, by hash; -1 in free places. Half of the places stay free.
    struct table {
        std::vector<int32_t> ends;
        size_t n_used = 0;
    };

    void push(int32_t token);
    bool same(int32_t end_a, int32_t end_b, int32_t n) const;
    uint32_t hash(int32_t end, int32_t n) const;
    size_t place(const table & t, int32_t end, int32_t n) const;
    int32_t replace(int32_t end, int32_t n);

    std::vector<int32_t> tokens_;          // what is indexed
    table tables_[draft_strengths];
    int32_t former_[draft_strengths];      // end of the newest occurrence before the last of what the history ends with; -1: none
};

}  // namespace llmm
