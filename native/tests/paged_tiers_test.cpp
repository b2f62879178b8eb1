// What becomes of pages beyond f16 and 4 bits: the smallest format, the spill file, eviction, sharing, another budget;
// and the mode that has llama.cpp's own attention over pages.
#include "paged_support.h"

#include "kv/fault.h"

#include <atomic>
#include <cmath>
#include <filesystem>
#include <random>
#include <thread>

namespace llmm_test {
namespace {

namespace fault = llmm::fault;

class PagedTiers : public ::testing::TestWithParam<tiny_arch> {
protected:
    void SetUp() override {
        model_ = shared_model(GetParam());
        n_vocab_ = n_vocab_of(model_);
    }

    // A budget for about so many tokens of f16 pages.
    uint64_t budget_for(const llmm_session_params & p, int32_t n_tokens) {
        return need_of(model_, p, n_tokens).full;
    }

    llmm_session_params spilling(int32_t n_resident) {
        llmm_session_params p = paged(16, false);
        spill_dir_ = temp_path("spill");
        p.kv_spill_dir = spill_dir_.c_str();
        p.kv_budget_bytes = budget_for(p, n_resident);
        return p;
    }

    llmm_model * model_ = nullptr;
    int32_t n_vocab_ = 0;
    std::string spill_dir_;
};

TEST_P(PagedTiers, ExactModeHasTheBitsOfTheStockCache) {
    for (const int32_t flash : { LLMM_FLASH_ATTENTION_OFF, LLMM_FLASH_ATTENTION_ON, LLMM_FLASH_ATTENTION_AUTO }) {
        llmm_session_params p = paged(0, false);
        p.flash_attention = flash;
        const session_ptr stock = open_session(model_, p);
        p.kv_page_tokens = 32;
        p.kv_exact = 1;
        const session_ptr exact = open_session(model_, p);
        for (const int32_t n : { 1, 3, 64, 1, 1, 17, 64, 64, 1, 2, 1 }) {
            const token_list tokens = random_tokens(n, (uint32_t) n);
            eval(stock.get(), tokens);
            eval(exact.get(), tokens);
            ASSERT_TRUE(same_logits(stock.get(), exact.get(), n_vocab_)) << "flash attention " << flash << ", step of " << n;
        }
        for (llmm_session * s : { stock.get(), exact.get() }) {
            ASSERT_OK(llmm_session_rewind(s, 70));
            eval(s, random_tokens(1, 5));
        }
        EXPECT_TRUE(same_logits(stock.get(), exact.get(), n_vocab_)) << "after a rewind";
    }
}

TEST_P(PagedTiers, TheSmallestFormatTakesLessAndStaysClose) {
    llmm_session_params p = paged(32, true);
    const session_ptr four = open_session(model_, p);
    p.kv_quantize = LLMM_KV_SMALLEST;
    const session_ptr small = open_session(model_, p);
    const token_list tokens = random_tokens(400, 5);
    eval(four.get(), tokens);
    eval(small.get(), tokens);
    const llmm_stats a = stats(four.get()), b = stats(small.get());
    EXPECT_EQ(0, b.kv_pages_q4);
    EXPECT_EQ(a.kv_pages_q4, b.kv_pages_q42);
    EXPECT_LT(b.kv_bytes_q42, a.kv_bytes_q4);
    EXPECT_LT(divergence(logits_of(four.get(), n_vocab_), logits_of(small.get(), n_vocab_)), 4 * random_weights);
}

TEST_P(PagedTiers, UnderPressureValuesGetCoarser) {
    llmm_session_params p = paged(16, true);
    p.kv_quantize = LLMM_KV_ADAPTIVE;
    const session_ptr roomy = open_session(model_, p);
    eval(roomy.get(), random_tokens(400, 5));
    EXPECT_EQ(0, stats(roomy.get()).kv_pages_q42);
    p.kv_budget_bytes = stats(roomy.get()).kv_peak_bytes - 1000;
    const session_ptr tight = open_session(model_, p);
    eval(tight.get(), random_tokens(400, 5));
    const llmm_stats s = stats(tight.get());
    EXPECT_GT(s.kv_pages_q42, 0);
    EXPECT_LE(s.kv_peak_bytes, p.kv_budget_bytes);
    EXPECT_LT(divergence(logits_of(roomy.get(), n_vocab_), logits_of(tight.get(), n_vocab_)), 4 * random_weights);
}

// Spilled pages are read as they are: the same bits as in memory, for any number of threads. (A tight budget quantises
// sooner, so with quantised pages the two are only close; the kernels' own tests have their bits.)
TEST_P(PagedTiers, SpilledPagesGiveTheSameBits) {
    for (const bool quantize : { false, true }) {
        llmm_session_params p = paged(16, quantize);
        const session_ptr whole = open_session(model_, p);
        p = spilling(160);
        p.kv_quantize = quantize ? LLMM_KV_4BIT : LLMM_KV_F16;
        const session_ptr spilled = open_session(model_, p);
        for (const int32_t n : { 64, 64, 64, 64, 1, 1, 30, 1, 64, 1 }) {
            const token_list tokens = random_tokens(n, (uint32_t) n);
            eval(whole.get(), tokens);
            eval(spilled.get(), tokens);
            if (quantize) {
                EXPECT_LT(divergence(logits_of(whole.get(), n_vocab_), logits_of(spilled.get(), n_vocab_)), random_weights);
            } else {
                ASSERT_TRUE(same_logits(whole.get(), spilled.get(), n_vocab_)) << "step of " << n;
            }
            ASSERT_LE(stats(spilled.get()).kv_peak_bytes, p.kv_budget_bytes);
        }
        const llmm_stats s = stats(spilled.get());
        EXPECT_GT(s.kv_pages_spilled, 0);
        EXPECT_GT(s.kv_read_bytes, 0);
        EXPECT_GT(s.kv_bytes_spilled, 0u);
        ASSERT_OK(llmm_session_set_threads(spilled.get(), 5, 5));          // more than have room for what they read
        if (GetParam() != tiny_arch::gemma3 && !quantize) {                // its window layers depend on the threads
            eval(whole.get(), random_tokens(1, 77));
            eval(spilled.get(), random_tokens(1, 77));
            EXPECT_TRUE(same_logits(whole.get(), spilled.get(), n_vocab_));
        }
    }
    for (const auto & entry : std::filesystem::directory_iterator(spill_dir_)) {
        ADD_FAILURE() << entry.path() << " is left";
    }
}

TEST_P(PagedTiers, SpilledPagesCanBeRewoundSavedAndComeBack) {
    const llmm_session_params p = spilling(160);
    const session_ptr s = open_session(model_, p);
    const session_ptr whole = open_session(model_, paged(16, false));
    const token_list text = random_tokens(400, 3);
    eval(s.get(), text);
    eval(whole.get(), text);
    ASSERT_GT(stats(s.get()).kv_pages_spilled, 0);

    const std::string path = temp_path("spilled.session");
    ASSERT_OK(llmm_session_save(s.get(), path.c_str()));
    const session_ptr loaded = open_session(model_, p);
    ASSERT_OK(llmm_session_load(loaded.get(), path.c_str()));
    for (llmm_session * each : { s.get(), whole.get(), loaded.get() }) {
        eval(each, random_tokens(1, 9));
    }
    EXPECT_TRUE(same_logits(whole.get(), loaded.get(), n_vocab_));
    EXPECT_EQ(0, stats(loaded.get()).kv_recomputed);
    EXPECT_LE(stats(loaded.get()).kv_peak_bytes, p.kv_budget_bytes);

    for (llmm_session * each : { s.get(), whole.get() }) {
        ASSERT_OK(llmm_session_rewind(each, 21));                          // in the middle of a page that is spilled
        eval(each, random_tokens(40, 10));
    }
    EXPECT_TRUE(same_logits(whole.get(), s.get(), n_vocab_));
    EXPECT_EQ(0, stats(s.get()).kv_pages_spilled) << "there is room for all of them now";

    ASSERT_OK(llmm_session_set_kv_budget(loaded.get(), 0));
    for (int i = 0; i < 10; i++) {
        eval(loaded.get(), random_tokens(1, 20 + (uint32_t) i));
    }
    EXPECT_EQ(0, stats(loaded.get()).kv_pages_spilled);
    EXPECT_GT(stats(loaded.get()).kv_recalls, 0);
}

TEST_P(PagedTiers, DamagedPagesAreComputedAgain) {
    const llmm_session_params p = spilling(160);
    const session_ptr s = open_session(model_, p);
    const session_ptr whole = open_session(model_, paged(16, false));
    eval(s.get(), random_tokens(300, 3));
    eval(whole.get(), random_tokens(300, 3));
    for (int i = 0; i < 5; i++) {
        const token_list one = random_tokens(1, 30 + (uint32_t) i);
        eval(whole.get(), one);
        int32_t rc;
        {
            const fault::scope fails(fault::point::read, i % 2 == 0 ? 5 : 11);
            rc = llmm_session_eval(s.get(), one.data(), 1, nullptr, nullptr);
        }
        if (rc != LLMM_OK) {                                               // it may fail again and again, and say so
            ASSERT_STATUS(LLMM_ERR_IO, rc);
            eval(s.get(), one);
        }
    }
    eval(s.get(), random_tokens(1, 50));
    eval(whole.get(), random_tokens(1, 50));
    EXPECT_EQ(llmm_session_n_tokens(whole.get()), llmm_session_n_tokens(s.get()));
    EXPECT_LT(divergence(logits_of(whole.get(), n_vocab_), logits_of(s.get(), n_vocab_)), 1e-4) << "cut into other steps, not the same bits";
    EXPECT_GT(stats(s.get()).kv_recomputed, 0);
}

TEST_P(PagedTiers, AFullDiskIsAFullBudget) {
    const llmm_session_params p = spilling(160);
    const session_ptr s = open_session(model_, p);
    eval(s.get(), random_tokens(100, 3));
    {
        const fault::scope fails(fault::point::write, 1);
        const token_list more = random_tokens(200, 4);
        EXPECT_STATUS(LLMM_ERR_CONTEXT_FULL, llmm_session_eval(s.get(), more.data(), 200, nullptr, nullptr));
        EXPECT_EQ(100, llmm_session_n_tokens(s.get()));
    }
    const session_ptr whole = open_session(model_, paged(16, false));
    eval(whole.get(), random_tokens(100, 3));
    eval(whole.get(), random_tokens(1, 5));
    eval(s.get(), random_tokens(1, 5));
    EXPECT_LT(divergence(logits_of(whole.get(), n_vocab_), logits_of(s.get(), n_vocab_)), 1e-4);
}

TEST_P(PagedTiers, ASpillDirectoryThatCannotBeIsAnError) {
    llmm_session_params p = paged(16, false);
    const std::string file = temp_path("a-file");
    write_file(file, "x");
    const std::string below = file + "/spill";
    p.kv_spill_dir = below.c_str();
    llmm_session * s = nullptr;
    EXPECT_STATUS(LLMM_ERR_IO, llmm_session_new(model_, &p, &s));
    p.kv_spill_dir = "";
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_new(model_, &p, &s));
}

// With eviction there is no end: the context holds 512 tokens, the conversation has thousands.
TEST_P(PagedTiers, AConversationOutgrowsItsContext) {
    llmm_session_params p = paged(16, true);
    p.kv_quantize = LLMM_KV_ADAPTIVE;
    p.kv_evict = 1;
    p.kv_budget_bytes = budget_for(p, 128);
    const session_ptr s = open_session(model_, p);
    std::mt19937 random(3);
    int32_t n = 0;
    while (n < rounds(3000)) {
        const auto step = (int32_t) (1 + random() % 70);
        eval(s.get(), random_tokens(step, random()));
        n += step;
        const llmm_stats now = stats(s.get());
        ASSERT_LE(now.kv_peak_bytes, p.kv_budget_bytes);
        ASSERT_EQ(n, now.n_tokens);
    }
    for (const float x : logits_of(s.get(), n_vocab_)) {
        ASSERT_TRUE(std::isfinite(x));
    }
    // A saved one goes on as it was.
    const std::string path = temp_path("long.session");
    ASSERT_OK(llmm_session_save(s.get(), path.c_str()));
    const session_ptr t = open_session(model_, p);
    ASSERT_OK(llmm_session_load(t.get(), path.c_str()));
    for (int i = 0; i < 40; i++) {
        eval(s.get(), random_tokens(1, (uint32_t) i));
        eval(t.get(), random_tokens(1, (uint32_t) i));
    }
    EXPECT_LT(divergence(logits_of(s.get(), n_vocab_), logits_of(t.get(), n_vocab_)), random_weights);
    // And back to a place that has been forgotten: it is evaluated again.
    ASSERT_OK(llmm_session_rewind(s.get(), 100));
    eval(s.get(), random_tokens(1, 1));
    EXPECT_EQ(101, llmm_session_n_tokens(s.get()));
}

TEST_P(PagedTiers, WithoutEvictionTheContextIsTheEnd) {
    const session_ptr s = open_session(model_, paged(16, true));
    const token_list much = random_tokens(513, 1);
    EXPECT_STATUS(LLMM_ERR_CONTEXT_FULL, llmm_session_eval(s.get(), much.data(), 513, nullptr, nullptr));
}

TEST_P(PagedTiers, AForkSharesItsPagesAndGoesItsOwnWay) {
    // llama.cpp restores the cells of a sliding window in another order, so those sums differ in their last bits.
    const auto same = [this](const session_ptr & a, const session_ptr & b) {
        return GetParam() == tiny_arch::gemma3 ? ::testing::AssertionResult(divergence(logits_of(a.get(), n_vocab_), logits_of(b.get(), n_vocab_)) < 1e-6)
                                               : same_logits(a.get(), b.get(), n_vocab_);
    };
    for (const bool quantize : { false, true }) {
        const llmm_session_params p = paged(16, quantize);
        session_ptr parent = open_session(model_, p);
        const session_ptr alone = open_session(model_, p);
        const token_list start = random_tokens(205, 1);
        eval(parent.get(), start);
        eval(alone.get(), start);
        llmm_session * raw = nullptr;
        ASSERT_OK(llmm_session_fork(parent.get(), &raw));
        const session_ptr child(raw);
        ASSERT_TRUE(same_logits(alone.get(), child.get(), n_vocab_)) << "known without a step";
        EXPECT_EQ(205, llmm_session_n_tokens(child.get()));
        const llmm_stats shared = stats(child.get());
        EXPECT_EQ(shared.kv_pages_f16 + shared.kv_pages_q4, shared.kv_pages_shared);

        // Both write into the page that was not full; each sees its own.
        eval(parent.get(), random_tokens(30, 2));
        const token_list other = random_tokens(30, 3);
        eval(child.get(), other);
        eval(alone.get(), other);
        EXPECT_TRUE(same(alone, child));
        // The parent goes back before the fork, writes there, and goes away.
        ASSERT_OK(llmm_session_rewind(parent.get(), 20));
        eval(parent.get(), random_tokens(100, 4));
        eval(child.get(), random_tokens(1, 5));
        eval(alone.get(), random_tokens(1, 5));
        EXPECT_TRUE(same(alone, child));
        parent.reset();
        eval(child.get(), random_tokens(64, 6));
        eval(alone.get(), random_tokens(64, 6));
        EXPECT_TRUE(same(alone, child));
        EXPECT_EQ(0, stats(child.get()).kv_pages_shared);
    }
}

TEST_P(PagedTiers, ForksOfSpillingAndOfStockSessions) {
    for (const bool pages : { true, false }) {
        llmm_session_params p = spilling(160);
        if (!pages) {
            p = paged(0, false);
        }
        const session_ptr parent = open_session(model_, p);
        eval(parent.get(), random_tokens(300, 1));
        llmm_session * raw = nullptr;
        ASSERT_OK(llmm_session_fork(parent.get(), &raw));
        const session_ptr child(raw);
        const int64_t before = stats(child.get()).prompt_tokens;
        for (int i = 0; i < 3; i++) {
            eval(parent.get(), random_tokens(1, (uint32_t) i));
            eval(child.get(), random_tokens(1, (uint32_t) i));
            EXPECT_TRUE(same_logits(parent.get(), child.get(), n_vocab_)) << "pages " << pages;
        }
        EXPECT_EQ(3, stats(child.get()).prompt_tokens - before);
    }
}

TEST_P(PagedTiers, ForksOnThreadsOfTheirOwn) {
    const llmm_session_params p = paged(16, true);
    const session_ptr parent = open_session(model_, p);
    eval(parent.get(), random_tokens(150, 1));
    std::vector<session_ptr> children;
    for (int i = 0; i < 4; i++) {
        llmm_session * raw = nullptr;
        ASSERT_OK(llmm_session_fork(parent.get(), &raw));
        children.emplace_back(raw);
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&, i] {
            for (int j = 0; j < 20; j++) {
                const token_list some = random_tokens(1 + j % 7, (uint32_t) j);
                llmm_session_eval(children[(size_t) i].get(), some.data(), (int32_t) some.size(), nullptr, nullptr);
            }
            if (i % 2 == 0) {
                children[(size_t) i].reset();
            }
        });
    }
    eval(parent.get(), random_tokens(50, 2));
    for (std::thread & t : threads) {
        t.join();
    }
    EXPECT_TRUE(same_logits(children[1].get(), children[3].get(), n_vocab_));
}

TEST_P(PagedTiers, TheBudgetCanShrinkAndGrow) {
    llmm_session_params p = paged(16, true);
    p.kv_quantize = LLMM_KV_ADAPTIVE;
    p.kv_recent_tokens = 300;
    const session_ptr s = open_session(model_, p);
    eval(s.get(), random_tokens(400, 1));
    const uint64_t before = page_bytes(s.get()), empty = need_of(model_, p, 0).empty;
    const uint64_t half = empty + before / 2;
    ASSERT_OK(llmm_session_set_kv_budget(s.get(), half));
    EXPECT_LE(page_bytes(s.get()), before / 2);
    EXPECT_EQ(half, stats(s.get()).kv_budget_bytes);
    EXPECT_STATUS(LLMM_ERR_CONTEXT_FULL, llmm_session_set_kv_budget(s.get(), empty + 100));
    EXPECT_EQ(half, stats(s.get()).kv_budget_bytes) << "it is what it was";
    eval(s.get(), random_tokens(1, 2));
    ASSERT_OK(llmm_session_set_kv_budget(s.get(), 0));
    eval(s.get(), random_tokens(60, 3));
    const session_ptr stock = open_session(model_, paged(0, false));
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_set_kv_budget(stock.get(), 1));

    // Beside a running call it waits for the next step; a call that begins meanwhile waits for it.
    const uint64_t room = 2 * before / 3;                                    // for the tokens that follow, too
    std::atomic<bool> began{ false }, done{ false };
    std::thread other([&] {
        while (!done) {
            llmm_session_set_kv_budget(s.get(), empty + room);
            began = true;
            std::this_thread::yield();
        }
    });
    for (int i = 0; i < 20 || !began; i++) {
        eval(s.get(), random_tokens(1, 5));
        llmm_session_rewind(s.get(), 470);
    }
    done = true;
    other.join();
    EXPECT_LE(page_bytes(s.get()), room);
}

TEST_P(PagedTiers, TheProbeDecidesOnceAndIsKept) {
    llmm_kv_probe_result a{}, b{};
    a.struct_size = b.struct_size = sizeof(a);
    ASSERT_OK(llmm_model_probe_kv(model_, 32, 1, &a));
    ASSERT_OK(llmm_model_probe_kv(model_, 32, 1, &b));
    EXPECT_EQ(a.kl_4bit, b.kl_4bit);
    EXPECT_GE(a.kl_4bit, 0);
    EXPECT_GE(a.kl_smallest, a.kl_4bit * 0.5) << "fewer bits are not closer";
    EXPECT_LT(a.kl_noise, 1e-3);
    EXPECT_EQ(a.kl_smallest <= a.kl_limit ? LLMM_KV_SMALLEST : a.kl_4bit <= a.kl_limit ? LLMM_KV_4BIT : LLMM_KV_F16, a.quantize);
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_model_probe_kv(model_, 8, 1, &a));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_model_probe_kv(model_, 32, -1, &a));
}

INSTANTIATE_TEST_SUITE_P(Architectures, PagedTiers, ::testing::Values(tiny_arch::llama, tiny_arch::gemma3, tiny_arch::qwen3));

TEST(PagedFaults, WhateverFailsTheSessionGoesOn) {
    const std::string dir = temp_path("faulty-spill");
    llmm_session_params p = paged(16, true);
    p.kv_quantize = LLMM_KV_ADAPTIVE;
    p.kv_spill_dir = dir.c_str();
    p.kv_budget_bytes = need_of(shared_llama(), p, 128).full;
    std::mt19937 random(5);
    for (const auto point : { fault::point::allocate, fault::point::write, fault::point::read }) {
        for (const uint32_t every : { 3u, 17u, 91u, 500u }) {
            const session_ptr s = open_session(shared_llama(), p);
            token_list history;
            for (int i = 0; i < rounds(40); i++) {
                const token_list more = random_tokens((int32_t) (1 + random() % 40), random());
                if (history.size() + more.size() > 480) {
                    const auto n = (int32_t) (random() % history.size());
                    ASSERT_OK(llmm_session_rewind(s.get(), n));
                    history.resize((size_t) n);
                    continue;
                }
                int32_t rc;
                {
                    const fault::scope fails(point, every);
                    rc = llmm_session_eval(s.get(), more.data(), (int32_t) more.size(), nullptr, nullptr);
                }
                ASSERT_TRUE(rc == LLMM_OK || rc == LLMM_ERR_IO || rc == LLMM_ERR_OUT_OF_MEMORY || rc == LLMM_ERR_CONTEXT_FULL) << rc << ' ' << last_error();
                if (rc == LLMM_OK) {
                    history.insert(history.end(), more.begin(), more.end());
                }
                ASSERT_EQ((int32_t) history.size(), llmm_session_n_tokens(s.get()));
                ASSERT_LE(stats(s.get()).kv_peak_bytes, p.kv_budget_bytes);
            }
            const token_list one = random_tokens(1, 9);
            const int32_t rc = llmm_session_eval(s.get(), one.data(), 1, nullptr, nullptr);
            if (rc != LLMM_OK) {                       // a disk that once failed is not written to again
                EXPECT_STATUS(LLMM_ERR_CONTEXT_FULL, rc);
                continue;
            }
            history.push_back(one[0]);
            const session_ptr fresh = open_session(shared_llama(), paged(16, false));
            eval(fresh.get(), history);
            const int32_t n = n_vocab_of(shared_llama());
            EXPECT_LT(divergence(logits_of(fresh.get(), n), logits_of(s.get(), n)), 4 * random_weights) << "point " << (int) point << ", every " << every;
        }
    }
}

}  // namespace
}  // namespace llmm_test
