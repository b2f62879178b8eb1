// Arguments that make no sense, for every function: null, negative sizes, wrong struct sizes.
#include "test_support.h"

#include <cstddef>
#include <cstring>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();

class Arguments : public ::testing::Test {
protected:
    void SetUp() override {
        session_ = new_session(shared_llama());
        sampler_ = new_sampler(shared_llama(), "{\"temperature\":0,\"ignore_eos\":true}");
        eval(session_.get(), tokens_);
    }

    // Nothing that was refused has changed the session.
    void TearDown() override { EXPECT_EQ(tokens_, history(session_.get())); }

    session_ptr session_;
    sampler_ptr sampler_;
    token_list  tokens_ = random_tokens(8, 1);
};

TEST_F(Arguments, InitFunctionsIgnoreNull) {
    llmm_model_params_init(nullptr);
    llmm_session_params_init(nullptr);
    llmm_generate_params_init(nullptr);
    llmm_perplexity_params_init(nullptr);
}

TEST_F(Arguments, FreeingNullIsFine) {
    llmm_buffer_free(nullptr);
    llmm_model_close(nullptr);
    llmm_adapter_close(nullptr);
    llmm_sampler_free(nullptr);
    llmm_session_close(nullptr);
}

TEST_F(Arguments, PlainValuesOfNullHandles) {
    EXPECT_EQ(0, llmm_session_n_tokens(nullptr));
    EXPECT_EQ(0, llmm_session_n_ctx(nullptr));
    EXPECT_EQ(0u, llmm_sampler_seed(nullptr));
}

TEST_F(Arguments, ModelFunctions) {
    const std::string path = shared_path(tiny_arch::llama);
    llmm_model * model = nullptr;
    llmm_buffer * buffer = nullptr;
    llmm_adapter * adapter = nullptr;
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_model_open(nullptr, nullptr, &model));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_model_open("", nullptr, &model));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_model_open(path.c_str(), nullptr, nullptr));
    EXPECT_STATUS(LLMM_ERR_ENCODING, llmm_model_open("/tmp/\xFF.gguf", nullptr, &model));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_model_info(nullptr, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_model_info(shared_llama(), nullptr));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_gguf_inspect(nullptr, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_gguf_inspect("", &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_gguf_inspect(path.c_str(), nullptr));
    EXPECT_STATUS(LLMM_ERR_ENCODING, llmm_gguf_inspect("\xC3(.gguf", &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_adapter_open(nullptr, "x", nullptr, &adapter));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_adapter_open(shared_llama(), nullptr, nullptr, &adapter));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_adapter_open(shared_llama(), "", nullptr, &adapter));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_adapter_open(shared_llama(), "x", nullptr, nullptr));
    EXPECT_STATUS(LLMM_ERR_ENCODING, llmm_adapter_open(shared_llama(), "\xFF", nullptr, &adapter));
    EXPECT_EQ(nullptr, model);
    EXPECT_EQ(nullptr, buffer);
    EXPECT_EQ(nullptr, adapter);
}

TEST_F(Arguments, TextFunctions) {
    llmm_buffer * buffer = nullptr;
    const int32_t token = 300;
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_tokenize(nullptr, "x", 1, 0, 0, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_tokenize(shared_llama(), nullptr, 1, 0, 0, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_tokenize(shared_llama(), "x", 1, 0, 0, nullptr));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_detokenize(nullptr, &token, 1, 0, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_detokenize(shared_llama(), nullptr, 1, 0, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_detokenize(shared_llama(), &token, 1, 0, nullptr));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_chat_render(nullptr, "{}", 2, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_chat_render(shared_llama(), nullptr, 2, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_chat_render(shared_llama(), "{}", 2, nullptr));
    EXPECT_EQ(nullptr, buffer);
}

TEST_F(Arguments, SamplerFunctions) {
    llmm_sampler * sampler = nullptr;
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_sampler_new(nullptr, "{}", 2, &sampler));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_sampler_new(shared_llama(), "{}", 2, nullptr));
    EXPECT_EQ(nullptr, sampler);
}

TEST_F(Arguments, SessionFunctionsWithoutASession) {
    llmm_session * session = nullptr;
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_new(nullptr, nullptr, &session));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_new(shared_llama(), nullptr, nullptr));
    EXPECT_EQ(nullptr, session);
    std::vector<float> floats(static_cast<size_t>(n_vocab));
    std::vector<int32_t> ids(8);
    llmm_buffer * buffer = nullptr;
    llmm_token_result token = {};
    token.struct_size = sizeof(token);
    llmm_generate_result generated = {};
    generated.struct_size = sizeof(generated);
    llmm_perplexity_result perplexity = {};
    perplexity.struct_size = sizeof(perplexity);
    llmm_stats stats = {};
    stats.struct_size = sizeof(stats);
    const llmm_status statuses[] = {
        llmm_session_set_threads(nullptr, 1, 1),
        llmm_session_set_adapters(nullptr, nullptr, nullptr, 0),
        llmm_session_tokens(nullptr, &buffer),
        llmm_session_eval(nullptr, tokens_.data(), 8, nullptr, nullptr),
        llmm_session_prefill(nullptr, tokens_.data(), 8, nullptr, nullptr, nullptr),
        llmm_session_rewind(nullptr, 0),
        llmm_session_decode(nullptr, sampler_.get(), &token),
        llmm_session_generate(nullptr, sampler_.get(), nullptr, &generated),
        llmm_session_logits(nullptr, floats.data(), n_vocab),
        llmm_session_top_logprobs(nullptr, 3, ids.data(), floats.data()),
        llmm_session_embed(nullptr, tokens_.data(), 8, LLMM_POOLING_MEAN, 0, floats.data(), 64),
        llmm_session_perplexity(nullptr, tokens_.data(), 8, nullptr, &perplexity),
        llmm_session_save(nullptr, "x"),
        llmm_session_load(nullptr, "x"),
        llmm_session_stats(nullptr, &stats),
        llmm_session_stats_reset(nullptr),
    };
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, statuses[i]) << i;
    }
}

TEST_F(Arguments, SessionFunctionsWithoutTheirPointers) {
    llmm_session * s = session_.get();
    std::vector<float> floats(static_cast<size_t>(n_vocab));
    std::vector<int32_t> ids(8);
    llmm_token_result token = {};
    token.struct_size = sizeof(token);
    llmm_generate_result generated = {};
    generated.struct_size = sizeof(generated);
    llmm_perplexity_result perplexity = {};
    perplexity.struct_size = sizeof(perplexity);
    const token_list text = random_tokens(1024, 1);
    const llmm_status statuses[] = {
        llmm_session_tokens(s, nullptr),
        llmm_session_eval(s, nullptr, 8, nullptr, nullptr),
        llmm_session_prefill(s, nullptr, 8, nullptr, nullptr, nullptr),
        llmm_session_decode(s, nullptr, &token),
        llmm_session_decode(s, sampler_.get(), nullptr),
        llmm_session_generate(s, nullptr, nullptr, &generated),
        llmm_session_generate(s, sampler_.get(), nullptr, nullptr),
        llmm_session_logits(s, nullptr, n_vocab),
        llmm_session_top_logprobs(s, 3, nullptr, floats.data()),
        llmm_session_top_logprobs(s, 3, ids.data(), nullptr),
        llmm_session_embed(s, nullptr, 8, LLMM_POOLING_MEAN, 0, floats.data(), 64),
        llmm_session_embed(s, tokens_.data(), 8, LLMM_POOLING_MEAN, 0, nullptr, 64),
        llmm_session_perplexity(s, nullptr, 1024, nullptr, &perplexity),
        llmm_session_perplexity(s, text.data(), 1024, nullptr, nullptr),
        llmm_session_save(s, nullptr),
        llmm_session_save(s, ""),
        llmm_session_load(s, nullptr),
        llmm_session_load(s, ""),
        llmm_session_stats(s, nullptr),
    };
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, statuses[i]) << i;
    }
    EXPECT_STATUS(LLMM_ERR_ENCODING, llmm_session_save(s, "/tmp/\xFF"));
    EXPECT_STATUS(LLMM_ERR_ENCODING, llmm_session_load(s, "/tmp/\xFF"));
    llmm_perplexity_params params;
    llmm_perplexity_params_init(&params);
    params.save_path = "\xFF";
    EXPECT_STATUS(LLMM_ERR_ENCODING, llmm_session_perplexity(s, text.data(), 1024, &params, &perplexity));
}

TEST_F(Arguments, NegativeCounts) {
    llmm_session * s = session_.get();
    llmm_buffer * buffer = nullptr;
    llmm_perplexity_result perplexity = {};
    perplexity.struct_size = sizeof(perplexity);
    std::vector<float> floats(64);
    for (const int32_t n : {-1, INT32_MIN}) {
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_detokenize(shared_llama(), tokens_.data(), n, 0, &buffer));
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_eval(s, tokens_.data(), n, nullptr, nullptr));
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_prefill(s, tokens_.data(), n, nullptr, nullptr, nullptr));
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_embed(s, tokens_.data(), n, LLMM_POOLING_MEAN, 0, floats.data(), 64));
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_perplexity(s, tokens_.data(), n, nullptr, &perplexity));
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_set_threads(s, n, 0));
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_set_threads(s, 0, n));
    }
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_set_threads(s, INT32_MAX, 0));
}

// ---- struct sizes ---------------------------------------------------------------------------------------------

// A struct with room for fields of a later version.
template <typename T>
struct extended {
    T       base;
    uint8_t later[16];
};

// Runs `call` with the rules for structs that go in: shorter and zero-extended accepted, nonsense refused.
template <typename T, typename call_fn>
void check_input_sizes(void (*init)(T *), uint32_t shorter, call_fn call) {
    extended<T> e = {};
    init(&e.base);
    EXPECT_OK(call(&e.base));
    e.base.struct_size = shorter;
    EXPECT_OK(call(&e.base)) << "an older caller";
    e.base.struct_size = sizeof(e);
    EXPECT_OK(call(&e.base)) << "a later caller that uses nothing new";
    for (size_t i = 0; i < sizeof(e.later); i++) {
        std::memset(e.later, 0, sizeof(e.later));
        e.later[i] = 1;
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, call(&e.base)) << "surplus byte " << i;
    }
    for (const uint32_t size : {0u, 1u, 3u}) {
        e.base.struct_size = size;
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, call(&e.base));
    }
}

TEST_F(Arguments, SizesOfModelParams) {
    check_input_sizes<llmm_model_params>(llmm_model_params_init, offsetof(llmm_model_params, check_tensors),
                                         [](const llmm_model_params * params) {
        llmm_model * model = nullptr;
        const llmm_status status = llmm_model_open(shared_path(tiny_arch::llama).c_str(), params, &model);
        llmm_model_close(model);
        return status;
    });
}

TEST_F(Arguments, SizesOfSessionParams) {
    check_input_sizes<llmm_session_params>(llmm_session_params_init, offsetof(llmm_session_params, n_threads),
                                           [](const llmm_session_params * params) {
        llmm_session * session = nullptr;
        const llmm_status status = llmm_session_new(shared_llama(), params, &session);
        llmm_session_close(session);
        return status;
    });
}

TEST_F(Arguments, SizesOfGenerateParams) {
    check_input_sizes<llmm_generate_params>(llmm_generate_params_init, offsetof(llmm_generate_params, logprobs),
                                            [this](llmm_generate_params * params) {
        params->max_tokens = 1;
        llmm_generate_result result = {};
        result.struct_size = sizeof(result);
        const llmm_status status = llmm_session_generate(session_.get(), sampler_.get(), params, &result);
        require_ok(llmm_session_rewind(session_.get(), int32_t(tokens_.size())));
        return status;
    });
}

TEST_F(Arguments, SizesOfPerplexityParams) {
    const session_ptr session = new_session(shared_llama());
    const token_list text = random_tokens(200, 1);
    check_input_sizes<llmm_perplexity_params>(llmm_perplexity_params_init, offsetof(llmm_perplexity_params, save_path),
                                              [&](llmm_perplexity_params * params) {
        params->n_ctx = 32;
        llmm_perplexity_result result = {};
        result.struct_size = sizeof(result);
        return llmm_session_perplexity(session.get(), text.data(), 200, params, &result);
    });
}

TEST_F(Arguments, MissingFieldsOfAShorterStructTakeTheirDefaults) {
    // Behind the shorter size stand values that would be errors.
    llmm_session_params params;
    llmm_session_params_init(&params);
    params.n_ctx           = 256;
    params.n_batch         = -7;
    params.n_threads       = -7;
    params.flash_attention = 77;
    params.struct_size     = offsetof(llmm_session_params, n_batch);
    llmm_session * session = nullptr;
    ASSERT_OK(llmm_session_new(shared_llama(), &params, &session));
    EXPECT_EQ(256, llmm_session_n_ctx(session_ptr(session).get()));
}

// Structs that come out: a shorter one is filled as far as it goes.
TEST_F(Arguments, ShorterResultsAreFilledAsFarAsTheyGo) {
    llmm_stats stats;
    std::memset(&stats, 0xAB, sizeof(stats));
    stats.struct_size = offsetof(llmm_stats, n_threads);
    ASSERT_OK(llmm_session_stats(session_.get(), &stats));
    EXPECT_EQ(offsetof(llmm_stats, n_threads), stats.struct_size);
    EXPECT_EQ(512, stats.n_ctx);
    EXPECT_EQ(8, stats.n_tokens);
    const uint8_t * bytes = reinterpret_cast<const uint8_t *>(&stats);
    for (size_t i = offsetof(llmm_stats, n_threads); i < sizeof(stats); i++) {
        ASSERT_EQ(0xAB, bytes[i]) << "byte " << i << " lies beyond the caller's struct";
    }

    llmm_token_result token;
    std::memset(&token, 0xAB, sizeof(token));
    token.struct_size = offsetof(llmm_token_result, is_end);
    ASSERT_OK(llmm_session_decode(session_.get(), sampler_.get(), &token));
    EXPECT_EQ(history(session_.get()).back(), token.token);
    EXPECT_EQ(int32_t(0xABABABABu), token.is_end);
    ASSERT_OK(llmm_session_rewind(session_.get(), 8));
}

TEST_F(Arguments, ResultsWithoutASizeAreRefusedBeforeTheWork) {
    for (const uint32_t size : {0u, 1u, 3u}) {
        llmm_token_result token = {};
        token.struct_size = size;
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_decode(session_.get(), sampler_.get(), &token));
        llmm_generate_result generated = {};
        generated.struct_size = size;
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_generate(session_.get(), sampler_.get(), nullptr, &generated));
        llmm_stats stats = {};
        stats.struct_size = size;
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_stats(session_.get(), &stats));
        llmm_perplexity_result perplexity = {};
        perplexity.struct_size = size;
        const token_list text = random_tokens(1024, 1);
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT,
                      llmm_session_perplexity(session_.get(), text.data(), 1024, nullptr, &perplexity));
        EXPECT_EQ(8, llmm_session_n_tokens(session_.get()));
    }
}

TEST_F(Arguments, ResultsAreNotWrittenOnFailure) {
    llmm_token_result token;
    std::memset(&token, 0xAB, sizeof(token));
    token.struct_size = sizeof(token);
    const session_ptr empty = new_session(shared_llama());
    EXPECT_STATUS(LLMM_ERR_NO_LOGITS, llmm_session_decode(empty.get(), sampler_.get(), &token));
    EXPECT_EQ(int32_t(0xABABABABu), token.token);
    llmm_generate_result generated;
    std::memset(&generated, 0xAB, sizeof(generated));
    generated.struct_size = sizeof(generated);
    EXPECT_STATUS(LLMM_ERR_NO_LOGITS, llmm_session_generate(empty.get(), sampler_.get(), nullptr, &generated));
    EXPECT_EQ(int32_t(0xABABABABu), generated.n_tokens);
}

}  // namespace
}  // namespace llmm_test
