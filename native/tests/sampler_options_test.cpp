// The options of a sampler as JSON: defaults, ranges, names in errors.
#include "test_support.h"

namespace llmm_test {
namespace {

TEST(SamplerOptions, NoneAreTheDefaults) {
    llmm_sampler * sampler = nullptr;
    ASSERT_OK(llmm_sampler_new(shared_llama(), nullptr, 0, &sampler));
    EXPECT_NE(nullptr, sampler);
    llmm_sampler_free(sampler);
    EXPECT_OK(try_sampler(shared_llama(), "{}"));
}

TEST(SamplerOptions, ExplicitDefaultsSampleLikeNone) {
    const std::string defaults =
        "{\"temperature\":0.8,\"top_k\":40,\"top_p\":0.95,\"min_p\":0.05,\"typical_p\":1,\"repeat_penalty\":1,"
        "\"frequency_penalty\":0,\"presence_penalty\":0,\"penalty_last_n\":64,\"dry_multiplier\":0,\"dry_base\":1.75,"
        "\"dry_allowed_length\":2,\"dry_penalty_last_n\":-1,\"dry_sequence_breakers\":[\"\\n\",\":\",\"\\\"\",\"*\"],"
        "\"mirostat\":0,\"mirostat_tau\":5,\"mirostat_eta\":0.1,\"logit_bias\":[],\"ignore_eos\":false,\"stop\":[],"
        "\"seed\":42}";
    token_list results[2];
    const std::string options[] = {defaults, "{\"seed\":42}"};
    for (int i = 0; i < 2; i++) {
        const session_ptr session = new_session(shared_llama());
        eval(session.get(), random_tokens(10, 1));
        results[i] = decode(session.get(), new_sampler(shared_llama(), options[i]).get(), 40);
    }
    EXPECT_EQ(results[0], results[1]);
}

TEST(SamplerOptions, BordersOfRangesAreAccepted) {
    for (const char * options : {
             "{\"temperature\":0}", "{\"temperature\":100}", "{\"top_k\":0}", "{\"top_k\":1}", "{\"top_k\":1000000}",
             "{\"top_p\":0}", "{\"top_p\":1}", "{\"min_p\":0}", "{\"min_p\":1}", "{\"typical_p\":0}",
             "{\"typical_p\":1}", "{\"repeat_penalty\":0.001}", "{\"repeat_penalty\":2}", "{\"frequency_penalty\":-2}",
             "{\"presence_penalty\":-2}", "{\"penalty_last_n\":-1}", "{\"penalty_last_n\":0}", "{\"dry_multiplier\":0}",
             "{\"dry_base\":1}", "{\"dry_multiplier\":1,\"dry_penalty_last_n\":-1}", "{\"mirostat\":1}",
             "{\"mirostat\":2}", "{\"seed\":0}", "{\"seed\":4294967295}", "{\"stop\":[\"a\",\"b\"]}",
             "{\"logit_bias\":[{\"token\":0,\"bias\":null}]}", "{\"dry_multiplier\":1,\"dry_sequence_breakers\":[]}",
         }) {
        EXPECT_OK(try_sampler(shared_llama(), options)) << options;
    }
}

TEST(SamplerOptions, ValuesOutOfRangeAreNamed) {
    const std::pair<std::string, std::string> cases[] = {
        {"temperature", "-0.1"}, {"top_k", "-1"},          {"top_p", "-0.01"},         {"top_p", "1.01"},
        {"min_p", "-0.01"},      {"min_p", "1.5"},         {"typical_p", "-1"},        {"typical_p", "2"},
        {"repeat_penalty", "0"}, {"repeat_penalty", "-1"}, {"penalty_last_n", "-2"},   {"dry_multiplier", "-1"},
        {"dry_base", "0.5"},     {"mirostat", "3"},        {"mirostat", "-1"},         {"seed", "-1"},
        {"seed", "4294967296"},  {"dry_penalty_last_n", "-2"}, {"seed", "18446744073709551615"},
        {"temperature", "1e300"},
    };
    for (const auto & c : cases) {
        const std::string options = "{" + quote(c.first) + ":" + c.second + "}";
        EXPECT_STATUS(LLMM_ERR_RANGE, try_sampler(shared_llama(), options)) << options;
        EXPECT_TRUE(text_contains(last_error(), c.first)) << options;
        if (c.second.find('e') == std::string::npos) {
            EXPECT_TRUE(text_contains(last_error(), c.second)) << "the text gives the value";
        }
    }
}

TEST(SamplerOptions, WrongTypesAreNamed) {
    const std::pair<std::string, std::string> cases[] = {
        {"temperature", "\"hot\""}, {"temperature", "[]"}, {"top_k", "1.5"}, {"top_k", "\"40\""}, {"top_p", "true"},
        {"seed", "1.5"}, {"seed", "\"1\""}, {"mirostat", "false"}, {"logit_bias", "{}"}, {"logit_bias", "[1]"},
        {"grammar", "7"}, {"json_schema", "[]"}, {"json_schema", "\"x\""}, {"ignore_eos", "1"}, {"stop", "\"x\""},
        {"stop", "[1]"}, {"dry_sequence_breakers", "\"x\""}, {"dry_sequence_breakers", "[null]"},
        {"penalty_last_n", "{}"},
    };
    for (const auto & c : cases) {
        const std::string options = "{" + quote(c.first) + ":" + c.second + "}";
        EXPECT_STATUS(LLMM_ERR_JSON, try_sampler(shared_llama(), options)) << options;
        EXPECT_TRUE(text_contains(last_error(), c.first)) << options;
    }
}

TEST(SamplerOptions, UnknownKeysAreNamed) {
    for (const char * key : {"temprature", "Temperature", "topk", "", "max_tokens", "top_p "}) {
        EXPECT_STATUS(LLMM_ERR_JSON, try_sampler(shared_llama(), "{" + quote(key) + ":1}")) << key;
        EXPECT_TRUE(text_contains(last_error(), key));
    }
    EXPECT_STATUS(LLMM_ERR_JSON,
                  try_sampler(shared_llama(), "{\"logit_bias\":[{\"token\":1,\"bias\":1,\"weight\":2}]}"));
    EXPECT_TRUE(text_contains(last_error(), "weight"));
}

TEST(SamplerOptions, MalformedJson) {
    for (const char * options : {"", " ", "{", "}", "[]", "null", "1", "{\"seed\":}", "{seed:1}", "{\"seed\":1,}",
                                 "{\"seed\":1}{}", "{\"seed\":NaN}", "{\"temperature\":Infinity}", "{\"a\":\"\\ud800\"}",
                                 "\xEF\xBB\xBF{]"}) {
        EXPECT_STATUS(LLMM_ERR_JSON, try_sampler(shared_llama(), options)) << options;
    }
}

TEST(SamplerOptions, InvalidUtf8IsRefused) {
    EXPECT_STATUS(LLMM_ERR_ENCODING, try_sampler(shared_llama(), "{\"stop\":[\"\xC3(\"]}"));
}

TEST(SamplerOptions, OptionsNeedNotEndWithAZeroByte) {
    const std::string options = "{\"seed\":7}tail";
    llmm_sampler * sampler = nullptr;
    ASSERT_OK(llmm_sampler_new(shared_llama(), options.data(), options.size() - 4, &sampler));
    EXPECT_EQ(7u, llmm_sampler_seed(sampler_ptr(sampler).get()));
}

TEST(SamplerOptions, ZeroByteInsideIsMalformed) {
    EXPECT_STATUS(LLMM_ERR_JSON, try_sampler(shared_llama(), std::string("{\"seed\":7}\0", 11)));
}

TEST(SamplerOptions, BiasOfAnUnknownTokenIsRefused) {
    for (const int32_t token : {-1, tiny_n_vocab(), INT32_MAX}) {
        EXPECT_STATUS(LLMM_ERR_RANGE, try_sampler(shared_llama(), "{\"logit_bias\":[{\"token\":" +
                                                                      std::to_string(token) + ",\"bias\":1}]}"));
        EXPECT_TRUE(text_contains(last_error(), std::to_string(token)));
    }
    EXPECT_STATUS(LLMM_ERR_JSON, try_sampler(shared_llama(), "{\"logit_bias\":[{\"bias\":1}]}"));
    EXPECT_STATUS(LLMM_ERR_JSON, try_sampler(shared_llama(), "{\"logit_bias\":[{\"token\":1,\"bias\":\"x\"}]}"));
}

TEST(SamplerOptions, EmptyStopStringIsRefused) {
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, try_sampler(shared_llama(), "{\"stop\":[\"ok\",\"\"]}"));
    EXPECT_TRUE(text_contains(last_error(), "stop"));
}

TEST(SamplerOptions, GrammarAndSchemaExcludeEachOther) {
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT,
                  try_sampler(shared_llama(), "{\"grammar\":\"root ::= \\\"a\\\"\",\"json_schema\":{\"type\":\"null\"}}"));
}

TEST(SamplerOptions, NullValuesAreTheDefaults) {
    EXPECT_OK(try_sampler(shared_llama(), "{\"seed\":null,\"grammar\":null,\"json_schema\":null,\"stop\":null}"));
}

// Cause: readers that call themselves for each level end the process on deep input.
TEST(SamplerOptions, DeepNestingDoesNotExhaustTheStack) {
    const size_t depth = 200000;
    const std::string arrays = std::string(depth, '[') + std::string(depth, ']');
    EXPECT_NE(LLMM_OK, try_sampler(shared_llama(), arrays));
    EXPECT_NE(LLMM_OK, try_sampler(shared_llama(), "{\"stop\":" + arrays + "}"));
    EXPECT_NE(LLMM_OK, try_sampler(shared_llama(), "{\"unknown\":" + arrays + "}"));
    EXPECT_NE(LLMM_OK, try_sampler(shared_llama(), "{\"logit_bias\":" + arrays + "}"));
    EXPECT_NE(LLMM_OK, try_sampler(shared_llama(), "{\"json_schema\":{\"enum\":" + arrays + "}}"));
    EXPECT_NE(LLMM_OK, try_sampler(shared_llama(), "{\"temperature\":" + arrays + "}"));
    std::string schema;
    for (size_t i = 0; i < depth; i++) {
        schema += "{\"type\":\"array\",\"items\":";
    }
    schema += "{}" + std::string(depth, '}');
    EXPECT_NE(LLMM_OK, try_sampler(shared_llama(), "{\"json_schema\":" + schema + "}"));
}

TEST(SamplerSeed, GivenSeedIsReported) {
    for (const uint32_t seed : {0u, 1u, 12345u, 4294967295u}) {
        const sampler_ptr sampler = new_sampler(shared_llama(), "{\"seed\":" + std::to_string(seed) + "}");
        EXPECT_EQ(seed, llmm_sampler_seed(sampler.get()));
    }
}

TEST(SamplerSeed, DrawnSeedReproducesTheGeneration) {
    const sampler_ptr drawn = new_sampler(shared_llama(), "{\"temperature\":1.5}");
    const uint32_t seed = llmm_sampler_seed(drawn.get());
    const session_ptr first = new_session(shared_llama());
    eval(first.get(), random_tokens(8, 1));
    const token_list tokens = decode(first.get(), drawn.get(), 30);

    const session_ptr second = new_session(shared_llama());
    eval(second.get(), random_tokens(8, 1));
    EXPECT_EQ(tokens, decode(second.get(),
                             new_sampler(shared_llama(), "{\"temperature\":1.5,\"seed\":" + std::to_string(seed) + "}").get(),
                             30));
}

TEST(SamplerSeed, DrawnSeedsDiffer) {
    // Four draws of 32 bits: all equal once in 2^96 runs.
    const uint32_t first = llmm_sampler_seed(new_sampler(shared_llama(), "{}").get());
    bool differs = false;
    for (int i = 0; i < 3; i++) {
        differs = differs || llmm_sampler_seed(new_sampler(shared_llama(), "{}").get()) != first;
    }
    EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace llmm_test
