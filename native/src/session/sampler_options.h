// What llmm_sampler_new accepts, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace llmm {

struct sampler_options {
    float temperature = 0.8f;
    int32_t top_k = 40;
    float top_p = 0.95f;
    float min_p = 0.05f;
    float typical_p = 1.0f;
    float repeat_penalty = 1.0f;
    float frequency_penalty = 0.0f;
    float presence_penalty = 0.0f;
    int32_t penalty_last_n = 64;
    float dry_multiplier = 0.0f;
    float dry_base = 1.75f;
    int32_t dry_allowed_length = 2;
    int32_t dry_penalty_last_n = -1;
    std::vector<std::string> dry_sequence_breakers = { "\n", ":", "\"", "*" };
    int32_t mirostat = 0;
    float mirostat_tau = 5.0f;
    float mirostat_eta = 0.1f;
    std::optional<uint32_t> seed;
    std::vector<std::pair<int32_t, float>> logit_bias;
    std::string grammar;                 // GBNF, from the grammar or the JSON schema
    bool ignore_eos = false;
    std::vector<std::string> stop;

    // Throws JSON, RANGE or GRAMMAR.
    static sampler_options parse(const std::string & text);

    bool penalizes() const {
        return penalty_last_n != 0 && (repeat_penalty != 1.0f || frequency_penalty != 0.0f || presence_penalty != 0.0f);
    }
};

}  // namespace llmm
