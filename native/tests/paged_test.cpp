// Sessions with a paged cache: the same answers as with llama.cpp's own, whatever the order of operations, within the
// budget that was set.
#include "paged_support.h"

#include <cmath>
#include <random>

namespace llmm_test {
namespace {

class Paged : public ::testing::TestWithParam<tiny_arch> {
protected:
    void SetUp() override {
        model_ = shared_model(GetParam());
        n_vocab_ = n_vocab_of(model_);
    }

    llmm_model * model_ = nullptr;
    int32_t n_vocab_ = 0;
};

TEST_P(Paged, F16PagesGiveTheLogitsOfTheStockCache) {
    llmm_session_params stock_params = paged(0, false);
    const session_ptr stock = open_session(model_, stock_params);
    for (const int32_t page : { 16, 32, 64 }) {
        const session_ptr pages = open_session(model_, paged(page, false));
        ASSERT_OK(llmm_session_rewind(stock.get(), 0));
        for (const int32_t n : { 1, 3, 100, 1, 1, 17, 64, 1, 2 }) {
            const token_list tokens = random_tokens(n, (uint32_t) (n + page));
            eval(stock.get(), tokens);
            eval(pages.get(), tokens);
            EXPECT_LT(divergence(logits_of(stock.get(), n_vocab_), logits_of(pages.get(), n_vocab_)), 1e-4) << "page " << page << ", step of " << n;
        }
        EXPECT_GT(stats(pages.get()).kv_pages_f16, 0);
    }
}

TEST_P(Paged, OldPagesTakeFourBitsAndAnswersStayClose) {
    const session_ptr stock = open_session(model_, paged(0, false));
    const session_ptr pages = open_session(model_, paged(32, true));
    const token_list tokens = random_tokens(300, 5);
    eval(stock.get(), tokens);
    eval(pages.get(), tokens);
    double sum = 0;
    for (int i = 0; i < 20; i++) {
        const token_list one = random_tokens(1, (uint32_t) i);
        eval(stock.get(), one);
        eval(pages.get(), one);
        sum += divergence(logits_of(stock.get(), n_vocab_), logits_of(pages.get(), n_vocab_));
    }
    EXPECT_LT(sum / 20, random_weights);
    const llmm_stats s = stats(pages.get());
    EXPECT_GE(s.kv_pages_q4, 7);
    EXPECT_EQ(s.kv_demotions, s.kv_pages_q4);
    EXPECT_GE(s.kv_peak_bytes, s.kv_pages_q4 > 0 ? 1u : 0u);
}

TEST_P(Paged, RewindIsAsIfNeverEvaluated) {
    const session_ptr a = open_session(model_, paged(16, false));
    const session_ptr b = open_session(model_, paged(16, false));
    const token_list start = random_tokens(50, 1), wrong = random_tokens(90, 2), more = random_tokens(21, 3);
    eval(a.get(), start);
    eval(a.get(), wrong);
    ASSERT_OK(llmm_session_rewind(a.get(), 50));
    eval(a.get(), more);
    eval(b.get(), start);
    eval(b.get(), more);
    EXPECT_TRUE(same_bits(logits_of(a.get(), n_vocab_), logits_of(b.get(), n_vocab_)));
    EXPECT_EQ(stats(a.get()).kv_pages_f16, stats(b.get()).kv_pages_f16) << "pages of the forgotten tokens are gone";
}

TEST_P(Paged, ThreadsChangeNothing) {
    std::vector<float> first;
    for (const int32_t n : { 1, 2, 5 }) {
        llmm_session_params p = paged(32, true);
        p.n_threads = p.n_threads_batch = n;
        if (GetParam() == tiny_arch::gemma3) {
            continue;                        // its window layers are llama.cpp's, whose results depend on the threads
        }
        const session_ptr s = open_session(model_, p);
        eval(s.get(), random_tokens(200, 4));
        eval(s.get(), random_tokens(1, 6));
        const std::vector<float> row = logits_of(s.get(), n_vocab_);
        EXPECT_TRUE(first.empty() || same_bits(first, row)) << n << " threads";
        first = row;
    }
}

TEST_P(Paged, SavedPagesGoOnWithTheSameBits) {
    for (const bool quantize : { false, true }) {
        const session_ptr a = open_session(model_, paged(32, quantize));
        eval(a.get(), random_tokens(200, 7));
        const std::string path = temp_path("paged.session");
        ASSERT_OK(llmm_session_save(a.get(), path.c_str()));
        const session_ptr b = open_session(model_, paged(32, quantize));
        eval(b.get(), random_tokens(9, 8));
        ASSERT_OK(llmm_session_load(b.get(), path.c_str()));
        const int64_t before = stats(b.get()).prompt_tokens;
        for (int i = 0; i < 3; i++) {
            const token_list one = random_tokens(1, 20 + (uint32_t) i);
            eval(a.get(), one);
            eval(b.get(), one);
            EXPECT_TRUE(same_bits(logits_of(a.get(), n_vocab_), logits_of(b.get(), n_vocab_))) << "quantize " << quantize;
        }
        EXPECT_EQ(3, stats(b.get()).prompt_tokens - before) << "nothing was evaluated again";
    }
}

TEST_P(Paged, AStateOfAnotherLayoutIsEvaluatedAgain) {
    const session_ptr stock = open_session(model_, paged(0, false));
    eval(stock.get(), random_tokens(100, 7));
    const std::string path = temp_path("stock.session");
    ASSERT_OK(llmm_session_save(stock.get(), path.c_str()));
    for (const int32_t page : { 16, 64 }) {
        const session_ptr pages = open_session(model_, paged(page, false));
        ASSERT_OK(llmm_session_load(pages.get(), path.c_str()));
        const token_list one = random_tokens(1, 9);
        eval(pages.get(), one);
        const std::string paged_path = temp_path("paged.session");
        ASSERT_OK(llmm_session_save(pages.get(), paged_path.c_str()));
        const session_ptr other = open_session(model_, paged(32, false));
        ASSERT_OK(llmm_session_load(other.get(), paged_path.c_str()));
        EXPECT_LT(divergence(logits_of(pages.get(), n_vocab_), logits_of(other.get(), n_vocab_)), 1e-4);
        eval(other.get(), one);
    }
}

TEST_P(Paged, TheBudgetHoldsAndEvictionGoesOn) {
    llmm_session_params p = paged(16, true);
    const kv_need need = need_of(model_, p, 256);
    p.kv_budget_bytes = need.empty + (need.full - need.empty) / 2;
    p.kv_evict = 1;
    const session_ptr s = open_session(model_, p);
    eval(s.get(), random_tokens(64, 3));
    for (int i = 0; i < 400; i++) {
        eval(s.get(), random_tokens(1, (uint32_t) i));
        ASSERT_LE(stats(s.get()).kv_peak_bytes, p.kv_budget_bytes);
    }
    const llmm_stats end = stats(s.get());
    EXPECT_GT(end.kv_evictions, 0);
    EXPECT_GT(end.kv_pages_evicted, 0);
    EXPECT_LE(end.kv_pages_evicted, end.kv_evictions);
    for (const float x : logits_of(s.get(), n_vocab_)) {
        ASSERT_TRUE(std::isfinite(x));
    }
}

TEST_P(Paged, AFullBudgetIsAnErrorThatChangesNothing) {
    llmm_session_params p = paged(16, false);
    const session_ptr whole = open_session(model_, p);
    eval(whole.get(), random_tokens(120, 3));
    p.kv_budget_bytes = stats(whole.get()).kv_peak_bytes;
    const session_ptr s = open_session(model_, p);
    eval(s.get(), random_tokens(60, 3));
    const token_list more = random_tokens(64, 4);
    EXPECT_STATUS(LLMM_ERR_CONTEXT_FULL, llmm_session_eval(s.get(), more.data(), 64, nullptr, nullptr));
    EXPECT_EQ(60, llmm_session_n_tokens(s.get()));
    const session_ptr twin = open_session(model_, paged(16, false));
    eval(twin.get(), random_tokens(60, 3));
    const token_list one = random_tokens(1, 5);
    eval(s.get(), one);
    eval(twin.get(), one);
    EXPECT_TRUE(same_bits(logits_of(s.get(), n_vocab_), logits_of(twin.get(), n_vocab_)));

    p.kv_budget_bytes = 1000;
    llmm_session * none = nullptr;
    EXPECT_STATUS(LLMM_ERR_OUT_OF_MEMORY, llmm_session_new(model_, &p, &none));
}

// Whatever is done in whatever order, a session says what one says that was given its history at once.
TEST_P(Paged, RandomOperationsAgreeWithAFreshSession) {
    std::mt19937 random(11);
    for (const bool quantize : { false, true }) {
        const session_ptr s = open_session(model_, paged(16, quantize));
        token_list history;
        for (int i = 0; i < rounds(120); i++) {
            const int what = (int) (random() % 10);
            if (what < 7) {
                const token_list more = random_tokens((int32_t) (1 + random() % (what < 4 ? 1 : 60)), random());
                if (history.size() + more.size() > 500) {
                    continue;
                }
                eval(s.get(), more);
                history.insert(history.end(), more.begin(), more.end());
            } else {
                const auto n = (int32_t) (history.empty() ? 0 : random() % (history.size() + 1));
                ASSERT_OK(llmm_session_rewind(s.get(), n));
                history.resize((size_t) n);
            }
            if (i % 10 == 9 && !history.empty()) {
                const session_ptr fresh = open_session(model_, paged(16, false));
                eval(fresh.get(), history);
                EXPECT_LT(divergence(logits_of(fresh.get(), n_vocab_), logits_of(s.get(), n_vocab_)), quantize ? random_weights : 1e-4) << "after " << i;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Architectures, Paged,
                         ::testing::Values(tiny_arch::llama, tiny_arch::gemma3, tiny_arch::qwen2, tiny_arch::qwen3, tiny_arch::phi3));

TEST(PagedParams, WrongValuesAreNamed) {
    const auto refuse = [](auto change, const char * name) {
        llmm_session_params p = paged(32, true);
        change(p);
        llmm_session * s = nullptr;
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_new(shared_llama(), &p, &s));
        EXPECT_TRUE(text_contains(last_error(), name));
    };
    refuse([](auto & p) { p.kv_page_tokens = 8; }, "kv_page_tokens");
    refuse([](auto & p) { p.kv_page_tokens = -16; }, "kv_page_tokens");
    refuse([](auto & p) { p.kv_quantize = 4; }, "kv_quantize");
    refuse([](auto & p) { p.kv_evict = -1; }, "kv_evict");
    refuse([](auto & p) { p.kv_exact = 2; }, "kv_exact");
    refuse([](auto & p) { p.kv_recent_tokens = -1; }, "kv_recent_tokens");
    refuse([](auto & p) { p.kv_pinned_tokens = -1; }, "kv_pinned_tokens");
}

TEST(PagedParams, AnArchitectureWithoutACacheSaysSo) {
    llmm_session_params p = paged(32, true);
    llmm_session * s = nullptr;
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_new(shared_model(tiny_arch::mamba), &p, &s));
    EXPECT_TRUE(text_contains(last_error(), "paged"));
}

TEST(PagedPerplexity, RunsOnPages) {
    const token_list text = random_tokens(1100, 2);
    double values[2];
    for (int i = 0; i < 2; i++) {
        const session_ptr s = open_session(shared_llama(), paged(i == 0 ? 0 : 32, false));
        llmm_perplexity_result r{};
        r.struct_size = sizeof(r);
        ASSERT_OK(llmm_session_perplexity(s.get(), text.data(), 1100, nullptr, &r));
        values[i] = r.perplexity;
    }
    EXPECT_NEAR(values[0], values[1], values[0] * 1e-4);
}

}  // namespace
}  // namespace llmm_test
