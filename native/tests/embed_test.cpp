// Embeddings of texts.
#include "test_support.h"

#include <cmath>

namespace llmm_test {
namespace {

constexpr int32_t n_embd = 64;
constexpr double  rounding = 2e-3;   // of values near 1; the steps have other sizes

std::vector<float> embed(const session_ptr & session, const token_list & tokens, int32_t pooling, int32_t normalize = 0) {
    std::vector<float> out(n_embd);
    require_ok(llmm_session_embed(session.get(), tokens.data(), int32_t(tokens.size()), pooling, normalize,
                                  out.data(), n_embd));
    return out;
}

double length_of(const std::vector<float> & v) {
    double sum = 0.0;
    for (const float x : v) {
        sum += double(x) * double(x);
    }
    return std::sqrt(sum);
}

TEST(Embed, IsDeterministic) {
    const session_ptr session = new_session(shared_llama());
    const token_list tokens = random_tokens(100, 1);
    for (const int32_t pooling : {LLMM_POOLING_MEAN, LLMM_POOLING_CLS, LLMM_POOLING_LAST}) {
        EXPECT_TRUE(same_bits(embed(session, tokens, pooling), embed(session, tokens, pooling)));
        EXPECT_TRUE(same_bits(embed(session, tokens, pooling), embed(new_session(shared_llama()), tokens, pooling)));
    }
}

TEST(Embed, NormalisedHasLengthOne) {
    const session_ptr session = new_session(shared_llama());
    for (const int32_t n : {1, 5, 64, 65, 200}) {
        const token_list tokens = random_tokens(n, 2);
        for (const int32_t pooling : {LLMM_POOLING_MEAN, LLMM_POOLING_CLS, LLMM_POOLING_LAST}) {
            const std::vector<float> raw  = embed(session, tokens, pooling);
            const std::vector<float> unit = embed(session, tokens, pooling, 1);
            EXPECT_NEAR(1.0, length_of(unit), 1e-5);
            for (size_t i = 0; i < raw.size(); i++) {
                EXPECT_NEAR(raw[i] / length_of(raw), unit[i], 1e-5) << "the direction stays";
            }
        }
    }
}

TEST(Embed, PoolingsOfOneTokenAgree) {
    const session_ptr session = new_session(shared_llama());
    const token_list one = {300};
    const std::vector<float> mean = embed(session, one, LLMM_POOLING_MEAN);
    EXPECT_TRUE(same_bits(mean, embed(session, one, LLMM_POOLING_CLS)));
    EXPECT_TRUE(same_bits(mean, embed(session, one, LLMM_POOLING_LAST)));
}

TEST(Embed, ClsIsTheFirstToken) {
    // A causal model: the first hidden state does not know what follows.
    const session_ptr session = new_session(shared_llama());
    const token_list tokens = random_tokens(90, 3);
    EXPECT_LT(max_difference(embed(session, slice(tokens, 0, 1), LLMM_POOLING_LAST), embed(session, tokens, LLMM_POOLING_CLS)),
              rounding);
}

TEST(Embed, MeanIsTheAverageOfAllTokens) {
    for (llmm_model * model : {shared_llama(), shared_gemma(), shared_model(tiny_arch::mamba)}) {
        const session_ptr session = new_session(model);
        const int32_t n_tokens  = model == shared_llama() ? 70 : 20;   // 70: more than one step
        const token_list tokens = random_tokens(n_tokens, 3);
        std::vector<double> sum(n_embd, 0.0);
        for (int32_t n = 1; n <= n_tokens; n++) {
            const std::vector<float> hidden = embed(session, slice(tokens, 0, n), LLMM_POOLING_LAST);
            for (size_t i = 0; i < sum.size(); i++) {
                sum[i] += double(hidden[i]);
            }
        }
        const std::vector<float> mean = embed(session, tokens, LLMM_POOLING_MEAN);
        for (size_t i = 0; i < sum.size(); i++) {
            EXPECT_NEAR(sum[i] / n_tokens, mean[i], rounding);
        }
    }
}

TEST(Embed, TextsOfAnyLengthUpToTheContext) {
    const session_ptr session = new_session(shared_llama());
    for (const int32_t n : {1, 63, 64, 65, 511, 512}) {
        EXPECT_GT(length_of(embed(session, random_tokens(n, 4), LLMM_POOLING_MEAN)), 0.0);
    }
    const token_list tokens = random_tokens(513, 4);
    std::vector<float> out(n_embd, 42.0f);
    EXPECT_STATUS(LLMM_ERR_CONTEXT_FULL,
                  llmm_session_embed(session.get(), tokens.data(), 513, LLMM_POOLING_MEAN, 0, out.data(), n_embd));
    EXPECT_TRUE(text_contains(last_error(), "513"));
    EXPECT_TRUE(text_contains(last_error(), "512"));
    EXPECT_EQ(42.0f, out[0]);
}

TEST(Embed, ClearsTheHistory) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    embed(session, random_tokens(10, 2), LLMM_POOLING_MEAN);
    EXPECT_EQ(0, llmm_session_n_tokens(session.get()));
    // The session can be used again, as if new.
    eval(session.get(), random_tokens(30, 3));
    const session_ptr fresh = new_session(shared_llama());
    eval(fresh.get(), random_tokens(30, 3));
    EXPECT_TRUE(same_bits(logits_of(fresh.get(), tiny_n_vocab()), logits_of(session.get(), tiny_n_vocab())));
    embed(session, random_tokens(10, 2), LLMM_POOLING_MEAN);
    EXPECT_EQ(0, llmm_session_n_tokens(session.get()));
}

TEST(Embed, WrongArgumentsChangeNothing) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    const token_list tokens = random_tokens(10, 2);
    const int32_t bad[] = {300, -1};
    std::vector<float> out(n_embd + 1, 42.0f);
    for (const int32_t pooling : {0, -1, 4, INT32_MAX}) {
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_embed(session.get(), tokens.data(), 10, pooling, 0, out.data(), n_embd));
    }
    for (const int32_t n : {0, n_embd - 1, n_embd + 1, -1}) {
        EXPECT_STATUS(LLMM_ERR_RANGE,
                      llmm_session_embed(session.get(), tokens.data(), 10, LLMM_POOLING_MEAN, 0, out.data(), n));
    }
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT,
                  llmm_session_embed(session.get(), tokens.data(), 0, LLMM_POOLING_MEAN, 0, out.data(), n_embd));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_embed(session.get(), bad, 2, LLMM_POOLING_MEAN, 0, out.data(), n_embd));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_embed(session.get(), bad, -2, LLMM_POOLING_MEAN, 0, out.data(), n_embd));
    EXPECT_EQ(42.0f, out[0]);
    EXPECT_EQ(30, llmm_session_n_tokens(session.get()));
}

}  // namespace
}  // namespace llmm_test
