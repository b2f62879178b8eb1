// What the tests of paged sessions share.
#ifndef LLMM_TESTS_PAGED_SUPPORT_H
#define LLMM_TESTS_PAGED_SUPPORT_H

#include "test_support.h"

#include <cmath>
#include <vector>

namespace llmm_test {

inline llmm_session_params paged(int32_t page_tokens, bool quantize) {
    llmm_session_params p;
    llmm_session_params_init(&p);
    p.n_ctx = 512;
    p.n_batch = 64;
    p.n_threads = 1;
    p.kv_page_tokens = page_tokens;
    p.kv_quantize = quantize ? LLMM_KV_4BIT : LLMM_KV_F16;
    p.kv_recent_tokens = 32;
    return p;
}

inline session_ptr open_session(llmm_model * model, const llmm_session_params & params) {
    llmm_session * s = nullptr;
    require_ok(llmm_session_new(model, &params, &s));
    return session_ptr(s);
}

inline llmm_stats stats(llmm_session * s) {
    llmm_stats out{};
    out.struct_size = sizeof(out);
    EXPECT_OK(llmm_session_stats(s, &out));
    return out;
}

// KL(a || b) of two rows of logits, nats.
inline double divergence(const std::vector<float> & a, const std::vector<float> & b) {
    const std::vector<double> log_a = log_softmax(a), log_b = log_softmax(b);
    double kl = 0;
    for (size_t i = 0; i < log_a.size(); i++) {
        kl += std::exp(log_a[i]) * (log_a[i] - log_b[i]);
    }
    return kl;
}

// What 4-bit pages may change in a model of random weights and heads of 16 dimensions, which has no reason to forgive
// rounding; unrelated histories are ten times as far apart. Real models: ci/peer-bench and docs/benchmarks.md.
constexpr double random_weights = 0.25;

// Logits of two sessions after the same tokens.
inline ::testing::AssertionResult same_logits(llmm_session * a, llmm_session * b, int32_t n_vocab) {
    return same_bits(logits_of(a, n_vocab), logits_of(b, n_vocab));
}

// What pruning knows of: all tokens in the cache.
inline double cached_tokens(const llmm_stats & s) {
    return s.prune_active_tokens + s.prune_shadow_tokens + s.prune_dropped_tokens;
}

inline std::vector<llmm_prune_page> pages_of(llmm_session * s) {
    llmm_buffer * buffer = nullptr;
    EXPECT_OK(llmm_session_prune_pages(s, &buffer));
    const buffer_ptr owned(buffer);
    const auto * first = static_cast<const llmm_prune_page *>(llmm_buffer_data(buffer));
    return { first, first + llmm_buffer_size(buffer) / sizeof(llmm_prune_page) };
}

// Evaluates tokens one by one; the logits after each.
inline std::vector<std::vector<float>> run_steps(llmm_session * s, int32_t steps, uint32_t seed) {
    std::vector<std::vector<float>> rows;
    for (const int32_t token : random_tokens(steps, seed)) {
        eval(s, { token });
        rows.push_back(logits_of(s, tiny_n_vocab()));
    }
    return rows;
}

// The memory that the pages of such a session take, tables included, with nothing in them, and with n tokens of which none
// is quantised.
struct kv_need {
    uint64_t empty;
    uint64_t full;
};

inline kv_need need_of(llmm_model * model, llmm_session_params p, int32_t n) {
    p.kv_quantize = LLMM_KV_F16;
    const session_ptr s = open_session(model, p);
    const uint64_t empty = stats(s.get()).kv_peak_bytes;
    eval(s.get(), random_tokens(n, 1));
    return { empty, stats(s.get()).kv_peak_bytes };
}

// Of pages alone.
inline uint64_t page_bytes(llmm_session * session) {
    const llmm_stats s = stats(session);
    return s.kv_bytes_f16 + s.kv_bytes_q4 + s.kv_bytes_q42;
}

}  // namespace llmm_test

#endif
