// Counters of a session.
#include "test_support.h"

namespace llmm_test {
namespace {

llmm_stats stats_of(const session_ptr & session) {
    llmm_stats stats = {};
    stats.struct_size = sizeof(stats);
    require_ok(llmm_session_stats(session.get(), &stats));
    return stats;
}

TEST(Stats, CountPromptReusedAndGenerated) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    llmm_stats stats = stats_of(session);
    EXPECT_EQ(30, stats.prompt_tokens);
    EXPECT_EQ(0, stats.reused_tokens);
    EXPECT_EQ(0, stats.generated_tokens);
    EXPECT_EQ(30, stats.n_tokens);

    decode(session.get(), new_sampler(shared_llama(), "{\"temperature\":0}").get(), 10);
    stats = stats_of(session);
    EXPECT_EQ(30, stats.prompt_tokens);
    EXPECT_EQ(10, stats.generated_tokens);
    EXPECT_EQ(40, stats.n_tokens);

    const token_list wanted = slice(history(session.get()), 0, 20) + token_list{300, 301};
    int32_t n_reused = 0;
    ASSERT_OK(llmm_session_prefill(session.get(), wanted.data(), 22, nullptr, nullptr, &n_reused));
    stats = stats_of(session);
    EXPECT_EQ(n_reused, stats.reused_tokens);
    EXPECT_EQ(30 + 22 - n_reused, stats.prompt_tokens);
    EXPECT_EQ(22, stats.n_tokens);
}

TEST(Stats, GenerateCountsLikeDecode) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(5, 1));
    generate_options o;
    o.max_tokens = 12;
    ASSERT_OK(generate(session.get(), new_sampler(shared_llama(), "{\"temperature\":0,\"ignore_eos\":true}").get(), o).status);
    EXPECT_EQ(12, stats_of(session).generated_tokens);
}

TEST(Stats, TimesAreNotNegativeAndGrow) {
    const session_ptr session = new_session(shared_llama());
    llmm_stats last = stats_of(session);
    EXPECT_EQ(0, last.prompt_us);
    EXPECT_EQ(0, last.decode_us);
    EXPECT_EQ(0, last.sample_us);
    const sampler_ptr sampler = new_sampler(shared_llama(), "{\"seed\":1}");
    for (int i = 0; i < 5; i++) {
        eval(session.get(), random_tokens(40, 1));
        decode(session.get(), sampler.get(), 5);
        const llmm_stats now = stats_of(session);
        EXPECT_GT(now.prompt_us, last.prompt_us) << "forty tokens take more than a microsecond";
        EXPECT_GE(now.decode_us, last.decode_us);
        EXPECT_GE(now.sample_us, last.sample_us);
        last = now;
    }
    EXPECT_GT(last.decode_us, 0);
}

TEST(Stats, ResetClearsTheCountersAlone) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    decode(session.get(), new_sampler(shared_llama(), "{\"temperature\":0}").get(), 3);
    const llmm_stats before = stats_of(session);
    ASSERT_OK(llmm_session_stats_reset(session.get()));
    const llmm_stats after = stats_of(session);
    EXPECT_EQ(0, after.prompt_tokens);
    EXPECT_EQ(0, after.reused_tokens);
    EXPECT_EQ(0, after.generated_tokens);
    EXPECT_EQ(0, after.prompt_us);
    EXPECT_EQ(0, after.decode_us);
    EXPECT_EQ(0, after.sample_us);
    EXPECT_EQ(33, after.n_tokens);
    EXPECT_EQ(before.n_ctx, after.n_ctx);
    EXPECT_EQ(before.n_threads, after.n_threads);
    EXPECT_EQ(before.model_bytes, after.model_bytes);
    EXPECT_EQ(before.kv_bytes, after.kv_bytes);
}

TEST(Stats, SizesAreThoseOfModelAndCache) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(5, 1));
    const llmm_stats stats = stats_of(session);
    EXPECT_EQ(512, stats.n_ctx);
    EXPECT_EQ(info_of(shared_llama())["size_bytes"].value, double(stats.model_bytes));
    // Keys and values: 2 layers of 2 heads of 16 values at 2 bytes, for 512 tokens.
    EXPECT_EQ(uint64_t(2 * 2 * 2 * 16 * 2 * 512), stats.kv_bytes);
    EXPECT_GT(stats.compute_bytes, 0u);
    session_options o;
    o.n_ctx = 1024;
    EXPECT_EQ(2 * stats.kv_bytes, stats_of(new_session(shared_llama(), o)).kv_bytes);
}

TEST(Stats, ThreadsAreThoseInForce) {
    llmm_session_params params;
    llmm_session_params_init(&params);
    params.n_threads       = 2;
    params.n_threads_batch = 3;
    llmm_session * raw = nullptr;
    ASSERT_OK(llmm_session_new(shared_llama(), &params, &raw));
    const session_ptr session(raw);
    EXPECT_EQ(2, stats_of(session).n_threads);
    EXPECT_EQ(3, stats_of(session).n_threads_batch);
    ASSERT_OK(llmm_session_set_threads(raw, 1, 0));
    EXPECT_EQ(1, stats_of(session).n_threads);
    EXPECT_EQ(3, stats_of(session).n_threads_batch);
    ASSERT_OK(llmm_session_set_threads(raw, 0, 2));
    EXPECT_EQ(1, stats_of(session).n_threads);
    EXPECT_EQ(2, stats_of(session).n_threads_batch);
}

TEST(Stats, DefaultThreadsAreThePhysicalCores) {
    llmm_session * raw = nullptr;
    ASSERT_OK(llmm_session_new(shared_llama(), nullptr, &raw));
    const session_ptr session(raw);
    EXPECT_EQ(parse_json(llmm_system_info())["physical_cores"].value, double(stats_of(session).n_threads));
    EXPECT_EQ(stats_of(session).n_threads, stats_of(session).n_threads_batch);
}

}  // namespace
}  // namespace llmm_test
