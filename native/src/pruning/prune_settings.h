// What a session asks of token pruning.
#pragma once

#include <cstdint>

namespace llmm {

constexpr int32_t longest_protected_turn = 512;        // tokens: a later prompt that is no longer is never pruned

// What decides which tokens stay; as llmm_prune_policy. The others are controls: what attention must do better than.
enum class prune_policy : int32_t {
    attention = 0,                         // the attention they get
    recency   = 1,                         // their position: the newest stay
    random    = 2,
};

struct prune_settings {
    // The share of a head's attention, by moving average, that the tokens pruned from it hold together at most; 0: nothing
    // is pruned, unless a target says otherwise.
    float threshold = 0.0f;
    // Targets, which take the place of the threshold.
    float keep_ratio = 1.0f;               // share of all tokens that stays active, on average over layers and heads
    int32_t max_active = 0;                // tokens that stay active, on average over layers and heads; 0: any number

    int32_t max_shadow = -1;               // tokens that may come back, on average over layers and heads; -1: all
    float select_mass = 1.0f;              // share of a head's attention that a step reads at least, by estimate; 1: all
    float prefill_keep = 1.0f;             // share of a prompt's tokens that the layers from prefill_layer on see; 1: all
    int32_t prefill_layer = 0;             // 0: a third of the layers go before it
    int32_t test_interval = 8;             // steps from one test of the shadow set to the next
    int32_t select_interval = 4;           // steps from one selection among the active pages to the next
    int32_t min_tokens = 1024;             // in shorter contexts, and of shorter prompts, nothing is pruned
    prune_policy policy = prune_policy::attention;
    bool record = false;                   // keep a list of what was pruned and recalled
    bool bound = false;                    // bound what each step leaves out

    bool has_target() const { return keep_ratio < 1.0f || max_active > 0; }
    bool prunes_prompts() const { return prefill_keep < 1.0f; }
    // While decoding.
    bool prunes() const { return threshold > 0.0f || has_target(); }
};

}  // namespace llmm
