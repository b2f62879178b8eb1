// Stop strings: they end the generation, never show, and hold back no more than they must.
#include "test_support.h"

namespace llmm_test {
namespace {

// A generation that must write `text`, stopped by these strings.
generation run(const std::string & text, const std::vector<std::string> & stops, int32_t batch_tokens = 1,
               token_list * tokens_left = nullptr) {
    std::string list;
    for (const std::string & stop : stops) {
        list += (list.empty() ? "" : ",") + quote(stop);
    }
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), forced_text(text, "\"stop\":[" + list + "]"));
    generate_options o;
    o.batch_tokens = batch_tokens;
    o.max_tokens   = 200;
    generation g = generate(session.get(), sampler.get(), o);
    if (tokens_left) {
        const token_list all = history(session.get());
        *tokens_left = slice(all, 8, int32_t(all.size()));
    }
    return g;
}

void expect_stop(const std::string & expected, const std::string & text, const std::vector<std::string> & stops) {
    for (const int32_t batch : {1, 3, 64}) {
        const generation g = run(text, stops, batch);
        ASSERT_OK(g.status);
        EXPECT_EQ(LLMM_STOP_STRING, g.stop_reason) << quote(text);
        EXPECT_EQ(expected, g.text()) << quote(text) << " in batches of " << batch;
    }
}

void expect_no_stop(const std::string & text, const std::vector<std::string> & stops) {
    for (const int32_t batch : {1, 3, 64}) {
        const generation g = run(text, stops, batch);
        ASSERT_OK(g.status);
        EXPECT_EQ(LLMM_STOP_END, g.stop_reason) << quote(text);
        EXPECT_EQ(text, g.text()) << "what was held back comes out at the end";
    }
}

TEST(StopString, EndsTheTextBeforeItself) {
    expect_stop("hello ", "hello world", {"world"});
    expect_stop("ab", "abcdef", {"c"});
    expect_stop("one\n", "one\n\ntwo", {"\ntwo"});
}

TEST(StopString, AtTheStart) {
    expect_stop("", "stop and go", {"stop"});
    expect_stop("", "xyz", {"x"});
}

TEST(StopString, AtTheVeryEnd) {
    expect_stop("hello ", "hello END", {"END"});
}

TEST(StopString, SplitOverTokens) {
    expect_stop("q", "qxvzj", {"xvz"});
    expect_stop("a", "a<|end of it|>b", {"<|end of it|>"});
}

TEST(StopString, WithinALongerToken) {
    // "hello" and "world" are tokens; the stop string begins and ends inside of them.
    expect_stop("hel", "hello world", {"lo w"});
    expect_stop("hello w", "hello world", {"orl"});
}

TEST(StopString, OfManyByteCharacters) {
    expect_stop("a", "a\xF0\x9F\x98\x80z", {"\xF0\x9F\x98\x80"});
    expect_stop("\xE6\x97\xA5", "\xE6\x97\xA5\xE6\x9C\xAC!", {"\xE6\x9C\xAC"});
    // The same first bytes, another character.
    expect_no_stop("\xF0\x9F\x98\x81\xF0\x9F\x98\x82", {"\xF0\x9F\x98\x80"});
}

TEST(StopString, PartialMatchesComeOutAfterAll) {
    expect_no_stop("abcabdabx", {"abcx"});
    expect_no_stop("<|im_en", {"<|im_end|>"});
    expect_no_stop("aaaa", {"aaaaa"});
    expect_no_stop("stostost", {"stop"});
}

TEST(StopString, OverlappingWithItself) {
    expect_stop("a", "aaab", {"aab"});
    expect_stop("ab", "abababc", {"ababc"});
    expect_stop("aab", "aabaabaaab", {"aabaaa"});
}

TEST(StopString, TheFirstToAppearWins) {
    expect_stop("hel", "hello world", {"world", "lo"});
    expect_stop("x", "xabcd", {"bcd", "abc"});
    expect_stop("x", "xabcd", {"abc", "ab"});
    expect_stop("x", "xabcd", {"ab", "abc"});
    expect_stop("ab", "abcdef", {"cdef", "abcdx", "cd"});
}

TEST(StopString, ManyOfThem) {
    std::vector<std::string> stops;
    for (int i = 0; i < 500; i++) {
        stops.push_back("never" + std::to_string(i));
    }
    stops.push_back("wor");
    expect_stop("hello ", "hello world", stops);
}

TEST(StopString, LongerThanTheText) {
    expect_no_stop("short", {std::string(10000, 's')});
}

TEST(StopString, NoStartOfOneIsShown) {
    // While the stop string may still come, its start must not be in any callback.
    const generation g = run("go on <|stop|>", {"<|stop|>"});
    ASSERT_OK(g.status);
    EXPECT_EQ(LLMM_STOP_STRING, g.stop_reason);
    for (const generate_batch & b : g.batches) {
        EXPECT_EQ(std::string::npos, b.text.find('<'));
    }
}

TEST(StopString, TextThatCannotBecomeOneIsShownAtOnce) {
    const generation g = run("xyxyxy", {"<|stop|>"});
    ASSERT_OK(g.status);
    for (const generate_batch & b : g.batches) {
        EXPECT_EQ(detokenize(shared_llama(), b.tokens), b.text);
    }
}

TEST(StopString, TokensOfItStayInTheHistory) {
    token_list left;
    const generation g = run("hello world", {"world"}, 1, &left);
    ASSERT_OK(g.status);
    EXPECT_EQ(g.n_tokens, int32_t(left.size()));
    EXPECT_TRUE(text_contains(detokenize(shared_llama(), left), "world"));
}

TEST(StopString, AsControlTextIsMatchedInTextOnly) {
    // A control token is no text: a stop string with its name does not see it.
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(
        shared_llama(), "{\"temperature\":0,\"stop\":[\"<|im_start|>\"],\"logit_bias\":[{\"token\":" +
                            std::to_string(tiny_im_start) + ",\"bias\":1000}]}");
    generate_options o;
    o.max_tokens = 5;
    const generation g = generate(session.get(), sampler.get(), o);
    ASSERT_OK(g.status);
    EXPECT_EQ(LLMM_STOP_MAX_TOKENS, g.stop_reason);
    EXPECT_EQ("", g.text());
}

TEST(StopString, DecodeIgnoresThem) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(8, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), forced_text("hello", "\"stop\":[\"h\"]"));
    const token_list tokens = decode(session.get(), sampler.get(), 1);
    EXPECT_EQ('h', detokenize(shared_llama(), tokens)[0]);
}

}  // namespace
}  // namespace llmm_test
