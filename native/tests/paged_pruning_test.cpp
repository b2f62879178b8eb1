// Token pruning in sessions.
#include "paged_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();
constexpr int32_t n_prompt = 300, n_steps = 60;

llmm_prune_params pruning(float threshold) {
    llmm_prune_params p;
    llmm_prune_params_init(&p);
    p.threshold = threshold;
    p.min_tokens = 0;
    p.test_interval = 8;
    return p;
}

llmm_prune_params keeping(float ratio) {
    llmm_prune_params p = pruning(0);
    p.keep_ratio = ratio;
    return p;
}

session_ptr open_pruned(llmm_model * model, const llmm_prune_params & prune, llmm_session_params p = paged(16, true)) {
    p.prune = &prune;
    return open_session(model, p);
}

// A prompt, then tokens one by one; their logits.
std::vector<std::vector<float>> run(llmm_session * s, int32_t steps = n_steps, uint32_t seed = 2) {
    return run_steps(s, steps, seed);
}

session_ptr prompted(llmm_model * model, const llmm_prune_params & prune, const llmm_session_params & p = paged(16, true)) {
    session_ptr s = open_pruned(model, prune, p);
    eval(s.get(), random_tokens(n_prompt, 1));
    return s;
}

std::vector<llmm_prune_event> events_of(llmm_session * s) {
    llmm_buffer * buffer = nullptr;
    EXPECT_OK(llmm_session_prune_events(s, &buffer));
    const buffer_ptr owned(buffer);
    const auto * first = static_cast<const llmm_prune_event *>(llmm_buffer_data(buffer));
    return { first, first + llmm_buffer_size(buffer) / sizeof(llmm_prune_event) };
}

}  // namespace

TEST(Pruning, DefaultsAreDocumented) {
    llmm_prune_params p;
    llmm_prune_params_init(&p);
    EXPECT_EQ(sizeof(p), p.struct_size);
    EXPECT_EQ(0.0f, p.threshold);
    EXPECT_EQ(1.0f, p.keep_ratio);
    EXPECT_EQ(0, p.max_active_tokens);
    EXPECT_EQ(-1, p.max_shadow_tokens);
    EXPECT_EQ(1.0f, p.select_mass);
    EXPECT_EQ(8, p.test_interval);
    EXPECT_EQ(4, p.select_interval);
    EXPECT_EQ(1024, p.min_tokens);
    EXPECT_EQ(LLMM_PRUNE_ATTENTION, p.policy);
    EXPECT_EQ(0, p.record);
    llmm_prune_params_init(nullptr);
}

TEST(Pruning, ValuesOutOfRangeAreRefused) {
    llmm_session_params p = paged(16, true);
    const auto status = [&](void (*change)(llmm_prune_params &)) {
        llmm_prune_params prune = pruning(0.01f);
        change(prune);
        p.prune = &prune;
        llmm_session * s = nullptr;
        const llmm_status first = llmm_session_new(shared_llama(), &p, &s);
        EXPECT_EQ(nullptr, s);
        const session_ptr sound = open_session(shared_llama(), paged(16, true));
        EXPECT_EQ(first, llmm_session_set_pruning(sound.get(), &prune));
        return first;
    };
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.threshold = -0.1f; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.threshold = NAN; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.keep_ratio = 1.5f; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.select_mass = 2; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.max_active_tokens = -1; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.max_shadow_tokens = -2; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.test_interval = 0; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.select_interval = 0; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.bound = 2; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.min_tokens = -1; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.policy = 3; }));
    EXPECT_EQ(LLMM_ERR_RANGE, status([](llmm_prune_params & q) { q.record = 2; }));
    EXPECT_EQ(LLMM_ERR_INVALID_ARGUMENT, status([](llmm_prune_params & q) { q.struct_size = 0; }));
}

TEST(Pruning, NeedsPages) {
    llmm_session_params p;
    llmm_session_params_init(&p);
    llmm_prune_params prune = pruning(0.01f);
    p.prune = &prune;
    llmm_session * s = nullptr;
    EXPECT_EQ(LLMM_ERR_NOT_AVAILABLE, llmm_session_new(shared_llama(), &p, &s));
    prune.threshold = 0;
    ASSERT_OK(llmm_session_new(shared_llama(), &p, &s)) << "nothing is asked for";
    const session_ptr stock(s);
    EXPECT_EQ(LLMM_ERR_NOT_AVAILABLE, llmm_session_set_pruning(s, &prune));
    llmm_buffer * buffer = nullptr;
    EXPECT_EQ(LLMM_ERR_NOT_AVAILABLE, llmm_session_prune_pages(s, &buffer));
    EXPECT_TRUE(events_of(s).empty());
}

TEST(Pruning, AThresholdOfZeroGivesTheBitsOfNone) {
    const session_ptr off = open_session(shared_llama(), paged(16, true));
    eval(off.get(), random_tokens(n_prompt, 1));
    const auto expected = run(off.get());
    const session_ptr zero = prompted(shared_llama(), pruning(0));
    EXPECT_TRUE(expected == run(zero.get()));
    EXPECT_EQ(0, stats(zero.get()).prune_steps);
    const session_ptr some = prompted(shared_llama(), pruning(0.2f));
    EXPECT_TRUE(expected != run(some.get())) << "the test can tell";
}

TEST(Pruning, BoundsOfWhatIsLeftOutChangeNothing) {
    llmm_prune_params prune = keeping(0.3f);
    for (const int32_t quantize : { 0, 1 }) {
        const session_ptr plain = prompted(shared_llama(), prune, paged(16, quantize));
        const auto expected = run(plain.get());
        EXPECT_EQ(0, stats(plain.get()).prune_omitted_bound);
        prune.bound = 1;
        const session_ptr bounded = prompted(shared_llama(), prune, paged(16, quantize));
        EXPECT_TRUE(expected == run(bounded.get()));
        const llmm_stats q = stats(bounded.get());
        EXPECT_GT(q.prune_omitted_bound, q.prune_omitted_mass);
        EXPECT_GE(q.prune_omitted_bound_most, q.prune_omitted_bound);
        EXPECT_LE(q.prune_omitted_bound_most, 1);
        prune.bound = 0;
    }
}

TEST(Pruning, TheFirstStepsOfATurnAreDense) {
    const session_ptr dense = open_session(shared_llama(), paged(16, true));
    eval(dense.get(), random_tokens(n_prompt, 1));
    const session_ptr pruned = prompted(shared_llama(), keeping(0.3f));
    EXPECT_TRUE(run(dense.get(), 4) == run(pruned.get(), 4));
}

TEST(Pruning, EveryArchitectureThatPages) {
    for (const tiny_arch arch : { tiny_arch::llama, tiny_arch::qwen2, tiny_arch::qwen3, tiny_arch::phi3, tiny_arch::gemma3 }) {
        SCOPED_TRACE((int) arch);
        const session_ptr s = prompted(shared_model(arch), keeping(0.5f));
        for (const auto & row : run(s.get())) {
            for (const float x : row) {
                ASSERT_TRUE(std::isfinite(x));
            }
        }
        const llmm_stats q = stats(s.get());
        EXPECT_NEAR(n_prompt + n_steps, cached_tokens(q), 0.01);
        EXPECT_NEAR(0.5, q.prune_active_tokens / (n_prompt + n_steps), 0.06);
        EXPECT_EQ(n_steps, q.prune_steps);
        EXPECT_GE(q.prune_tests, n_steps / 8);
        EXPECT_LT(q.prune_read_tokens, 0.9 * n_prompt);
        EXPECT_EQ(0, q.prune_dropped_tokens);
    }
}

TEST(Pruning, TheNumberOfThreadsChangesNothing) {
    llmm_session_params p = paged(16, true);
    const session_ptr one = prompted(shared_llama(), pruning(0.1f), p);
    p.n_threads = 2;
    const session_ptr two = prompted(shared_llama(), pruning(0.1f), p);
    EXPECT_TRUE(run(one.get()) == run(two.get()));
}

TEST(Pruning, GoesOnTheSameAfterSaveLoadAndFork) {
    for (const int32_t shadow : { -1, 100, 0 }) {
        SCOPED_TRACE(shadow);
        llmm_prune_params prune = keeping(0.4f);
        prune.max_shadow_tokens = shadow;
        const session_ptr s = prompted(shared_llama(), prune);
        run(s.get(), 21);
        const std::string file = temp_path("pruned.session");
        ASSERT_OK(llmm_session_save(s.get(), file.c_str()));
        llmm_session * raw = nullptr;
        ASSERT_OK(llmm_session_fork(s.get(), &raw));
        const session_ptr fork(raw);
        const session_ptr loaded = open_pruned(shared_llama(), prune);
        ASSERT_OK(llmm_session_load(loaded.get(), file.c_str()));
        const auto expected = run(s.get(), 40, 7);
        EXPECT_TRUE(expected == run(fork.get(), 40, 7));
        EXPECT_TRUE(expected == run(loaded.get(), 40, 7));
        const llmm_stats a = stats(s.get()), b = stats(loaded.get());
        EXPECT_NEAR(a.prune_active_tokens, b.prune_active_tokens, 1e-6);
        EXPECT_NEAR(a.prune_shadow_tokens, b.prune_shadow_tokens, 1e-6);
        EXPECT_NEAR(a.prune_dropped_tokens, b.prune_dropped_tokens, 1e-6);
        // A session without pruning reads such a file too.
        const session_ptr plain = open_session(shared_llama(), paged(16, true));
        ASSERT_OK(llmm_session_load(plain.get(), file.c_str()));
        run(plain.get(), 3);
    }
}

TEST(Pruning, TheShadowSetIsBounded) {
    for (const int32_t shadow : { 0, 64 }) {
        llmm_prune_params prune = keeping(0.3f);
        prune.max_shadow_tokens = shadow;
        const session_ptr s = prompted(shared_llama(), prune);
        for (int32_t i = 0; i < n_steps; i++) {
            run(s.get(), 1, 100 + i);
            ASSERT_LE(stats(s.get()).prune_shadow_tokens, shadow + 1e-6);
        }
        const llmm_stats q = stats(s.get());
        EXPECT_GT(q.prune_dropped_tokens + q.kv_pages_evicted, 0);
        // What is dropped is not read by prompts either.
        eval(s.get(), random_tokens(20, 9));
        const std::vector<float> after = logits_of(s.get(), n_vocab);
        const session_ptr whole = open_session(shared_llama(), paged(16, true));
        eval(whole.get(), history(s.get()));
        EXPECT_FALSE(same_bits(after, logits_of(whole.get(), n_vocab)));
    }
}

TEST(Pruning, WithoutAShadowTheTargetIsStillThatOfTheWholeText) {
    llmm_prune_params prune = keeping(0.5f);
    prune.max_shadow_tokens = 0;
    prune.record = 1;
    const session_ptr s = prompted(shared_llama(), prune);
    run(s.get());
    EXPECT_NEAR(0.5, stats(s.get()).prune_active_tokens / (n_prompt + n_steps), 0.1);
    bool dropped = false;
    for (const llmm_prune_event & e : events_of(s.get())) {
        dropped = dropped || e.kind == LLMM_PRUNE_DROPPED;
    }
    EXPECT_TRUE(dropped);
}

TEST(Pruning, PagesThatAllHeadsDropGiveTheirMemoryBack) {
    for (const int32_t policy : { LLMM_PRUNE_ATTENTION, LLMM_PRUNE_RECENCY }) {
        llmm_prune_params prune = keeping(0);
        prune.max_shadow_tokens = 0;
        prune.policy = policy;
        const session_ptr s = prompted(shared_llama(), prune);
        const int32_t before = stats(s.get()).kv_pages_f16 + stats(s.get()).kv_pages_q4;
        run(s.get());
        const llmm_stats q = stats(s.get());
        EXPECT_LT(q.kv_pages_f16 + q.kv_pages_q4, before - 5);
        EXPECT_GT(q.kv_pages_evicted, 5);
        // The session goes on, back and anew.
        ASSERT_OK(llmm_session_rewind(s.get(), 100));
        run(s.get(), 10);
        ASSERT_OK(llmm_session_rewind(s.get(), 0));
        eval(s.get(), random_tokens(n_prompt, 1));
        const session_ptr fresh = prompted(shared_llama(), prune);
        EXPECT_TRUE(run(fresh.get(), 20) == run(s.get(), 20));
    }
}

TEST(Pruning, SwitchesWhileASessionRuns) {
    const session_ptr s = prompted(shared_llama(), pruning(0.1f));
    run(s.get(), 20);
    EXPECT_GT(stats(s.get()).prune_shadow_tokens, 0);
    ASSERT_OK(llmm_session_set_pruning(s.get(), nullptr));
    run(s.get(), 1);
    EXPECT_EQ(0, stats(s.get()).prune_shadow_tokens);
    const int64_t steps = stats(s.get()).prune_steps;
    run(s.get(), 5);
    EXPECT_EQ(steps, stats(s.get()).prune_steps);
    const llmm_prune_params again = keeping(0.5f);
    ASSERT_OK(llmm_session_set_pruning(s.get(), &again));
    run(s.get(), 20);
    EXPECT_GT(stats(s.get()).prune_shadow_tokens, 0);
}

TEST(Pruning, TheLastTurnStays) {
    const session_ptr s = prompted(shared_llama(), keeping(0));
    run(s.get(), 20);
    const int32_t begin = n_prompt + 20;
    eval(s.get(), random_tokens(48, 5));
    run(s.get(), n_steps);
    int32_t in_turn = 0;
    for (const llmm_prune_page & p : pages_of(s.get())) {
        if (p.last_pos >= begin && p.first_pos < begin + 48) {
            EXPECT_EQ(1.0f, p.active_share) << "from " << p.first_pos;
            in_turn++;
        }
    }
    EXPECT_GE(in_turn, 3);
    EXPECT_GT(stats(s.get()).prune_shadow_tokens, 200) << "while the rest goes";
}

TEST(Pruning, RewindingForgetsWhatWasLearned) {
    const session_ptr a = prompted(shared_llama(), pruning(0.1f));
    run(a.get());
    ASSERT_OK(llmm_session_rewind(a.get(), 250));
    for (const llmm_prune_page & p : pages_of(a.get())) {
        EXPECT_LT(p.last_pos, 250);
        EXPECT_LE(p.first_pos, p.last_pos);
    }
    run(a.get(), 20);
    EXPECT_NEAR(270, cached_tokens(stats(a.get())), 0.01);
}

TEST(Pruning, TellsWhatItDid) {
    llmm_prune_params prune = keeping(0.4f);
    prune.record = 1;
    const session_ptr s = prompted(shared_llama(), prune);
    run(s.get());
    const auto events = events_of(s.get());
    ASSERT_FALSE(events.empty());
    for (const llmm_prune_event & e : events) {
        EXPECT_GE(e.position, n_prompt);
        EXPECT_LT(e.position, n_prompt + n_steps);
        EXPECT_EQ(16, e.last_pos - e.first_pos + 1);
        EXPECT_EQ(e.kind == LLMM_PRUNE_RECALLED, e.active_share > 0.5f);
    }
    EXPECT_TRUE(events_of(s.get()).empty()) << "each is told once";
    double importance = 0, active = 0;
    int32_t next = 0;
    for (const llmm_prune_page & p : pages_of(s.get())) {
        EXPECT_EQ(next, p.first_pos);
        next = p.last_pos + 1;
        importance += p.importance;
        active += p.active_share;
    }
    EXPECT_EQ(n_prompt + n_steps, next);
    EXPECT_NEAR(1.0, importance, 0.3) << "shares of attention";
    EXPECT_LT(active, 0.7 * next / 16);
}

TEST(Pruning, GoesWithSpillingAndEviction) {
    llmm_session_params p = paged(16, true);
    const std::string folder = temp_path("pruned-spill");
    p.kv_spill_dir = folder.c_str();
    const kv_need need = need_of(shared_llama(), p, n_prompt);
    p.kv_budget_bytes = need.empty + (need.full - need.empty) / 2;
    const session_ptr spilling = prompted(shared_llama(), keeping(0.4f), p);
    const session_ptr resident = prompted(shared_llama(), keeping(0.4f));
    EXPECT_TRUE(run(resident.get()) == run(spilling.get()));
    EXPECT_GT(stats(spilling.get()).kv_spills, 0);
    EXPECT_NEAR(n_prompt + n_steps, cached_tokens(stats(spilling.get())), 0.01);
    p.kv_spill_dir = nullptr;
    p.kv_evict = 1;
    const session_ptr evicting = prompted(shared_llama(), keeping(0.4f), p);
    run(evicting.get(), 200);
    const llmm_stats q = stats(evicting.get());
    EXPECT_LE(q.kv_peak_bytes, p.kv_budget_bytes);
    EXPECT_GT(q.prune_shadow_tokens, 0);
}

TEST(Pruning, PerplexityByDecoding) {
    llmm_perplexity_params pp;
    llmm_perplexity_params_init(&pp);
    EXPECT_EQ(0, pp.n_decode);
    const token_list text = random_tokens(700, 3);
    const auto measure = [&](llmm_session * s) {
        llmm_perplexity_result r{};
        r.struct_size = sizeof(r);
        EXPECT_OK(llmm_session_perplexity(s, text.data(), (int32_t) text.size(), &pp, &r));
        return r;
    };
    pp.n_ctx = 300;
    pp.n_decode = 40;
    const session_ptr dense = open_session(shared_llama(), paged(16, true));
    const std::string file = temp_path("decode-logprobs");
    pp.save_path = file.c_str();
    const llmm_perplexity_result a = measure(dense.get());
    EXPECT_EQ(2 * 40, a.n_scored);
    pp.save_path = nullptr;
    pp.against_path = file.c_str();
    EXPECT_NEAR(0, measure(dense.get()).kl_mean, 1e-6);
    const session_ptr pruned = open_pruned(shared_llama(), keeping(0.2f));
    EXPECT_GT(measure(pruned.get()).kl_mean, 1e-6) << "decoding prunes, and that is what is scored";
    pp.n_decode = 300;
    llmm_perplexity_result r{};
    r.struct_size = sizeof(r);
    EXPECT_EQ(LLMM_ERR_RANGE, llmm_session_perplexity(dense.get(), text.data(), (int32_t) text.size(), &pp, &r));
}

}  // namespace llmm_test
