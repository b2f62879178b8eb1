// Perplexity against a plain computation from the logits, and comparison with a saved run.
#include "test_support.h"

#include <cmath>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();

llmm_perplexity_params params_of(int32_t n_ctx) {
    llmm_perplexity_params params;
    llmm_perplexity_params_init(&params);
    params.n_ctx = n_ctx;
    return params;
}

llmm_status try_run(const session_ptr & session, const token_list & tokens, const llmm_perplexity_params & params,
                    llmm_perplexity_result * out = nullptr) {
    llmm_perplexity_result result = {};
    result.struct_size = sizeof(result);
    const llmm_status status =
        llmm_session_perplexity(session.get(), tokens.data(), int32_t(tokens.size()), &params, &result);
    if (out) {
        *out = result;
    }
    return status;
}

llmm_perplexity_result run(llmm_model * model, const token_list & tokens, const llmm_perplexity_params & params) {
    llmm_perplexity_result result = {};
    require_ok(try_run(new_session(model), tokens, params, &result));
    return result;
}

struct reference {
    int32_t n_scored   = 0;
    double  perplexity = 0.0;
    double  error      = 0.0;
};

// Windows side by side, BOS first, the second half scored: token by token, in f64.
reference compute(llmm_model * model, const token_list & tokens, int32_t window, int32_t n_chunks, bool bos) {
    double sum  = 0.0;
    double sum2 = 0.0;
    reference r;
    for (int32_t c = 0; c < n_chunks; c++) {
        token_list chunk = slice(tokens, c * window, (c + 1) * window);
        const token_list truth = chunk;
        if (bos) {
            chunk[0] = tiny_bos;
        }
        const session_ptr session = new_session(model);
        eval(session.get(), slice(chunk, 0, window / 2));
        for (int32_t i = window / 2; i + 1 < window; i++) {
            eval(session.get(), {chunk[size_t(i)]});
            const double nll = -log_softmax(logits_of(session.get(), n_vocab))[size_t(truth[size_t(i) + 1])];
            sum += nll;
            sum2 += nll * nll;
            r.n_scored++;
        }
    }
    const double mean = sum / r.n_scored;
    r.perplexity = std::exp(mean);
    r.error = r.perplexity * std::sqrt((sum2 / r.n_scored - mean * mean) / (r.n_scored - 1));
    return r;
}

TEST(PerplexityParams, DefaultsAreThoseOfTheHeader) {
    llmm_perplexity_params params;
    llmm_perplexity_params_init(&params);
    EXPECT_EQ(sizeof(params), params.struct_size);
    EXPECT_EQ(0, params.n_ctx);
    EXPECT_EQ(-1, params.n_chunks);
    EXPECT_EQ(nullptr, params.save_path);
    EXPECT_EQ(nullptr, params.against_path);
    EXPECT_EQ(nullptr, params.progress);
    EXPECT_EQ(nullptr, params.progress_data);
}

// The plain computation takes one step for each token.
double tolerance() {
    return sums_in_half() ? 9e-4 : 1e-4;
}

TEST(Perplexity, EqualsThePlainComputation) {
    for (const tiny_arch arch : {tiny_arch::llama, tiny_arch::gemma3, tiny_arch::mamba}) {
        for (const int32_t window : {32, 33, 100}) {
            const token_list tokens = random_tokens(3 * window + 7, 1);
            const llmm_perplexity_result result = run(shared_model(arch), tokens, params_of(window));
            const reference expected = compute(shared_model(arch), tokens, window, 3, true);
            EXPECT_EQ(expected.n_scored, result.n_scored);
            EXPECT_NEAR(1.0, result.perplexity / expected.perplexity, tolerance());
            EXPECT_NEAR(1.0, result.stderr_ / expected.error, 10 * tolerance());
            EXPECT_TRUE(std::isnan(result.kl_mean));
            EXPECT_TRUE(std::isnan(result.kl_p99));
            EXPECT_TRUE(std::isnan(result.top1_agreement));
        }
    }
}

TEST(Perplexity, BosIsPutInOnlyWhereTheModelWantsIt) {
    tiny_options o;
    o.add_bos = false;
    const model_ptr model = open_model(tiny_file("perplexity-no-bos", o));
    const token_list tokens = random_tokens(100, 1);
    const double without = compute(model.get(), tokens, 50, 2, false).perplexity;
    const double with    = compute(model.get(), tokens, 50, 2, true).perplexity;
    EXPECT_NEAR(1.0, run(model.get(), tokens, params_of(50)).perplexity / without, tolerance());
    EXPECT_GT(std::fabs(with / without - 1), 1e-3) << "the two can be told apart";
}

TEST(Perplexity, DefaultWindowIsTheSessionsContext) {
    session_options o;
    o.n_ctx = 256;
    const token_list tokens = random_tokens(600, 1);
    llmm_perplexity_result result = {};
    ASSERT_OK(try_run(new_session(shared_llama(), o), tokens, params_of(0), &result));
    EXPECT_EQ(2 * (256 - 1 - 128), result.n_scored);
    EXPECT_NEAR(result.perplexity, run(shared_llama(), tokens, params_of(256)).perplexity, 1e-3 * result.perplexity);
}

TEST(Perplexity, ChunksLimitTheWork) {
    const token_list tokens = random_tokens(500, 1);
    llmm_perplexity_params params = params_of(50);
    params.n_chunks = 3;
    const llmm_perplexity_result result = run(shared_llama(), tokens, params);
    EXPECT_EQ(3 * 24, result.n_scored);
    EXPECT_NEAR(1.0, result.perplexity / compute(shared_llama(), tokens, 50, 3, true).perplexity, 1e-4);
    params.n_chunks = 1000;
    EXPECT_EQ(10 * 24, run(shared_llama(), tokens, params).n_scored);
}

TEST(Perplexity, ForcedTextIsCertain) {
    // Greedy text of the model itself is much less surprising than noise.
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), {tiny_bos});
    const sampler_ptr greedy = new_sampler(shared_llama(), "{\"temperature\":0}");
    const token_list text    = token_list{tiny_bos} + decode(session.get(), greedy.get(), 127);
    EXPECT_LT(run(shared_llama(), text, params_of(64)).perplexity,
              run(shared_llama(), random_tokens(128, 1), params_of(64)).perplexity);
}

TEST(Perplexity, FewerThanTwoWindowsAreRefused) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(10, 1));
    EXPECT_STATUS(LLMM_ERR_RANGE, try_run(session, random_tokens(99, 1), params_of(50)));
    EXPECT_STATUS(LLMM_ERR_RANGE, try_run(session, {}, params_of(50)));
    EXPECT_OK(try_run(session, random_tokens(100, 1), params_of(50)));
}

TEST(Perplexity, ParametersOutOfRange) {
    const session_ptr session = new_session(shared_llama());
    const token_list tokens = random_tokens(200, 1);
    for (const int32_t n_ctx : {-1, 1, INT32_MAX}) {
        EXPECT_STATUS(LLMM_ERR_RANGE, try_run(session, tokens, params_of(n_ctx)));
    }
    llmm_perplexity_params params = params_of(50);
    for (const int32_t n_chunks : {0, -2}) {
        params.n_chunks = n_chunks;
        EXPECT_STATUS(LLMM_ERR_RANGE, try_run(session, tokens, params));
    }
    token_list bad = tokens;
    bad[150] = n_vocab;
    EXPECT_STATUS(LLMM_ERR_RANGE, try_run(session, bad, params_of(50)));
}

TEST(Perplexity, ClearsTheHistoryAndLeavesAUsableSession) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    ASSERT_OK(try_run(session, random_tokens(200, 1), params_of(50)));
    EXPECT_EQ(0, llmm_session_n_tokens(session.get()));
    eval(session.get(), random_tokens(30, 3));
    const session_ptr fresh = new_session(shared_llama());
    eval(fresh.get(), random_tokens(30, 3));
    EXPECT_TRUE(same_bits(logits_of(fresh.get(), n_vocab), logits_of(session.get(), n_vocab)));
}

struct progress_log {
    std::vector<float> values;
    int32_t            cancel_after = -1;
};

int32_t note_progress(float progress, void * user_data) {
    progress_log * log = static_cast<progress_log *>(user_data);
    log->values.push_back(progress);
    return log->cancel_after >= 0 && int32_t(log->values.size()) > log->cancel_after ? 1 : 0;
}

TEST(Perplexity, ProgressRisesAndCanCancel) {
    const session_ptr session = new_session(shared_llama());
    progress_log log;
    llmm_perplexity_params params = params_of(50);
    params.progress      = note_progress;
    params.progress_data = &log;
    const std::string path = temp_path("cancelled.logp");
    params.save_path = path.c_str();
    ASSERT_OK(try_run(session, random_tokens(250, 1), params));
    ASSERT_GE(log.values.size(), 5u);
    for (size_t i = 1; i < log.values.size(); i++) {
        EXPECT_GE(log.values[i], log.values[i - 1]);
    }
    EXPECT_EQ(1.0f, log.values.back());
    const std::string saved = read_file(path);
    log = {};
    log.cancel_after = 2;
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_run(session, random_tokens(250, 2), params));
    EXPECT_EQ(3u, log.values.size());
    EXPECT_EQ(saved, read_file(path)) << "the old file is untouched";
    EXPECT_OK(llmm_session_eval(session.get(), random_tokens(5, 1).data(), 5, nullptr, nullptr));
}

// ---- comparison -----------------------------------------------------------------------------------------------

std::string save_run(const std::string & name, llmm_model * model, const token_list & tokens, int32_t n_ctx) {
    const std::string path = temp_path(name);
    llmm_perplexity_params params = params_of(n_ctx);
    params.save_path = path.c_str();
    run(model, tokens, params);
    return path;
}

TEST(PerplexityComparison, WithItselfIsZero) {
    const token_list tokens = random_tokens(200, 1);
    const std::string path = save_run("self.logp", shared_llama(), tokens, 50);
    llmm_perplexity_params params = params_of(50);
    params.against_path = path.c_str();
    const llmm_perplexity_result result = run(shared_llama(), tokens, params);
    // docs/logprobs-format.md: what the file rounds changes a mean divergence by less than this.
    EXPECT_LT(std::fabs(result.kl_mean), 1e-6);
    EXPECT_LT(result.kl_p99, 1e-5);
    EXPECT_EQ(1.0, result.top1_agreement);
    EXPECT_EQ(run(shared_llama(), tokens, params_of(50)).perplexity, result.perplexity);
}

TEST(PerplexityComparison, EqualsThePlainDivergence) {
    const token_list tokens = random_tokens(100, 1);
    llmm_model * other = shared_model(tiny_arch::llama, tiny_weights::q4_0);
    const std::string path = save_run("base.logp", shared_llama(), tokens, 50);
    llmm_perplexity_params params = params_of(50);
    params.against_path = path.c_str();
    const llmm_perplexity_result result = run(other, tokens, params);

    double kl    = 0.0;
    int    n     = 0;
    int    agree = 0;
    for (int32_t c = 0; c < 2; c++) {
        token_list chunk = slice(tokens, c * 50, c * 50 + 50);
        chunk[0] = tiny_bos;
        for (int32_t i = 25; i < 49; i++) {
            std::vector<double> logp[2];
            std::vector<float> raw[2];
            llmm_model * models[] = {shared_llama(), other};
            for (int m = 0; m < 2; m++) {
                const session_ptr session = new_session(models[m]);
                eval(session.get(), slice(chunk, 0, i + 1));
                raw[m]  = logits_of(session.get(), n_vocab);
                logp[m] = log_softmax(raw[m]);
            }
            for (size_t t = 0; t < logp[0].size(); t++) {
                kl += std::exp(logp[0][t]) * (logp[0][t] - logp[1][t]);
            }
            agree += argmax(raw[0]) == argmax(raw[1]) ? 1 : 0;
            n++;
        }
    }
    EXPECT_EQ(n, result.n_scored);
    EXPECT_GT(result.kl_mean, 1e-4) << "4 bits do change something";
    EXPECT_NEAR(1.0, result.kl_mean / (kl / n), 0.05);
    EXPECT_GE(result.kl_p99, result.kl_mean);
    EXPECT_NEAR(double(agree) / n, result.top1_agreement, 1.5 / n);
}

TEST(PerplexityComparison, OtherTextWindowOrVocabularyIsAMismatch) {
    const token_list tokens = random_tokens(200, 1);
    const std::string path = save_run("mismatch.logp", shared_llama(), tokens, 50);
    const session_ptr session = new_session(shared_llama());
    llmm_perplexity_params params = params_of(50);
    params.against_path = path.c_str();
    EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, try_run(session, random_tokens(200, 2), params));
    params.n_chunks = 2;
    EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, try_run(session, tokens, params));
    params = params_of(40);
    params.against_path = path.c_str();
    EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, try_run(session, tokens, params));
    tiny_options o;
    o.n_extra_tokens = 5;
    const model_ptr other = open_model(tiny_file("perplexity-vocabulary", o));
    params = params_of(50);
    params.against_path = path.c_str();
    EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, try_run(new_session(other.get()), tokens, params));
}

TEST(PerplexityComparison, BrokenFilesAreRefused) {
    const token_list tokens = random_tokens(200, 1);
    const std::string sound = read_file(save_run("to-break.logp", shared_llama(), tokens, 50));
    const std::string path = temp_path("broken.logp");
    const session_ptr session = new_session(shared_llama());
    llmm_perplexity_params params = params_of(50);
    params.against_path = path.c_str();
    EXPECT_STATUS(LLMM_ERR_IO, try_run(session, tokens, params)) << "missing";
    const auto with = [&](const std::string & bytes) {
        write_file(path, bytes);
        return try_run(session, tokens, params);
    };
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, with(""));
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, with("not a file of probabilities"));
    EXPECT_STATUS(LLMM_ERR_STATE_INVALID, with(sound + "x"));
    for (size_t i = 0; i < 16; i++) {
        EXPECT_STATUS(LLMM_ERR_STATE_INVALID, with(sound.substr(0, i * sound.size() / 16))) << "cut " << i;
        std::string flipped = sound;
        flipped[i * sound.size() / 16] = char(flipped[i * sound.size() / 16] ^ 0x20);
        EXPECT_STATUS(LLMM_ERR_STATE_INVALID, with(flipped)) << "flipped " << i;
    }
    for (size_t at = 0; at < 36; at++) {
        std::string flipped = sound;
        flipped[at] = char(flipped[at] ^ 1);
        EXPECT_STATUS(LLMM_ERR_STATE_INVALID, with(flipped)) << "header byte " << at;
    }
    EXPECT_OK(with(sound));
}

TEST(PerplexityComparison, UnwritablePathIsAnIoError) {
    const session_ptr session = new_session(shared_llama());
    const std::string path = temp_path("no/such/folder/x.logp");
    llmm_perplexity_params params = params_of(50);
    params.save_path = path.c_str();
    EXPECT_STATUS(LLMM_ERR_IO, try_run(session, random_tokens(200, 1), params));
}

TEST(PerplexityComparison, MaySaveAndCompareWithTheSamePath) {
    const token_list tokens = random_tokens(200, 1);
    const std::string path = save_run("both.logp", shared_llama(), tokens, 50);
    llmm_perplexity_params params = params_of(50);
    params.save_path    = path.c_str();
    params.against_path = path.c_str();
    EXPECT_EQ(1.0, run(shared_llama(), tokens, params).top1_agreement);
    EXPECT_EQ(1.0, run(shared_llama(), tokens, params).top1_agreement);
}

}  // namespace
}  // namespace llmm_test
