// Grammars and JSON schemas: the output is in the language, and what does not compile is refused.
#include "test_support.h"

#include <regex>

namespace llmm_test {
namespace {

std::string with_grammar(const std::string & grammar, const std::string & more = "\"seed\":1") {
    return "{" + more + ",\"grammar\":" + quote(grammar) + "}";
}

generation run(const std::string & options, int32_t max_tokens = 200, uint64_t prompt_seed = 1) {
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(8, prompt_seed));
    const sampler_ptr sampler = new_sampler(shared_llama(), options);
    generate_options o;
    o.max_tokens = max_tokens;
    return generate(session.get(), sampler.get(), o);
}

TEST(Grammar, OutputIsInTheLanguage) {
    const std::pair<const char *, const char *> cases[] = {
        {"root ::= \"yes\" | \"no\"", "yes|no"},
        {"root ::= [a-c]{3,5}", "[a-c]{3,5}"},
        {"root ::= item (\",\" item){2}\nitem ::= [0-9]{1,3}", "[0-9]{1,3}(,[0-9]{1,3}){2}"},
        {"root ::= \"(\" [^()]{1,4} \")\"", "\\([^()]{1,}\\)"},
        {"root ::= \"hello\" \" \"? \"world\"", "hello ?world"},
    };
    for (const auto & c : cases) {
        for (int seed = 0; seed < 5; seed++) {
            const generation g = run(with_grammar(c.first, "\"temperature\":2,\"seed\":" + std::to_string(seed)));
            ASSERT_OK(g.status);
            EXPECT_EQ(LLMM_STOP_END, g.stop_reason) << c.first;
            EXPECT_TRUE(std::regex_match(g.text(), std::regex(c.second))) << c.first << " gave " << quote(g.text());
        }
    }
}

TEST(Grammar, GreedyObeysToo) {
    const generation g = run(with_grammar("root ::= \"stop the world\"", "\"temperature\":0"));
    ASSERT_OK(g.status);
    EXPECT_EQ("stop the world", g.text());
    EXPECT_EQ(LLMM_STOP_END, g.stop_reason);
}

TEST(Grammar, CharactersOfManyBytes) {
    for (const char * text : {"\xF0\x9F\x98\x80", "\xE6\x97\xA5\xE6\x9C\xAC", "caf\xC3\xA9 \xF0\x9F\x8E\x89!"}) {
        const generation g = run(forced_text(text));
        ASSERT_OK(g.status);
        EXPECT_EQ(text, g.text());
    }
}

TEST(Grammar, UnfinishedOutputIsAPrefix) {
    const std::string b = std::to_string(tokenize(shared_llama(), "b")[0]);
    const std::string options = "\"temperature\":0,\"logit_bias\":[{\"token\":" + b + ",\"bias\":-50}]";
    const generation g = run(with_grammar("root ::= \"a\"+ \"b\"", options), 10);
    ASSERT_OK(g.status);
    EXPECT_EQ(LLMM_STOP_MAX_TOKENS, g.stop_reason);
    EXPECT_TRUE(std::regex_match(g.text(), std::regex("a+"))) << g.text();
}

TEST(Grammar, EmptyLanguageOfOneEmptyTextEndsAtOnce) {
    const generation g = run(with_grammar("root ::= \"\""));
    ASSERT_OK(g.status);
    EXPECT_EQ("", g.text());
    EXPECT_EQ(LLMM_STOP_END, g.stop_reason);
    EXPECT_EQ(1, g.n_tokens);
}

TEST(Grammar, ThatDoesNotCompileIsRefused) {
    for (const char * grammar : {"root", "root ::= \"unclosed", "root ::= [a-", "root ::= undefined",
                                 "start ::= \"a\"", "root ::= (\"a\"", "::= \"a\"", "root ::= \"a\" )", "root ::= {3}",
                                 "root ::= \"\\xZZ\""}) {
        ::testing::internal::CaptureStderr();
        EXPECT_STATUS(LLMM_ERR_GRAMMAR, try_sampler(shared_llama(), with_grammar(grammar))) << grammar;
        EXPECT_EQ("", ::testing::internal::GetCapturedStderr()) << "the reason belongs into the error text";
    }
}

TEST(Grammar, ReasonIsInTheErrorText) {
    EXPECT_STATUS(LLMM_ERR_GRAMMAR, try_sampler(shared_llama(), with_grammar("root ::= nosuchrule")));
    EXPECT_TRUE(text_contains(last_error(), "nosuchrule"));
}

// Cause: the parser counts from the upper bound of a repetition to the lower one and never arrives.
TEST(Grammar, RepetitionWithSwappedBoundsIsRefused) {
    EXPECT_STATUS(LLMM_ERR_GRAMMAR, try_sampler(shared_llama(), with_grammar("root ::= \"a\"{5,2}")));
}

TEST(Grammar, WithoutEndIsRefusedOrStoppedButNeverFatal) {
    // Left recursion, empty loops, absurd repetition: refused, or the generation ends somehow.
    for (const std::string & grammar : {
             std::string("root ::= root \"a\""), std::string("root ::= a\na ::= b\nb ::= a \"x\""),
             std::string("root ::= (\"\")*"), std::string("root ::= (\"\" | \"a\")* \"b\""),
             std::string("root ::= \"a\"{1000000000}"), std::string("root ::= (((\"a\"{1000}){1000}){1000}){1000}"),
             std::string("root ::= (\"a\"?)*"),
         }) {
        llmm_sampler * raw = nullptr;
        const std::string options = with_grammar(grammar);
        const llmm_status status = llmm_sampler_new(shared_llama(), options.data(), options.size(), &raw);
        const sampler_ptr sampler(raw);
        if (status != LLMM_OK) {
            EXPECT_STATUS(LLMM_ERR_GRAMMAR, status) << grammar;
            continue;
        }
        const session_ptr session = new_session(shared_llama());
        eval(session.get(), random_tokens(4, 1));
        generate_options o;
        o.max_tokens = 5;
        const generation g = generate(session.get(), sampler.get(), o);
        EXPECT_TRUE(g.status == LLMM_OK || g.status == LLMM_ERR_GRAMMAR) << grammar << ": " << last_error();
    }
}

// Cause: a parser that calls itself for each parenthesis ends the process on deep input.
TEST(Grammar, DeepNestingDoesNotExhaustTheStack) {
    const size_t depth = 200000;
    const std::string grammar = "root ::= " + std::string(depth, '(') + "\"a\"" + std::string(depth, ')');
    EXPECT_STATUS(LLMM_ERR_GRAMMAR, try_sampler(shared_llama(), with_grammar(grammar)));
    std::string chain = "root ::= r0\n";
    for (size_t i = 0; i < depth / 4; i++) {
        chain += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + "\n";
    }
    chain += "r" + std::to_string(depth / 4) + " ::= \"a\"\n";
    llmm_sampler * raw = nullptr;
    const std::string options = with_grammar(chain);
    const llmm_status status = llmm_sampler_new(shared_llama(), options.data(), options.size(), &raw);
    const sampler_ptr sampler(raw);
    EXPECT_TRUE(status == LLMM_OK || status == LLMM_ERR_GRAMMAR) << last_error();
}

TEST(JsonSchema, OutputIsAnInstance) {
    const struct {
        const char * schema;
        const char * pattern;
    } cases[] = {
        {"{\"enum\":[\"red\",\"green\"]}", "\"(red|green)\"\\s*"},
        {"{\"const\":42}", "42\\s*"},
        {"{\"type\":\"boolean\"}", "(true|false)\\s*"},
        {"{\"type\":\"integer\",\"minimum\":3,\"maximum\":7}", "[3-7]\\s*"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":2,\"maxItems\":2}",
         "\\[\\s*(true|false)\\s*,\\s*(true|false)\\s*\\]\\s*"},
        {"{\"type\":\"string\",\"pattern\":\"^[a-c]{2,4}$\"}", "\"[a-c]{2,4}\"\\s*"},
    };
    for (const auto & c : cases) {
        for (int seed = 0; seed < 3; seed++) {
            const std::string head = "{\"temperature\":2,\"seed\":" + std::to_string(seed);
            const generation g = run(head + ",\"json_schema\":" + c.schema + "}");
            ASSERT_OK(g.status);
            EXPECT_EQ(LLMM_STOP_END, g.stop_reason) << c.schema << quote(g.text());
            EXPECT_TRUE(std::regex_match(g.text(), std::regex(c.pattern))) << c.schema << " gave " << quote(g.text());
        }
    }
}

TEST(JsonSchema, ObjectsHaveTheirMembers) {
    const std::string schema =
        "{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"},\"colour\":{\"enum\":[\"red\",\"blue\"]}},"
        "\"required\":[\"ok\",\"colour\"],\"additionalProperties\":false}";
    for (int seed = 0; seed < 5; seed++) {
        const generation g = run("{\"temperature\":2,\"seed\":" + std::to_string(seed) + ",\"json_schema\":" + schema + "}");
        ASSERT_OK(g.status);
        ASSERT_EQ(LLMM_STOP_END, g.stop_reason);
        const json value = parse_json(g.text());
        EXPECT_EQ(json::boolean, value["ok"].kind);
        EXPECT_TRUE(value["colour"].text == "red" || value["colour"].text == "blue");
        EXPECT_EQ(2u, value.members.size());
    }
}

TEST(JsonSchema, ReferencesWithinTheSchemaWork) {
    const generation g = run("{\"temperature\":0,\"json_schema\":{\"$ref\":\"#/$defs/answer\","
                             "\"$defs\":{\"answer\":{\"enum\":[\"a\"]}}}}");
    ASSERT_OK(g.status);
    EXPECT_EQ("a", parse_json(g.text()).text);
}

TEST(JsonSchema, ThatDoesNotCompileIsRefused) {
    for (const char * schema : {
             "{\"type\":\"colour\"}", "{\"type\":7}", "{\"$ref\":\"#/$defs/missing\"}",
             "{\"type\":\"string\",\"pattern\":\"^(unclosed$\"}",
             "{\"$ref\":\"other.json#/answer\"}", "{\"type\":\"object\",\"properties\":5}",
         }) {
        EXPECT_STATUS(LLMM_ERR_GRAMMAR, try_sampler(shared_llama(), std::string("{\"json_schema\":") + schema + "}")) << schema;
    }
}

// Cause: parts that the converter does not know were dropped with a warning on the console.
TEST(JsonSchema, WhatCannotBeEnforcedIsRefusedAndNotPrinted) {
    ::testing::internal::CaptureStderr();
    EXPECT_STATUS(LLMM_ERR_GRAMMAR,
                  try_sampler(shared_llama(), "{\"json_schema\":{\"type\":\"string\",\"pattern\":\"no anchors\"}}"));
    EXPECT_EQ("", ::testing::internal::GetCapturedStderr());
}

TEST(JsonSchema, ThatRefersToItselfIsNotFatal) {
    for (const char * schema : {
             "{\"$ref\":\"#\"}", "{\"allOf\":[{\"$ref\":\"#\"}]}", "{\"anyOf\":[{\"$ref\":\"#\"}]}",
             "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}},\"$ref\":\"#/$defs/a\"}",
             "{\"type\":\"object\",\"properties\":{\"next\":{\"$ref\":\"#\"}}}",
         }) {
        const llmm_status status = try_sampler(shared_llama(), std::string("{\"json_schema\":") + schema + "}");
        EXPECT_TRUE(status == LLMM_OK || status == LLMM_ERR_GRAMMAR) << schema << ": " << last_error();
    }
}

}  // namespace
}  // namespace llmm_test
