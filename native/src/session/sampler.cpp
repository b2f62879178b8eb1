#include "sampler.h"

#include "assert_scope.h"
#include "failure.h"
#include "log.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace llmm {

int32_t argmax(const float * values, int32_t n) {
    // The largest value of each of 16 lanes first: a single running maximum is a chain of dependent compares.
    constexpr int32_t lanes = 16;
    float best[lanes];
    std::fill(best, best + lanes, -INFINITY);
    int32_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (int32_t lane = 0; lane < lanes; lane++) {
            best[lane] = values[i + lane] > best[lane] ? values[i + lane] : best[lane];
        }
    }
    float top = *std::max_element(best, best + lanes);
    for (; i < n; i++) {
        top = std::max(top, values[i]);
    }
    const float * at = std::find(values, values + n, top);
    return at == values + n ? -1 : (int32_t) (at - values);
}

double log_sum_exp(const float * values, int32_t n) {
    const int32_t best = argmax(values, n);
    const float top = best < 0 ? NAN : values[best];
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += std::exp(values[i] - top);
    }
    return top + std::log(sum);
}

sampler::sampler(std::shared_ptr<model> owner, sampler_options options) : owner_(std::move(owner)), options_(std::move(options)) {
    const auto & o = options_;
    const int32_t n_vocab = owner_->n_vocab();
    const llama_vocab * vocab = owner_->vocab();
    seed_ = o.seed ? *o.seed : std::random_device{}();

    std::vector<llama_logit_bias> bias;
    for (const auto & b : o.logit_bias) {
        if (b.first >= n_vocab) {
            fail(LLMM_ERR_RANGE, "logit_bias: token %d is not in the vocabulary of %d", b.first, n_vocab);
        }
        bias.push_back({ b.first, b.second });
    }
    if (o.ignore_eos) {
        for (int32_t token = 0; token < n_vocab; token++) {
            if (llama_vocab_is_eog(vocab, token)) {
                bias.push_back({ token, -INFINITY });
            }
        }
    }
    const bool greedy = o.temperature <= 0;
    plain_greedy_ = greedy && bias.empty() && !o.penalizes() && o.dry_multiplier == 0 && o.grammar.empty();

    llama_sampler_chain_params cp = llama_sampler_chain_default_params();
    cp.no_perf = true;
    chain_.reset(llama_sampler_chain_init(cp));
    if (!bias.empty()) {
        add(llama_sampler_init_logit_bias(n_vocab, (int32_t) bias.size(), bias.data()));
    }
    const int32_t whole = llama_model_n_ctx_train(owner_->get());
    const auto last_n = [&](int32_t n) { return n < 0 ? whole : std::min(n, whole); };
    if (o.penalizes()) {
        add(llama_sampler_init_penalties(n_vocab, last_n(o.penalty_last_n), o.repeat_penalty, o.frequency_penalty, o.presence_penalty));
    }
    if (o.dry_multiplier > 0) {
        std::vector<const char *> breakers;
        for (const auto & b : o.dry_sequence_breakers) {
            breakers.push_back(b.c_str());
        }
        add(llama_sampler_init_dry(vocab, o.dry_multiplier, o.dry_base, o.dry_allowed_length, last_n(o.dry_penalty_last_n),
                                   breakers.data(), breakers.size()));
    }
    if (greedy) {
        add(llama_sampler_init_greedy());
    } else if (o.mirostat == 1) {
        add(llama_sampler_init_temp(o.temperature));
        add(llama_sampler_init_mirostat(n_vocab, seed_, o.mirostat_tau, o.mirostat_eta, 100));
    } else if (o.mirostat == 2) {
        add(llama_sampler_init_temp(o.temperature));
        add(llama_sampler_init_mirostat_v2(seed_, o.mirostat_tau, o.mirostat_eta));
    } else {
        add(llama_sampler_init_top_k(o.top_k));
        if (o.typical_p < 1) {
            add(llama_sampler_init_typical(o.typical_p, 1));
        }
        if (o.top_p < 1) {
            add(llama_sampler_init_top_p(o.top_p, 1));
        }
        if (o.min_p > 0) {
            add(llama_sampler_init_min_p(o.min_p, 1));
        }
        add(llama_sampler_init_temp(o.temperature));
        add(llama_sampler_init_dist(seed_));
    }
    if (!o.grammar.empty()) {
        error_capture errors;
        const assert_scope asserts(LLMM_ERR_GRAMMAR);
        grammar_.reset(llama_sampler_init_grammar(vocab, o.grammar.c_str(), "root"));
        if (!grammar_) {
            fail(LLMM_ERR_GRAMMAR, "the grammar does not compile: %s", errors.reason("it has no rule \"root\"").c_str());
        }
    }
    if (!plain_greedy_) {
        candidates_.resize((size_t) n_vocab);
    }
}

void sampler::add(llama_sampler * s) {
    if (!s) {
        throw std::bad_alloc();
    }
    llama_sampler_chain_add(chain_.get(), s);
}

void sampler::see_history(span<const int32_t> tokens) {
    if (saw_history_) {
        return;
    }
    saw_history_ = true;
    if (options_.penalizes() || options_.dry_multiplier > 0) {
        for (const int32_t token : tokens) {
            llama_sampler_accept(chain_.get(), token);
        }
    }
}

void sampler::load_candidates(const float * logits) {
    for (size_t i = 0; i < candidates_.size(); i++) {
        candidates_[i] = { (llama_token) i, logits[i], 0.0f };
    }
    array_ = { candidates_.data(), candidates_.size(), -1, false };
}

int32_t sampler::draw() {
    llama_sampler_apply(chain_.get(), &array_);
    if (array_.selected < 0 || array_.selected >= (int64_t) array_.size) {
        fail(LLMM_ERR_INTERNAL, "sampling selected no token");
    }
    return array_.data[array_.selected].id;
}

bool sampler::fits_grammar(int32_t token) {
    llama_token_data one = { token, 1.0f, 0.0f };
    llama_token_data_array array = { &one, 1, -1, false };
    llama_sampler_apply(grammar_.get(), &array);
    return one.logit != -INFINITY;
}

int32_t sampler::sample(const float * logits) {
    if (plain_greedy_) {
        const int32_t token = argmax(logits, owner_->n_vocab());
        if (token < 0) {
            fail(LLMM_ERR_INTERNAL, "the model's logits are not numbers");
        }
        return token;
    }
    load_candidates(logits);
    int32_t token = draw();
    if (grammar_ && !fits_grammar(token)) {
        load_candidates(logits);
        llama_sampler_apply(grammar_.get(), &array_);
        const auto fits = [](const llama_token_data & c) { return c.logit != -INFINITY; };
        if (std::none_of(array_.data, array_.data + array_.size, fits)) {
            fail(LLMM_ERR_GRAMMAR, "no token of the vocabulary continues the grammar");
        }
        token = draw();
    }
    if (grammar_) {
        llama_sampler_accept(grammar_.get(), token);
    }
    llama_sampler_accept(chain_.get(), token);
    return token;
}

}  // namespace llmm
