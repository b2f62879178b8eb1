// Which parts of the layers a step leaves out: the first `level` of an order, where the level depends on how sure the model
// was of the token that is being evaluated. Choosing order and levels is the caller's: docs/layers.md.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace llmm {

struct gate_policy {
    std::vector<int32_t> order;              // parts, the first to go first
    std::vector<float> edges;                // of the entropy of the last prediction in nats, ascending
    std::vector<int32_t> levels;             // [edges + 1]: of entropies below edges[0], from there to below edges[1], ...
    int32_t dense_tokens = 0;                // steps that leave nothing out after one whose entropy was in the last range
    bool batches = false;                    // steps of several tokens too, at levels[0]

    bool is_off() const {
        return std::all_of(levels.begin(), levels.end(), [](int32_t n) { return n == 0; });
    }
    bool asks_entropy() const { return !edges.empty(); }
};

struct gate_counters {
    int64_t steps = 0;                       // of single tokens
    int64_t skipped = 0;                     // parts left out in them
};

// Follows one session.
class gate_state {
public:
    void set_policy(gate_policy policy) {
        policy_ = std::move(policy);
        dense_left_ = 0;
    }
    const gate_policy & policy() const { return policy_; }

    // Parts to leave out in the next step, a prefix of the order. entropy: NaN if it is not known.
    int32_t next_level(float entropy, int32_t n_tokens) {
        if (policy_.is_off() || (n_tokens > 1 && !policy_.batches)) {
            return 0;
        }
        if (!policy_.asks_entropy() || n_tokens > 1) {
            return policy_.levels[0];
        }
        if (std::isnan(entropy)) {
            return 0;
        }
        const auto range = (size_t) (std::upper_bound(policy_.edges.begin(), policy_.edges.end(), entropy) - policy_.edges.begin());
        if (range == policy_.edges.size()) {
            dense_left_ = policy_.dense_tokens;
        }
        if (dense_left_ > 0) {
            dense_left_--;
            return 0;
        }
        return policy_.levels[range];
    }

private:
    gate_policy policy_;
    int32_t dense_left_ = 0;
};

}  // namespace llmm
