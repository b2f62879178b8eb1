// llmm_session_generate: stop reasons, callbacks, text in whole characters.
#include "test_support.h"

#include <cmath>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();
const char * const greedy_endless = "{\"temperature\":0,\"ignore_eos\":true}";
const char * const random_endless = "{\"temperature\":1.5,\"top_k\":0,\"seed\":3,\"ignore_eos\":true}";

session_ptr session_at(const token_list & prompt, const session_options & options = {}) {
    session_ptr session = new_session(shared_llama(), options);
    eval(session.get(), prompt);
    return session;
}

generation run(const std::string & options, const generate_options & o = {}) {
    const session_ptr session = session_at(random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), options);
    return generate(session.get(), sampler.get(), o);
}

// The rules every callback must keep.
void check_batches(const generation & g, int32_t batch_tokens) {
    for (size_t i = 0; i < g.batches.size(); i++) {
        const generate_batch & b = g.batches[i];
        EXPECT_LE(int32_t(b.tokens.size()), batch_tokens);
        EXPECT_TRUE(is_utf8(b.text)) << quote(b.text);
        if (b.tokens.empty()) {
            EXPECT_EQ(g.batches.size() - 1, i) << "a call without tokens comes at the end alone";
            EXPECT_NE("", b.text) << "and only when it has text";
        }
        int32_t last = 0;
        for (const int32_t end : b.text_ends) {
            EXPECT_GE(end, last);
            EXPECT_LE(end, int32_t(b.text.size()));
            EXPECT_TRUE(is_utf8(b.text.substr(0, size_t(end))));
            last = end;
        }
    }
}

TEST(GenerateParams, DefaultsAreThoseOfTheHeader) {
    llmm_generate_params params;
    llmm_generate_params_init(&params);
    EXPECT_EQ(sizeof(params), params.struct_size);
    EXPECT_EQ(256, params.max_tokens);
    EXPECT_EQ(0, params.logprobs);
    EXPECT_EQ(1, params.batch_tokens);
    EXPECT_EQ(nullptr, params.on_tokens);
    EXPECT_EQ(nullptr, params.on_tokens_data);
    EXPECT_EQ(0, params.draft_tokens);
}

TEST(Generate, NullParamsAreTheDefaults) {
    const session_ptr session = session_at(random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), greedy_endless);
    llmm_generate_result result = {};
    result.struct_size = sizeof(result);
    ASSERT_OK(llmm_session_generate(session.get(), sampler.get(), nullptr, &result));
    EXPECT_EQ(256, result.n_tokens);
    EXPECT_EQ(LLMM_STOP_MAX_TOKENS, result.stop_reason);
    EXPECT_EQ(8 + 256, llmm_session_n_tokens(session.get()));
}

TEST(Generate, MaxTokens) {
    for (const int32_t n : {1, 2, 17, 64}) {
        generate_options o;
        o.max_tokens = n;
        const generation g = run(greedy_endless, o);
        ASSERT_OK(g.status);
        EXPECT_EQ(LLMM_STOP_MAX_TOKENS, g.stop_reason);
        EXPECT_EQ(n, g.n_tokens);
        EXPECT_EQ(size_t(n), g.tokens().size());
        check_batches(g, 1);
    }
}

TEST(Generate, ZeroTokensDoNothing) {
    const session_ptr session = session_at(random_tokens(8, 1));
    const std::vector<float> before = logits_of(session.get(), n_vocab);
    generate_options o;
    o.max_tokens = 0;
    const generation g = generate(session.get(), new_sampler(shared_llama(), greedy_endless).get(), o);
    ASSERT_OK(g.status);
    EXPECT_EQ(0, g.n_tokens);
    EXPECT_EQ(LLMM_STOP_MAX_TOKENS, g.stop_reason);
    EXPECT_TRUE(g.batches.empty());
    EXPECT_EQ(8, llmm_session_n_tokens(session.get()));
    EXPECT_TRUE(same_bits(before, logits_of(session.get(), n_vocab)));
}

TEST(Generate, EqualsDecodeStepByStep) {
    for (const char * options : {greedy_endless, random_endless, "{\"seed\":5,\"mirostat\":2,\"ignore_eos\":true}",
                                 "{\"seed\":5,\"repeat_penalty\":1.3,\"ignore_eos\":true}",
                                 "{\"seed\":5,\"grammar\":\"root ::= [a-z]{40} [a-z]*\",\"ignore_eos\":true}"}) {
        generate_options o;
        o.max_tokens = 40;
        const generation g = run(options, o);
        ASSERT_OK(g.status);
        const session_ptr session = session_at(random_tokens(8, 1));
        EXPECT_EQ(decode(session.get(), new_sampler(shared_llama(), options).get(), 40), g.tokens()) << options;
    }
}

TEST(Generate, LeavesTheSameStateAsDecode) {
    const session_ptr a = session_at(random_tokens(8, 1));
    const session_ptr b = session_at(random_tokens(8, 1));
    generate_options o;
    o.max_tokens = 20;
    ASSERT_OK(generate(a.get(), new_sampler(shared_llama(), greedy_endless).get(), o).status);
    decode(b.get(), new_sampler(shared_llama(), greedy_endless).get(), 20);
    EXPECT_EQ(history(a.get()), history(b.get()));
    EXPECT_TRUE(same_bits(logits_of(a.get(), n_vocab), logits_of(b.get(), n_vocab)));
}

TEST(Generate, ContinuesWhereItStopped) {
    generate_options o;
    o.max_tokens = 30;
    const token_list whole = run(random_endless, o).tokens();
    const session_ptr session = session_at(random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), random_endless);
    token_list parts;
    for (int i = 0; i < 3; i++) {
        o.max_tokens = 10;
        parts = parts + generate(session.get(), sampler.get(), o).tokens();
    }
    EXPECT_EQ(whole, parts);
}

TEST(Generate, EndTokenIsInTheHistoryAlone) {
    for (const int32_t end : {tiny_eos, tiny_im_end}) {
        const session_ptr session = session_at(random_tokens(8, 1));
        const sampler_ptr sampler = new_sampler(
            shared_llama(), "{\"temperature\":0,\"logit_bias\":[{\"token\":" + std::to_string(end) + ",\"bias\":1000}]}");
        const generation g = generate(session.get(), sampler.get());
        ASSERT_OK(g.status);
        EXPECT_EQ(LLMM_STOP_END, g.stop_reason);
        EXPECT_EQ(1, g.n_tokens) << "the end token counts";
        EXPECT_TRUE(g.tokens().empty());
        EXPECT_EQ("", g.text());
        EXPECT_EQ(end, history(session.get()).back());
        EXPECT_EQ(9, llmm_session_n_tokens(session.get()));
    }
}

TEST(Decode, TellsTheEndToken) {
    const session_ptr session = session_at(random_tokens(8, 1));
    llmm_token_result result = {};
    result.struct_size = sizeof(result);
    ASSERT_OK(llmm_session_decode(session.get(), new_sampler(shared_llama(), greedy_endless).get(), &result));
    EXPECT_EQ(0, result.is_end);
    EXPECT_EQ(history(session.get()).back(), result.token);
    const sampler_ptr ending =
        new_sampler(shared_llama(), "{\"logit_bias\":[{\"token\":" + std::to_string(tiny_eos) + ",\"bias\":1000}]}");
    ASSERT_OK(llmm_session_decode(session.get(), ending.get(), &result));
    EXPECT_EQ(tiny_eos, result.token);
    EXPECT_EQ(1, result.is_end);
    EXPECT_EQ(tiny_eos, history(session.get()).back());
}

TEST(Generate, IgnoreEosNeverEnds) {
    generate_options o;
    o.max_tokens = 300;
    const generation g = run("{\"temperature\":3,\"top_k\":0,\"top_p\":1,\"min_p\":0,\"seed\":1,\"ignore_eos\":true}", o);
    ASSERT_OK(g.status);
    EXPECT_EQ(LLMM_STOP_MAX_TOKENS, g.stop_reason);
    for (const int32_t token : g.tokens()) {
        EXPECT_NE(tiny_eos, token);
        EXPECT_NE(tiny_im_end, token);
    }
}

TEST(Generate, LogprobsAreThoseOfTheModel) {
    generate_options o;
    o.max_tokens = 20;
    o.logprobs   = 1;
    const generation g = run(random_endless, o);
    ASSERT_OK(g.status);
    ASSERT_EQ(20u, g.logprobs().size());
    // The reference: the same tokens one by one, with the logits read before each.
    const session_ptr session = session_at(random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), random_endless);
    for (size_t i = 0; i < 20; i++) {
        const std::vector<double> logp = log_softmax(logits_of(session.get(), n_vocab));
        llmm_token_result result = {};
        result.struct_size = sizeof(result);
        ASSERT_OK(llmm_session_decode(session.get(), sampler.get(), &result));
        ASSERT_EQ(g.tokens()[i], result.token);
        EXPECT_NEAR(logp[size_t(result.token)], g.logprobs()[i], 1e-4);
        EXPECT_NEAR(logp[size_t(result.token)], result.logprob, 1e-4);
    }
}

TEST(Generate, LogprobsAreNullUnlessAskedFor) {
    for (const generate_batch & b : run(greedy_endless).batches) {
        EXPECT_FALSE(b.has_logprobs);
    }
}

TEST(Generate, BatchesHoldUpToTheAskedNumber) {
    generate_options o;
    o.max_tokens = 50;
    const generation single = run(greedy_endless, o);
    for (const int32_t n : {1, 2, 7, 50, 64}) {
        o.batch_tokens = n;
        const generation g = run(greedy_endless, o);
        ASSERT_OK(g.status);
        check_batches(g, n);
        EXPECT_EQ(single.tokens(), g.tokens());
        EXPECT_EQ(single.text(), g.text());
        size_t n_calls = 0;
        for (const generate_batch & b : g.batches) {
            n_calls += b.tokens.empty() ? 0 : 1;
        }
        EXPECT_EQ(size_t((50 + n - 1) / n), n_calls);
    }
}

TEST(Generate, TextEndsBelongToTheirTokens) {
    // Forced text of single-byte tokens: after token i the text has at most its first characters.
    generate_options o;
    o.batch_tokens = 64;
    const session_ptr session = session_at(random_tokens(8, 1));
    const generation g = generate(session.get(), new_sampler(shared_llama(), forced_text("xqzvkj")).get(), o);
    ASSERT_OK(g.status);
    ASSERT_EQ(1u, g.batches.size());
    const generate_batch & b = g.batches[0];
    ASSERT_EQ(b.tokens.size(), b.text_ends.size());
    for (size_t i = 0; i < b.tokens.size(); i++) {
        EXPECT_EQ(detokenize(shared_llama(), slice(b.tokens, 0, int32_t(i) + 1)), b.text.substr(0, size_t(b.text_ends[i])));
    }
}

TEST(Generate, TextIsThatOfTheTokens) {
    for (uint64_t seed = 0; seed < 10; seed++) {
        const session_ptr session = session_at(random_tokens(8, seed));
        const sampler_ptr sampler = new_sampler(shared_llama(), random_endless);
        generate_options o;
        o.max_tokens   = 200;
        o.batch_tokens = int32_t(1 + seed * 6);
        const generation g = generate(session.get(), sampler.get(), o);
        ASSERT_OK(g.status);
        check_batches(g, o.batch_tokens);
        // The model emits many lone bytes: their replacement must be the same on both ways.
        EXPECT_EQ(detokenize(shared_llama(), g.tokens()), g.text());
    }
}

TEST(Generate, CharactersOfManyTokensComeOutWhole) {
    for (const std::string & text : {std::string("\xF0\x9F\x98\x80"), std::string("a\xF0\x9F\x98\x80z"),
                                     std::string("\xF0\x9F\x98\x80\xF0\x9F\x8E\x89\xE2\x82\xAC"),
                                     std::string("\xC2\xA3\xC2\xA3")}) {
        for (const int32_t batch : {1, 2, 3, 64}) {
            const session_ptr session = session_at(random_tokens(8, 1));
            generate_options o;
            o.batch_tokens = batch;
            const generation g = generate(session.get(), new_sampler(shared_llama(), forced_text(text)).get(), o);
            ASSERT_OK(g.status);
            EXPECT_GT(g.n_tokens, 3);
            check_batches(g, batch);
            EXPECT_EQ(text, g.text());
        }
    }
}

TEST(Generate, CutWithinACharacterStillGivesValidText) {
    for (int32_t n = 1; n <= 4; n++) {
        const session_ptr session = session_at(random_tokens(8, 1));
        generate_options o;
        o.max_tokens = n;
        const generation g = generate(session.get(), new_sampler(shared_llama(), forced_text("\xF0\x9F\x98\x80")).get(), o);
        ASSERT_OK(g.status);
        check_batches(g, 1);
        EXPECT_EQ(n, int32_t(g.tokens().size()));
        EXPECT_EQ(detokenize(shared_llama(), g.tokens()), g.text());
    }
}

TEST(Generate, ContextFullIsAStopReason) {
    for (const int32_t max_tokens : {-1, 100000}) {
        session_options so;
        so.n_ctx = 256;
        const session_ptr session = session_at(random_tokens(200, 1), so);
        ASSERT_EQ(256, llmm_session_n_ctx(session.get()));
        generate_options o;
        o.max_tokens   = max_tokens;
        o.batch_tokens = 16;
        const sampler_ptr sampler = new_sampler(shared_llama(), greedy_endless);
        const generation g = generate(session.get(), sampler.get(), o);
        ASSERT_OK(g.status);
        EXPECT_EQ(LLMM_STOP_CONTEXT_FULL, g.stop_reason);
        EXPECT_EQ(56, g.n_tokens);
        EXPECT_EQ(g.n_tokens, int32_t(g.tokens().size()));
        EXPECT_EQ(256, llmm_session_n_tokens(session.get()));
        // Full from the start: nothing more.
        const generation again = generate(session.get(), sampler.get(), o);
        ASSERT_OK(again.status);
        EXPECT_EQ(LLMM_STOP_CONTEXT_FULL, again.stop_reason);
        EXPECT_EQ(0, again.n_tokens);
        EXPECT_EQ(256, llmm_session_n_tokens(session.get()));
    }
}

TEST(Generate, CallbackCanStopAtAnyCall) {
    generate_options o;
    o.max_tokens = 30;
    const token_list whole = run(greedy_endless, o).tokens();
    for (const int32_t calls : {1, 2, 5}) {
        const session_ptr session = session_at(random_tokens(8, 1));
        const sampler_ptr sampler = new_sampler(shared_llama(), greedy_endless);
        o.stop_after = calls;
        const generation g = generate(session.get(), sampler.get(), o);
        ASSERT_OK(g.status);
        EXPECT_EQ(LLMM_STOP_CANCELLED, g.stop_reason);
        ASSERT_GE(int32_t(g.batches.size()), calls);
        for (size_t i = size_t(calls); i < g.batches.size(); i++) {
            EXPECT_TRUE(g.batches[i].tokens.empty()) << "after the stop only held-back text may come";
        }
        EXPECT_EQ(calls, g.n_tokens);
        EXPECT_EQ(random_tokens(8, 1) + slice(whole, 0, calls), history(session.get()));
        // The stop was the callback's: the session goes on without a reset.
        o.stop_after = -1;
        EXPECT_EQ(slice(whole, calls, 30), slice(generate(session.get(), sampler.get(), o).tokens(), 0, 30 - calls));
    }
}

TEST(Generate, NeedsAHistory) {
    const session_ptr session = new_session(shared_llama());
    const sampler_ptr sampler = new_sampler(shared_llama(), greedy_endless);
    EXPECT_STATUS(LLMM_ERR_NO_LOGITS, generate(session.get(), sampler.get()).status);
    llmm_token_result result = {};
    result.struct_size = sizeof(result);
    EXPECT_STATUS(LLMM_ERR_NO_LOGITS, llmm_session_decode(session.get(), sampler.get(), &result));
    EXPECT_EQ(0, llmm_session_n_tokens(session.get()));
}

TEST(Generate, ParametersOutOfRange) {
    const session_ptr session = session_at(random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), greedy_endless);
    const auto with = [&](int32_t max_tokens, int32_t batch_tokens) {
        generate_options o;
        o.max_tokens   = max_tokens;
        o.batch_tokens = batch_tokens;
        return generate(session.get(), sampler.get(), o).status;
    };
    EXPECT_STATUS(LLMM_ERR_RANGE, with(-2, 1));
    EXPECT_STATUS(LLMM_ERR_RANGE, with(INT32_MIN, 1));
    EXPECT_STATUS(LLMM_ERR_RANGE, with(5, 0));
    EXPECT_STATUS(LLMM_ERR_RANGE, with(5, -1));
    EXPECT_STATUS(LLMM_ERR_RANGE, with(5, 65));
    EXPECT_EQ(8, llmm_session_n_tokens(session.get()));
}

TEST(Generate, WithoutACallbackCountsTheSame) {
    const session_ptr session = session_at(random_tokens(8, 1));
    llmm_generate_params params;
    llmm_generate_params_init(&params);
    params.max_tokens = 12;
    llmm_generate_result result = {};
    result.struct_size = sizeof(result);
    ASSERT_OK(llmm_session_generate(session.get(), new_sampler(shared_llama(), greedy_endless).get(), &params, &result));
    EXPECT_EQ(12, result.n_tokens);
    EXPECT_EQ(20, llmm_session_n_tokens(session.get()));
}

}  // namespace
}  // namespace llmm_test
