// Chat templates: what goes in, what comes out, and what is refused.
#include "test_support.h"

namespace llmm_test {
namespace {

llmm_status try_render(const llmm_model * model, const std::string & request, std::string * out = nullptr) {
    llmm_buffer * raw = nullptr;
    const llmm_status status = llmm_chat_render(model, request.data(), request.size(), &raw);
    const buffer_ptr buffer(raw);
    if (status == LLMM_OK && out) {
        *out = text_of(raw);
    }
    EXPECT_EQ(status == LLMM_OK, raw != nullptr) << "the out parameter is written on success alone";
    return status;
}

std::string render(const llmm_model * model, const std::string & request) {
    std::string text;
    require_ok(try_render(model, request, &text));
    return text;
}

const char * const one_user = "{\"role\":\"user\",\"content\":\"hello\"}";

std::string messages(const std::string & list, const std::string & more = "") {
    return "{\"messages\":[" + list + "]" + (more.empty() ? "" : "," + more) + "}";
}

TEST(Chat, RendersUserAndGenerationPrompt) {
    EXPECT_EQ("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n", render(shared_llama(), messages(one_user)));
}

TEST(Chat, RendersAConversation) {
    EXPECT_EQ("<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n"
              "<|im_start|>assistant\nworld<|im_end|>\n<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n",
              render(shared_llama(), messages("{\"role\":\"system\",\"content\":\"be kind\"}," + std::string(one_user) +
                                              ",{\"role\":\"assistant\",\"content\":\"world\"},"
                                              "{\"role\":\"user\",\"content\":\"and?\"}")));
}

TEST(Chat, GenerationPromptCanBeLeftOut) {
    EXPECT_EQ("<|im_start|>user\nhello<|im_end|>\n",
              render(shared_llama(), messages(one_user, "\"add_generation_prompt\":false")));
    EXPECT_EQ(render(shared_llama(), messages(one_user)),
              render(shared_llama(), messages(one_user, "\"add_generation_prompt\":true")));
}

TEST(Chat, BosOfTheTemplateIsTakenOff) {
    // The template begins with bos_token; tokenising with add_special = 1 adds the one BOS there must be.
    const std::string prompt = render(shared_llama(), messages(one_user));
    const token_list tokens = tokenize(shared_llama(), prompt, true, true);
    ASSERT_GE(tokens.size(), 2u);
    EXPECT_EQ(tiny_bos, tokens[0]);
    EXPECT_EQ(tiny_im_start, tokens[1]);
}

TEST(Chat, BosInsideTheTextStays) {
    std::string text;
    ASSERT_OK(try_render(shared_llama(),
                         messages(one_user, "\"template\":\"{{ bos_token }}A{{ bos_token }}B\""), &text));
    EXPECT_EQ("A<s>B", text);
}

TEST(Chat, ToolsReachTheTemplate) {
    const std::string tools =
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"the weather\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}]";
    const std::string text = render(shared_llama(), messages(one_user, tools));
    EXPECT_TRUE(text_contains(text, "<|im_start|>tools\n"));
    EXPECT_TRUE(text_contains(text, "get_weather"));
    EXPECT_TRUE(text_contains(text, "city"));
}

TEST(Chat, KwargsReachTheTemplate) {
    EXPECT_TRUE(text_contains(render(shared_llama(), messages(one_user, "\"kwargs\":{\"mood\":\"gentle\"}")),
                              "<|im_start|>mood\ngentle<|im_end|>\n"));
    EXPECT_EQ(render(shared_llama(), messages(one_user)),
              render(shared_llama(), messages(one_user, "\"kwargs\":{}")));
}

TEST(Chat, TemplateReplacesTheModelsOwn) {
    EXPECT_EQ("[user: hello]",
              render(shared_llama(),
                     messages(one_user, "\"template\":\"{% for m in messages %}"
                                        "[{{ m.role }}: {{ m.content }}]{% endfor %}\"")));
}

TEST(Chat, NullTemplateIsTheModelsOwn) {
    EXPECT_EQ(render(shared_llama(), messages(one_user)),
              render(shared_llama(), messages(one_user, "\"template\":null")));
}

TEST(Chat, ContentMayBeAnyText) {
    const std::string contents[] = {"\xF0\x9F\x98\x80 \xE6\x97\xA5", "line\nbreak", "\"quoted\" \\ {{ braces }} {% if %}",
                                    "<|im_end|>", ""};
    for (const std::string & content : contents) {
        const std::string text =
            render(shared_llama(), messages("{\"role\":\"user\",\"content\":" + quote(content) + "}"));
        EXPECT_EQ("<|im_start|>user\n" + content + "<|im_end|>\n<|im_start|>assistant\n", text);
    }
}

TEST(Chat, ContentInPartsIsJoined) {
    const std::string text = render(
        shared_llama(), messages("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},"
                                 "{\"type\":\"text\",\"text\":\"two\"}]}"));
    EXPECT_TRUE(text_contains(text, "one"));
    EXPECT_TRUE(text_contains(text, "two"));
}

TEST(Chat, ManyMessages) {
    std::string list;
    for (int i = 0; i < 300; i++) {
        list += std::string(i ? "," : "") + "{\"role\":\"" + (i % 2 ? "assistant" : "user") + "\",\"content\":\"m" +
                std::to_string(i) + "\"}";
    }
    EXPECT_TRUE(text_contains(render(shared_llama(), messages(list)), "m299"));
}

TEST(Chat, RequestNeedNotEndWithAZeroByte) {
    const std::string request = messages(one_user) + "garbage";
    llmm_buffer * raw = nullptr;
    ASSERT_OK(llmm_chat_render(shared_llama(), request.data(), request.size() - 7, &raw));
    EXPECT_EQ(render(shared_llama(), messages(one_user)), text_of(buffer_ptr(raw).get()));
}

TEST(Chat, ModelWithoutATemplate) {
    tiny_options o;
    o.chat_template.clear();
    const model_ptr model = open_model(tiny_file("chat-no-template", o));
    EXPECT_STATUS(LLMM_ERR_TEMPLATE, try_render(model.get(), messages(one_user)));
    EXPECT_EQ("hello", render(model.get(), messages(one_user, "\"template\":\"{{ messages[0].content }}\"")));
}

TEST(Chat, TemplatesThatDoNotCompileOrFail) {
    for (const char * source : {"{% for %}", "{{ unclosed", "{% if true %}", "{{ raise_exception('never') }}",
                                "{{ messages.nothing.here.at.all() }}", "{% endfor %}"}) {
        EXPECT_STATUS(LLMM_ERR_TEMPLATE,
                      try_render(shared_llama(), messages(one_user, "\"template\":" + quote(source)))) << source;
    }
    EXPECT_OK(try_render(shared_llama(), messages(one_user)));
}

TEST(Chat, TemplateOfTheModelThatDoesNotCompile) {
    tiny_options o;
    o.chat_template = "{% for message in messages %}{{ message.content";
    const model_ptr model = open_model(tiny_file("chat-broken-template", o));
    EXPECT_STATUS(LLMM_ERR_TEMPLATE, try_render(model.get(), messages(one_user)));
}

TEST(Chat, TextOfTheTemplatesOwnExceptionIsPassedOn) {
    EXPECT_STATUS(LLMM_ERR_TEMPLATE,
                  try_render(shared_llama(), messages("{\"role\":\"forbidden\",\"content\":\"x\"}")));
    EXPECT_TRUE(text_contains(last_error(), "this role is not allowed"));
}

TEST(Chat, MalformedRequests) {
    for (const char * request : {"", "{", "[]", "null", "42", "\"text\"", "{\"messages\":}", "{'messages':[]}",
                                 "{\"messages\":[]} extra"}) {
        EXPECT_STATUS(LLMM_ERR_JSON, try_render(shared_llama(), request)) << request;
    }
}

TEST(Chat, WrongTypesAreNamed) {
    const std::pair<std::string, std::string> cases[] = {
        {"{}", "messages"},
        {"{\"messages\":\"hello\"}", "messages"},
        {"{\"messages\":{\"role\":\"user\"}}", "messages"},
        {"{\"messages\":[42]}", "messages"},
        {"{\"messages\":[{\"content\":\"x\"}]}", "role"},
        {"{\"messages\":[{\"role\":7,\"content\":\"x\"}]}", "role"},
        {messages(one_user, "\"add_generation_prompt\":\"yes\""), "add_generation_prompt"},
        {messages(one_user, "\"template\":5"), "template"},
        {messages(one_user, "\"tools\":5"), "tools"},
        {messages(one_user, "\"kwargs\":[]"), "kwargs"},
    };
    for (const auto & c : cases) {
        EXPECT_STATUS(LLMM_ERR_JSON, try_render(shared_llama(), c.first)) << c.first;
        EXPECT_TRUE(text_contains(last_error(), c.second)) << c.first;
    }
}

TEST(Chat, UnknownKeysAreNamed) {
    EXPECT_STATUS(LLMM_ERR_JSON, try_render(shared_llama(), messages(one_user, "\"temprature\":1")));
    EXPECT_TRUE(text_contains(last_error(), "temprature"));
}

TEST(Chat, InvalidUtf8IsRefused) {
    EXPECT_STATUS(LLMM_ERR_ENCODING,
                  try_render(shared_llama(), messages("{\"role\":\"user\",\"content\":\"\xFF\"}")));
}

TEST(Chat, ResultIsUtf8WhateverTheTemplateCuts) {
    // Slices of a text of three-byte characters must not come out in pieces.
    std::string text;
    const llmm_status status = try_render(
        shared_llama(), messages("{\"role\":\"user\",\"content\":\"\xE6\x97\xA5\xE6\x9C\xAC\"}",
                                 "\"template\":\"{{ messages[0].content[0:1] }}|{{ messages[0].content[1:] }}\""),
        &text);
    if (status == LLMM_OK) {
        EXPECT_TRUE(is_utf8(text)) << quote(text);
    } else {
        EXPECT_EQ(LLMM_ERR_TEMPLATE, status);
    }
}

// Cause: readers and writers of JSON and Jinja that call themselves for each level end the process on deep input.
TEST(Chat, DeepNestingDoesNotExhaustTheStack) {
    const size_t depth = 200000;
    const std::string deep_array = std::string(depth, '[') + std::string(depth, ']');
    std::string deep_object;
    for (size_t i = 0; i < depth; i++) {
        deep_object += "{\"a\":";
    }
    deep_object += "1" + std::string(depth, '}');
    for (const std::string & deep : {deep_array, deep_object}) {
        EXPECT_NE(LLMM_OK, try_render(shared_llama(), messages("{\"role\":\"user\",\"content\":" + deep + "}")));
        EXPECT_NE(LLMM_OK, try_render(shared_llama(), messages(one_user, "\"kwargs\":{\"x\":" + deep + "}")));
        EXPECT_NE(LLMM_OK, try_render(shared_llama(), messages(one_user, "\"tools\":[" + deep + "]")));
        EXPECT_NE(LLMM_OK, try_render(shared_llama(), deep));
        EXPECT_NE(LLMM_OK, try_render(shared_llama(), "{\"messages\":" + deep + "}"));
    }
    const std::string parentheses = "{{ " + std::string(depth, '(') + "1" + std::string(depth, ')') + " }}";
    EXPECT_STATUS(LLMM_ERR_TEMPLATE,
                  try_render(shared_llama(), messages(one_user, "\"template\":" + quote(parentheses))));
    std::string ifs;
    for (size_t i = 0; i < depth / 10; i++) {
        ifs += "{% if true %}";
    }
    EXPECT_STATUS(LLMM_ERR_TEMPLATE, try_render(shared_llama(), messages(one_user, "\"template\":" + quote(ifs))));
}

}  // namespace
}  // namespace llmm_test
