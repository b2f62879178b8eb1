#include "kv_probe.h"

#include "evaluator.h"
#include "failure.h"
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace llmm {

namespace {

// Names, numbers, a list and speech: things that have to be looked up further above.
const char * const probe_text =
    "The harbour of Port Ellery has three piers. The northern one, built of granite in 1874, belongs to the fishing boats; the "
    "middle one is reserved for the ferry to the islands; and the southern one, which storms have broken twice, is where the "
    "children learn to swim. Every morning at half past five Martha Quill unlocks the ice house, counts the empty crates, and "
    "writes their number on a slate beside the door. On the day this story begins there were forty-one.\n\n"
    "\"Forty-one,\" she said to her brother Tom, who had come with the cart. \"Yesterday it was forty-three. Somebody takes two "
    "every night.\" Tom laughed. He was a tall man with a red beard who repaired clocks in winter and nets in summer, and he "
    "did not believe in thieves. \"The sea takes them,\" he answered. \"It took the lamp from the southern pier last week, and "
    "nobody called that a theft.\"\n\n"
    "Still, that evening they hid behind the barrels. What they needed was simple: a lantern with a shutter, a blanket, some "
    "bread and cheese, and patience. The ferry came in at nine and left again at ten. The church bell rang eleven, then twelve. "
    "Shortly after one o'clock a small boat without a light slid between the granite blocks of the northern pier, and a boy of "
    "perhaps ten years climbed out of it. He took one crate, then another, and set them down in the boat as gently as if they "
    "were full of eggs.\n\n"
    "Martha opened the shutter. The boy did not run. \"They are for the seals,\" he said. \"On Gull Island the young ones have "
    "nothing to lie on when the tide is high, because the rocks are sharp. So I build them rafts. I have made eleven already, and "
    "I need two crates for each.\" Tom scratched his red beard and looked at his sister. Two crates a night, eleven rafts: the "
    "boy had been at work for eleven nights.\n\n"
    "The next morning the slate beside the door of the ice house said thirty-nine, and below it, in Martha's careful hand: "
    "\"Two crates a night are lent to the seals of Gull Island until the first of June.\" And when the ferry passed the island that "
    "summer, the people on board could see, on the water between the sharp rocks, a row of small wooden rafts, and on each of "
    "them, asleep in the sun, a seal.\n";

constexpr int32_t most_tokens = 448;
constexpr int32_t step_tokens = 64;              // pages are quantised between steps
constexpr int32_t most_scored = 48;              // of the last step: a row of logits may take a megabyte
constexpr double least_limit = 0.02;             // of the mean divergence, in nats: one token in some fifty changes its rank
constexpr double noise_factor = 2;

class run {
public:
    run(const std::shared_ptr<model> & owner, int32_t page_tokens, int32_t n_threads)
        : owner_(owner), page_tokens_(page_tokens), tokens_(owner->tokenize(probe_text, true, false)) {
        tokens_.resize(std::min(tokens_.size(), (size_t) most_tokens));
        control_.n_threads = control_.n_threads_batch = n_threads;
    }

    // Logits of the last tokens.
    std::vector<float> logits(kv_quantize quantize, bool exact = false) {
        kv_settings pages;
        pages.page_tokens = page_tokens_;
        pages.quantize = quantize;
        pages.exact = exact;
        pages.recent_tokens = 0;
        evaluator_params params;
        params.n_ctx = 512;
        params.n_batch = step_tokens;
        params.n_outputs = most_scored;
        params.pages = pages;
        evaluator ev(owner_, params, control_);
        std::vector<float> rows;
        const auto n = (int32_t) tokens_.size(), n_vocab = owner_->n_vocab();
        for (int32_t at = 0; at < n; at += step_tokens) {
            const int32_t step = std::min(step_tokens, n - at), from = at + step < n ? step : std::max(0, step - most_scored);
            ev.run(span<const int32_t>(tokens_).subspan((size_t) at, (size_t) step), at, from < step ? outputs::from : outputs::none, (size_t) from);
            for (int32_t i = from; i < step; i++) {
                const float * row = ev.logits(i);
                rows.insert(rows.end(), row, row + n_vocab);
            }
        }
        return rows;
    }

    // Mean KL(a || b).
    double divergence(const std::vector<float> & a, const std::vector<float> & b) const {
        const auto n_vocab = (size_t) owner_->n_vocab(), n_rows = a.size() / n_vocab;
        double sum = 0;
        for (size_t r = 0; r < n_rows; r++) {
            const float * x = a.data() + r * n_vocab;
            const float * y = b.data() + r * n_vocab;
            const double tx = log_sum_exp(x, (int32_t) n_vocab), ty = log_sum_exp(y, (int32_t) n_vocab);
            for (size_t i = 0; i < n_vocab; i++) {
                sum += std::exp(x[i] - tx) * ((x[i] - tx) - (y[i] - ty));
            }
        }
        return n_rows > 0 ? sum / (double) n_rows : 0.0;
    }

private:
    std::shared_ptr<model> owner_;
    int32_t page_tokens_;
    std::vector<int32_t> tokens_;
    evaluator_control control_;
};

}  // namespace

llmm_kv_probe_result probe_kv(const std::shared_ptr<model> & owner, int32_t page_tokens, int32_t n_threads) {
    if (const auto known = owner->known_probe(page_tokens)) {
        return *known;
    }
    if (owner->is_partial()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "quantised pages are tried on whole models, and this one was loaded with a part of its layers");
    }
    run probe(owner, page_tokens, n_threads);
    const std::vector<float> base = probe.logits(kv_quantize::f16);
    llmm_kv_probe_result result{};
    result.kl_noise = probe.divergence(base, probe.logits(kv_quantize::f16, true));
    result.kl_4bit = probe.divergence(base, probe.logits(kv_quantize::q4));
    result.kl_smallest = probe.divergence(base, probe.logits(kv_quantize::smallest));
    result.kl_limit = std::max(least_limit, noise_factor * result.kl_noise);
    // NaN is not safe.
    result.quantize = result.kl_smallest <= result.kl_limit ? LLMM_KV_SMALLEST : result.kl_4bit <= result.kl_limit ? LLMM_KV_4BIT : LLMM_KV_F16;
    owner->keep_probe(page_tokens, result);
    return result;
}

}  // namespace llmm
