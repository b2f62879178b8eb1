// Prompts of which later layers see only a part.
#include "paged_support.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace llmm_test {
namespace {

constexpr int32_t n_prompt = 300, n_steps = 40;

// What steps of other sizes change, as a divergence; leaving tokens out changes ten thousand times as much.
constexpr double step_rounding = 1e-4;

// Five layers: four of them after the first third.
llmm_model * model_of(tiny_arch arch) {
    static std::vector<model_ptr> models(16);
    model_ptr & m = models[(size_t) arch];
    if (!m) {
        tiny_options options = options_of(arch);
        options.n_layers = 5;
        m = open_model(tiny_file("prompts-" + std::to_string((int) arch), options));
    }
    return m.get();
}

llmm_model * llama() {
    return model_of(tiny_arch::llama);
}

const int32_t n_vocab = tiny_n_vocab();

llmm_prune_params keeping(float share, int32_t layer = 0) {
    llmm_prune_params p;
    llmm_prune_params_init(&p);
    p.min_tokens = 64;
    p.prefill_keep = share;
    p.prefill_layer = layer;
    return p;
}

session_ptr open_pruned(const llmm_prune_params & prune, llmm_session_params p = paged(16, true), llmm_model * model = llama()) {
    p.prune = &prune;
    return open_session(model, p);
}

session_ptr prompted(const llmm_prune_params & prune, const llmm_session_params & p = paged(16, true), llmm_model * model = llama()) {
    session_ptr s = open_pruned(prune, p, model);
    eval(s.get(), random_tokens(n_prompt, 1));
    return s;
}

// The logits after a prompt and after each of some tokens.
std::vector<std::vector<float>> run(llmm_session * s, int32_t steps = n_steps, uint32_t seed = 2) {
    std::vector<std::vector<float>> rows = { logits_of(s, n_vocab) };
    const auto later = run_steps(s, steps, seed);
    rows.insert(rows.end(), later.begin(), later.end());
    return rows;
}

double most_divergence(const std::vector<std::vector<float>> & a, const std::vector<std::vector<float>> & b) {
    double most = 0;
    for (size_t i = 0; i < a.size(); i++) {
        most = std::max(most, divergence(a[i], b[i]));
    }
    return most;
}

}  // namespace

TEST(PromptPruning, ParametersAreChecked) {
    llmm_prune_params p;
    llmm_prune_params_init(&p);
    EXPECT_EQ(1.0f, p.prefill_keep);
    EXPECT_EQ(0, p.prefill_layer);
    const session_ptr s = open_session(llama(), paged(16, true));
    const auto refused = [&](llmm_prune_params prune) {
        llmm_session_params params = paged(16, true);
        params.prune = &prune;
        llmm_session * none = nullptr;
        const llmm_status status = llmm_session_new(llama(), &params, &none);
        EXPECT_EQ(nullptr, none);
        EXPECT_EQ(status, llmm_session_set_pruning(s.get(), &prune));
        return status;
    };
    EXPECT_EQ(LLMM_ERR_RANGE, refused(keeping(-0.1f)));
    EXPECT_EQ(LLMM_ERR_RANGE, refused(keeping(1.1f)));
    EXPECT_EQ(LLMM_ERR_RANGE, refused(keeping(NAN)));
    EXPECT_EQ(LLMM_ERR_RANGE, refused(keeping(0.5f, -1)));
    EXPECT_EQ(LLMM_ERR_RANGE, refused(keeping(0.5f, 5)));
    EXPECT_TRUE(text_contains(last_error(), "the last layer of the model is 4"));
    eval(s.get(), random_tokens(n_prompt, 1));
    EXPECT_EQ(0, stats(s.get()).prune_prefill_tokens) << "what was refused is not in force";
}

TEST(PromptPruning, WhatCannotBePrunedIsRefusedWithAReason) {
    const llmm_prune_params prune = keeping(0.5f);
    const auto refusal = [&](llmm_model * model, llmm_session_params p) {
        p.prune = &prune;
        llmm_session * s = nullptr;
        EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_new(model, &p, &s));
        return last_error();
    };
    llmm_session_params p = paged(16, true);
    EXPECT_TRUE(text_contains(refusal(model_of(tiny_arch::gemma3), p), "window"));
    p.kv_exact = 1;
    EXPECT_TRUE(text_contains(refusal(llama(), p), "exact attention"));
    p.kv_exact = 0;
    p.layer_end = 3;
    EXPECT_TRUE(text_contains(refusal(llama(), p), "a part of its layers"));
    p.layer_end = 0;
    p.kv_page_tokens = 0;
    EXPECT_TRUE(text_contains(refusal(llama(), p), "kv_page_tokens"));
}

TEST(PromptPruning, OffAndShortPromptsGiveTheBitsOfDense) {
    const session_ptr dense = open_session(llama(), paged(16, true));
    eval(dense.get(), random_tokens(n_prompt, 1));
    const auto expected = run(dense.get());
    EXPECT_TRUE(expected == run(prompted(keeping(1)).get()));
    llmm_prune_params prune = keeping(0.3f);
    prune.min_tokens = n_prompt + 1;
    EXPECT_TRUE(expected == run(prompted(prune).get()));
    prune.min_tokens = n_prompt;
    EXPECT_TRUE(expected != run(prompted(prune).get())) << "the test can tell";
}

TEST(PromptPruning, WithAllTokensKeptItIsDenseButForRounding) {
    for (const tiny_arch arch : { tiny_arch::llama, tiny_arch::qwen2, tiny_arch::qwen3, tiny_arch::phi3 }) {
        for (const int32_t layer : { 1, 2, 4 }) {
            SCOPED_TRACE(std::to_string((int) arch) + ", from layer " + std::to_string(layer));
            const session_ptr dense = open_session(model_of(arch), paged(16, false));
            eval(dense.get(), random_tokens(n_prompt, 1));
            const session_ptr all = prompted(keeping(0.9999f, layer), paged(16, false), model_of(arch));
            const llmm_stats q = stats(all.get());
            EXPECT_EQ(n_prompt, q.prune_prefill_tokens);
            EXPECT_EQ(0, q.prune_prefill_left_out);
            EXPECT_LT(most_divergence(run(dense.get()), run(all.get())), step_rounding);
        }
    }
}

TEST(PromptPruning, LeavesOutWhatItSaysAndKeepsTheSum) {
    for (const tiny_arch arch : { tiny_arch::llama, tiny_arch::qwen2, tiny_arch::qwen3, tiny_arch::phi3 }) {
        SCOPED_TRACE((int) arch);
        const session_ptr s = prompted(keeping(0.4f), paged(16, true), model_of(arch));
        const llmm_stats q = stats(s.get());
        EXPECT_EQ(n_prompt, q.prompt_tokens);
        EXPECT_EQ(n_prompt, q.prune_prefill_tokens);
        EXPECT_NEAR(0.6 * n_prompt, q.prune_prefill_left_out, 16);
        EXPECT_GT(q.prune_prefill_us, 0);
        EXPECT_NEAR(n_prompt, cached_tokens(q), 0.01);
        EXPECT_NEAR(q.prune_prefill_left_out * 4 / 5.0, q.prune_dropped_tokens, 0.01) << "in four of five layers";
        // The last tokens and the first ones stay; half of the rest are the newest.
        const auto pages = pages_of(s.get());
        ASSERT_EQ(19u, pages.size());
        EXPECT_EQ(0, pages[0].dropped_share);
        for (size_t i = 16; i < pages.size(); i++) {
            EXPECT_EQ(0, pages[i].dropped_share) << i;
        }
        const auto rows = run(s.get());
        for (const auto & row : rows) {
            for (const float x : row) {
                ASSERT_TRUE(std::isfinite(x));
            }
        }
        EXPECT_NEAR(n_prompt + n_steps, cached_tokens(stats(s.get())), 0.01);
    }
}

TEST(PromptPruning, WhatIsLeftOutTakesNoMemory) {
    const session_ptr dense = open_session(llama(), paged(16, false));
    eval(dense.get(), random_tokens(n_prompt, 1));
    const session_ptr s = prompted(keeping(0.4f), paged(16, false));
    const llmm_stats a = stats(dense.get()), b = stats(s.get());
    EXPECT_EQ(a.kv_pages_f16, b.kv_pages_f16);
    const double one_page = (double) a.kv_bytes_f16 / a.kv_pages_f16;
    EXPECT_NEAR((double) a.kv_bytes_f16 - one_page * (b.prune_prefill_left_out / 16) * 4 / 5, (double) b.kv_bytes_f16, 1);
}

TEST(PromptPruning, ThreadsChangeNothing) {
    llmm_session_params p = paged(16, true);
    p.n_batch = 256;
    const auto expected = run(prompted(keeping(0.4f), p).get(), 2);
    for (int32_t n = 2; n <= 4; n++) {
        p.n_threads = n;
        EXPECT_TRUE(expected == run(prompted(keeping(0.4f), p).get(), 2)) << n;
    }
}

TEST(PromptPruning, StepsOfOtherSizesGiveTheSameButForRounding) {
    llmm_session_params p = paged(16, false);
    p.n_batch = 32;
    const session_ptr narrow = prompted(keeping(0.4f), p);
    p.n_batch = 512;
    const session_ptr wide = prompted(keeping(0.4f), p);
    EXPECT_EQ(stats(narrow.get()).prune_prefill_left_out, stats(wide.get()).prune_prefill_left_out);
    EXPECT_LT(most_divergence(run(narrow.get()), run(wide.get())), step_rounding);
}

TEST(PromptPruning, ControlsChooseOtherwise) {
    llmm_prune_params prune = keeping(0.4f);
    const auto dropped = [&](int32_t policy) {
        prune.policy = policy;
        std::vector<bool> list;
        for (const llmm_prune_page & page : pages_of(prompted(prune).get())) {
            list.push_back(page.dropped_share > 0);
        }
        return list;
    };
    const auto newest = dropped(LLMM_PRUNE_RECENCY);
    const auto first = std::find(newest.begin(), newest.end(), true), last = std::find(newest.rbegin(), newest.rend(), true).base();
    EXPECT_EQ(1, first - newest.begin()) << "but for the first tokens";
    EXPECT_EQ(std::count(newest.begin(), newest.end(), true), last - first) << "the oldest go";
    EXPECT_NE(newest, dropped(LLMM_PRUNE_RANDOM));
    EXPECT_NE(newest, dropped(LLMM_PRUNE_ATTENTION));
}

TEST(PromptPruning, GoesOnTheSameAfterSaveLoadAndFork) {
    for (const float threshold : { 0.0f, 0.1f }) {
        llmm_prune_params prune = keeping(0.4f);
        prune.threshold = threshold;
        const session_ptr s = prompted(prune);
        run(s.get(), 10);
        const std::string file = temp_path("pruned-prompt.session");
        ASSERT_OK(llmm_session_save(s.get(), file.c_str()));
        llmm_session * raw = nullptr;
        ASSERT_OK(llmm_session_fork(s.get(), &raw));
        const session_ptr fork(raw);
        const session_ptr loaded = open_pruned(prune);
        ASSERT_OK(llmm_session_load(loaded.get(), file.c_str()));
        // A session that does not prune knows what is not there.
        llmm_prune_params none = prune;
        none.prefill_keep = 1;
        const session_ptr plain = open_pruned(none);
        ASSERT_OK(llmm_session_load(plain.get(), file.c_str()));
        EXPECT_EQ(stats(s.get()).prune_prefill_shadow, stats(fork.get()).prune_prefill_shadow);
        EXPECT_EQ(stats(s.get()).prune_prefill_shadow, stats(loaded.get()).prune_prefill_shadow);
        const auto expected = run(s.get(), 30, 7);
        EXPECT_TRUE(expected == run(fork.get(), 30, 7));
        EXPECT_TRUE(expected == run(loaded.get(), 30, 7));
        EXPECT_TRUE(expected == run(plain.get(), 30, 7));
        EXPECT_NEAR(stats(s.get()).prune_dropped_tokens, stats(loaded.get()).prune_dropped_tokens, 1e-6);
        EXPECT_EQ(page_bytes(s.get()), page_bytes(loaded.get()));

        const token_list question = random_tokens(20, 8);
        for (llmm_session * each : { s.get(), fork.get(), loaded.get() }) {
            eval(each, question);
            EXPECT_GT(stats(each).prune_prefill_recalled, 0);
        }
        const auto answer = run(s.get(), 10, 9);
        EXPECT_TRUE(answer == run(fork.get(), 10, 9));
        EXPECT_TRUE(answer == run(loaded.get(), 10, 9));
    }
}

// Where only the last layer does not see a token, its hidden state there is that of dense, and with it are key and value.
TEST(PromptPruning, QuestionsBringBackWhatDenseHas) {
    llmm_session_params p = paged(16, false);
    p.n_ctx = 1024;
    const session_ptr dense = open_session(llama(), p);
    eval(dense.get(), random_tokens(n_prompt, 1));
    const session_ptr s = prompted(keeping(0.9f, 4), p);
    const int64_t left_out = stats(s.get()).prune_prefill_left_out;
    ASSERT_GT(left_out, 0);
    EXPECT_EQ(left_out, stats(s.get()).prune_prefill_shadow);
    EXPECT_GT(divergence(logits_of(dense.get(), n_vocab), logits_of(s.get(), n_vocab)), 10 * step_rounding);
    for (uint32_t i = 0; i < 10 && stats(s.get()).prune_prefill_shadow > 0; i++) {
        for (llmm_session * each : { dense.get(), s.get() }) {
            eval(each, random_tokens(30, 40 + i));
        }
        EXPECT_EQ(left_out, stats(s.get()).prune_prefill_shadow + stats(s.get()).prune_prefill_recalled);
    }
    EXPECT_EQ(left_out, stats(s.get()).prune_prefill_recalled);
    EXPECT_EQ(0, stats(s.get()).prune_dropped_tokens);
    EXPECT_LT(most_divergence(run(dense.get()), run(s.get())), 10 * step_rounding);
}

TEST(PromptPruning, TheEndOfALongTurnIsNoQuestion) {
    llmm_session_params p = paged(16, true);
    p.n_ctx = 2048;
    llmm_prune_params prune = keeping(0.4f);
    const session_ptr s = prompted(prune, p);
    ASSERT_GT(stats(s.get()).prune_prefill_shadow, 0);
    prune.min_tokens = 1024;
    ASSERT_OK(llmm_session_set_pruning(s.get(), &prune));
    eval(s.get(), random_tokens(600, 2));     // more than a step, less than min_tokens
    EXPECT_EQ(0, stats(s.get()).prune_prefill_recalled);
    eval(s.get(), random_tokens(30, 3));
    EXPECT_GT(stats(s.get()).prune_prefill_recalled, 0);
}

TEST(PromptPruning, TheShadowSetHasItsLimits) {
    llmm_prune_params prune = keeping(0.4f);
    prune.max_shadow_tokens = 0;
    const session_ptr none = prompted(prune);
    EXPECT_EQ(0, stats(none.get()).prune_prefill_shadow);
    eval(none.get(), random_tokens(20, 8));
    EXPECT_EQ(0, stats(none.get()).prune_prefill_recalled);

    prune.max_shadow_tokens = 100;
    const session_ptr some = prompted(prune);
    EXPECT_EQ(96, stats(some.get()).prune_prefill_shadow) << "whole pages";
    prune.max_shadow_tokens = 40;
    ASSERT_OK(llmm_session_set_pruning(some.get(), &prune));
    EXPECT_EQ(32, stats(some.get()).prune_prefill_shadow);

    // The budget's too: they go before anything else does.
    const kv_need need = need_of(llama(), paged(16, true), n_prompt);
    llmm_session_params p = paged(16, true);
    p.kv_budget_bytes = need.full + 2 * (uint64_t) n_prompt * 64 * sizeof(float);
    const session_ptr rich = prompted(keeping(0.4f), p);
    EXPECT_GT(stats(rich.get()).prune_prefill_shadow, 0);
    EXPECT_LE(stats(rich.get()).kv_peak_bytes, p.kv_budget_bytes);
    ASSERT_OK(llmm_session_set_kv_budget(rich.get(), stats(rich.get()).kv_bytes - 5000));
    const int64_t fewer = stats(rich.get()).prune_prefill_shadow;
    EXPECT_LT(fewer, stats(rich.get()).prune_prefill_left_out);
    while (stats(rich.get()).prune_prefill_shadow > 0) {
        run(rich.get(), 1);
        ASSERT_LE(stats(rich.get()).kv_bytes, stats(rich.get()).kv_budget_bytes);
    }
}

TEST(PromptPruning, ACancelledQuestionBringsNothingBack) {
    const token_list question = random_tokens(40, 8);
    const session_ptr straight = prompted(keeping(0.4f), paged(16, false));
    const auto dropped = stats(straight.get()).prune_dropped_tokens;
    const uint64_t bytes = page_bytes(straight.get());
    eval(straight.get(), question);
    ASSERT_GT(stats(straight.get()).prune_prefill_recalled, 0);
    const auto expected = run(straight.get(), 5);
    int32_t cancelled = 0;
    for (int32_t calls = 0;; calls++) {
        const session_ptr s = prompted(keeping(0.4f), paged(16, false));
        int32_t left = calls;
        const auto count_down = [](float, void * data) { return (*static_cast<int32_t *>(data))-- == 0 ? 1 : 0; };
        if (llmm_session_eval(s.get(), question.data(), 40, count_down, &left) == LLMM_OK) {
            break;
        }
        ASSERT_EQ(n_prompt, llmm_session_n_tokens(s.get()));
        EXPECT_NEAR(n_prompt, cached_tokens(stats(s.get())), 0.01) << "the prompt is not read again";
        if (stats(s.get()).prune_prefill_recalled == 0) {      // else it was read to its end
            cancelled++;
            EXPECT_NEAR(dropped, stats(s.get()).prune_dropped_tokens, 1e-6);
            EXPECT_EQ(bytes, page_bytes(s.get()));
            eval(s.get(), question);
            EXPECT_TRUE(expected == run(s.get(), 5)) << "after " << calls << " calls";
        }
    }
    EXPECT_GT(cancelled, 5) << "at every stage";
}

TEST(PromptPruning, RewindingGoesBackToWhereNothingIsMissing) {
    const token_list prompt = random_tokens(n_prompt, 1);
    const session_ptr s = prompted(keeping(0.8f), paged(16, false));
    const auto expected = run(s.get(), 20);
    const session_ptr dense = open_session(llama(), paged(16, false));
    eval(dense.get(), prompt);
    const auto whole = run(dense.get(), 20);
    EXPECT_GT(most_divergence(whole, expected), 100 * step_rounding);
    // Among pages that are left out, the text is evaluated again from the first of them on: a short one in full.
    ASSERT_OK(llmm_session_rewind(s.get(), 280));
    EXPECT_EQ(280, (int32_t) history(s.get()).size());
    int32_t end = 0;
    for (const llmm_prune_page & page : pages_of(s.get())) {
        EXPECT_EQ(0, page.dropped_share) << "from " << page.first_pos;
        end = page.last_pos + 1;
    }
    EXPECT_LT(end, 280 - 16);
    EXPECT_GE(end, 16);
    eval(s.get(), { prompt.begin() + 280, prompt.end() });
    EXPECT_NEAR(n_prompt, cached_tokens(stats(s.get())), 0.01);
    EXPECT_LT(most_divergence(whole, run(s.get(), 20)), step_rounding);
    // From the start it is the same prompt.
    ASSERT_OK(llmm_session_rewind(s.get(), 0));
    eval(s.get(), prompt);
    EXPECT_TRUE(expected == run(s.get(), 20));
}

TEST(PromptPruning, RewindingNearbyCostsNothing) {
    llmm_session_params p = paged(16, false);
    p.n_ctx = 1024;
    const session_ptr s = open_pruned(keeping(0.8f), p);
    eval(s.get(), random_tokens(800, 1));
    EXPECT_GT(stats(s.get()).prune_prefill_left_out, 0);
    int32_t n_reused = 0;
    token_list other = random_tokens(800, 1);
    other[790] ^= 1;
    ASSERT_OK(llmm_session_prefill(s.get(), other.data(), 800, nullptr, nullptr, &n_reused));
    EXPECT_EQ(790, n_reused);
    EXPECT_NEAR(800, cached_tokens(stats(s.get())), 0.01);
    other[300] ^= 1;
    ASSERT_OK(llmm_session_prefill(s.get(), other.data(), 800, nullptr, nullptr, &n_reused));
    EXPECT_LT(n_reused, 300) << "no more than what all layers have";
    EXPECT_NEAR(800, cached_tokens(stats(s.get())), 0.01);
}

TEST(PromptPruning, ASecondLongPromptIsPrunedOnItsOwnAndAQuestionIsNot) {
    llmm_session_params p = paged(16, true);
    p.n_ctx = 1536;
    const session_ptr s = prompted(keeping(0.5f), p);
    run(s.get(), 5);
    const int64_t before = stats(s.get()).prune_prefill_left_out;
    eval(s.get(), random_tokens(512, 8));
    EXPECT_EQ(n_prompt, stats(s.get()).prune_prefill_tokens);
    run(s.get(), 5);
    eval(s.get(), random_tokens(513, 9));
    const llmm_stats q = stats(s.get());
    EXPECT_EQ(n_prompt + 513, q.prune_prefill_tokens);
    EXPECT_NEAR(256, q.prune_prefill_left_out - before, 16);
    EXPECT_NEAR((q.prune_prefill_left_out - q.prune_prefill_recalled) * 4 / 5.0, q.prune_dropped_tokens, 0.01);
    run(s.get(), 5);
    EXPECT_NEAR(n_prompt + 512 + 513 + 15, cached_tokens(stats(s.get())), 0.01);
}

TEST(PromptPruning, CancellingLeavesWhatWasThere) {
    const session_ptr s = open_pruned(keeping(0.4f));
    const token_list prompt = random_tokens(n_prompt, 1);
    struct counter {
        int32_t left;
        float last;
        bool ascends;
    };
    const auto progress = [](float done, void * data) {
        auto & c = *static_cast<counter *>(data);
        c.ascends = c.ascends && done >= c.last && done <= 1;
        c.last = done;
        return c.left-- == 0 ? 1 : 0;
    };
    int32_t cancelled = 0;
    for (int32_t calls = 0;; calls++) {
        counter c{ calls, 0, true };
        const int32_t status = llmm_session_eval(s.get(), prompt.data(), n_prompt, progress, &c);
        EXPECT_TRUE(c.ascends);
        if (status == LLMM_OK) {
            break;
        }
        EXPECT_EQ(LLMM_ERR_CANCELLED, status);
        ASSERT_EQ(0, llmm_session_n_tokens(s.get()));
        EXPECT_EQ(0, cached_tokens(stats(s.get())));
        EXPECT_EQ(0u, page_bytes(s.get()));
        cancelled++;
    }
    EXPECT_GT(cancelled, 10) << "at every stage";
    EXPECT_TRUE(run(prompted(keeping(0.4f)).get()) == run(s.get()));
}

TEST(PromptPruning, SpillsAndEvictsWithinTheBudget) {
    llmm_session_params p = paged(16, true);
    const std::string folder = temp_path("pruned-prompt-spill");
    const kv_need need = need_of(llama(), p, n_prompt);
    const uint64_t pages = need.full - need.empty, hidden = (uint64_t) n_prompt * 64 * sizeof(float);
    p.kv_spill_dir = folder.c_str();
    p.kv_budget_bytes = need.empty + hidden + pages * 3 / 4;
    const session_ptr spilling = prompted(keeping(0.4f), p);
    EXPECT_GT(stats(spilling.get()).prune_prefill_left_out, 0);
    EXPECT_LE(stats(spilling.get()).kv_peak_bytes, p.kv_budget_bytes);
    const session_ptr resident = prompted(keeping(0.4f));
    EXPECT_TRUE(run(resident.get()) == run(spilling.get()));
    // Pages that later layers do not have go to the file and come from it.
    ASSERT_OK(llmm_session_set_kv_budget(spilling.get(), need.empty + pages / 2));
    EXPECT_TRUE(run(resident.get(), 30, 4) == run(spilling.get(), 30, 4));
    EXPECT_GT(stats(spilling.get()).kv_spills, 0);
    const std::string file = temp_path("pruned-prompt-spilled.session");
    ASSERT_OK(llmm_session_save(spilling.get(), file.c_str()));
    const session_ptr loaded = open_pruned(keeping(0.4f));
    ASSERT_OK(llmm_session_load(loaded.get(), file.c_str()));
    EXPECT_TRUE(run(loaded.get(), 20, 5) == run(spilling.get(), 20, 5));

    p.kv_spill_dir = nullptr;
    p.kv_evict = 1;
    const session_ptr evicting = prompted(keeping(0.4f), p);
    for (int32_t i = 0; i < 5; i++) {
        eval(evicting.get(), random_tokens(100, 20 + (uint32_t) i));
        run(evicting.get(), 20, 30 + (uint32_t) i);
    }
    const llmm_stats q = stats(evicting.get());
    EXPECT_LE(q.kv_peak_bytes, p.kv_budget_bytes);
    EXPECT_GT(q.kv_pages_evicted, 0);
    EXPECT_GT(q.prune_prefill_left_out, 0);

    // Without room for hidden states the prompt is read in full.
    p.kv_evict = 0;
    p.kv_budget_bytes = need.empty + pages / 2;
    p.kv_spill_dir = folder.c_str();
    EXPECT_EQ(0, stats(prompted(keeping(0.4f), p).get()).prune_prefill_tokens);
}

TEST(PromptPruning, GoesWithPruningWhileDecoding) {
    llmm_prune_params prune = keeping(0.4f);
    prune.keep_ratio = 0.3f;
    for (const int32_t shadow : { -1, 0 }) {
        prune.max_shadow_tokens = shadow;
        const session_ptr s = prompted(prune);
        for (int32_t i = 0; i < n_steps; i++) {
            run(s.get(), 1, 100 + (uint32_t) i);
            const llmm_stats q = stats(s.get());
            ASSERT_NEAR(n_prompt + i + 1, cached_tokens(q) + 16.0 * q.kv_pages_evicted, 16.01);
        }
        EXPECT_GT(stats(s.get()).prune_pruned_tokens, 0);
    }
    // Switched off, what is left out stays out.
    const session_ptr s = prompted(keeping(0.4f));
    const double dropped = stats(s.get()).prune_dropped_tokens;
    ASSERT_OK(llmm_session_set_pruning(s.get(), nullptr));
    run(s.get(), 3);
    EXPECT_NEAR(dropped, stats(s.get()).prune_dropped_tokens, 1e-6);
}

TEST(PromptPruning, PerplexityIsThatOfWhatFollowsThePrompt) {
    llmm_perplexity_params pp;
    llmm_perplexity_params_init(&pp);
    const token_list text = random_tokens(700, 3);
    const auto measure = [&](llmm_session * s) {
        llmm_perplexity_result r{};
        r.struct_size = sizeof(r);
        EXPECT_OK(llmm_session_perplexity(s, text.data(), (int32_t) text.size(), &pp, &r));
        return r;
    };
    pp.n_ctx = 300;
    pp.n_decode = 40;
    const session_ptr dense = open_session(llama(), paged(16, true));
    const std::string file = temp_path("prompt-logprobs");
    pp.save_path = file.c_str();
    measure(dense.get());
    pp.save_path = nullptr;
    pp.against_path = file.c_str();
    EXPECT_LT(measure(open_pruned(keeping(1)).get()).kl_mean, 1e-6);
    const llmm_perplexity_result r = measure(open_pruned(keeping(0.3f)).get());
    EXPECT_EQ(2 * 40, r.n_scored);
    EXPECT_GT(r.kl_mean, 1e-6);
    pp.n_decode = 0;
    pp.against_path = nullptr;
    EXPECT_EQ(measure(dense.get()).perplexity, measure(open_pruned(keeping(0.3f)).get()).perplexity) << "batches are scored in full";
}

}  // namespace llmm_test
