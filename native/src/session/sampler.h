// Picks tokens from logits, with llama.cpp's samplers in llama.cpp's order: bias, penalties, DRY, top-k, typical,
// top-p, min-p, temperature, then a draw; greedy at temperature 0; mirostat in place of the cuts if asked for.
//
// A grammar is tested on the drawn token first and applied to all candidates only when that token does not fit it:
// testing one token is cheap, filtering a whole vocabulary is not.
#pragma once

#include "model.h"
#include "sampler_options.h"
#include "span.h"

#include "llama.h"

#include <memory>
#include <vector>

namespace llmm {

class sampler {
public:
    // n_ctx_train bounds the "whole context" of the penalties.
    sampler(std::shared_ptr<model> owner, sampler_options options);

    const model * owner() const { return owner_.get(); }
    const sampler_options & options() const { return options_; }
    uint32_t seed() const { return seed_; }

    // Shows the history to the penalties, once: the first time a generation meets it.
    void see_history(span<const int32_t> tokens);

    // Picks a token from logits [vocabulary] and takes note of it.
    int32_t sample(const float * logits);

private:
    struct free_sampler {
        void operator()(llama_sampler * s) const { llama_sampler_free(s); }
    };
    using sampler_ptr = std::unique_ptr<llama_sampler, free_sampler>;

    void load_candidates(const float * logits);
    int32_t draw();
    bool fits_grammar(int32_t token);
    void add(llama_sampler * s);

    std::shared_ptr<model> owner_;
    sampler_options options_;
    uint32_t seed_ = 0;
    bool plain_greedy_ = false;       // nothing but the largest logit matters
    bool saw_history_ = false;
    sampler_ptr chain_;
    sampler_ptr grammar_;
    std::vector<llama_token_data> candidates_;
    llama_token_data_array array_{};
};

// Index of the largest value, the first of equals; -1 if a NaN hides it.
int32_t argmax(const float * values, int32_t n);

// log(sum(exp(values))), in f64.
double log_sum_exp(const float * values, int32_t n);

}  // namespace llmm
