// Tokens of texts and texts of tokens.
#include "test_support.h"

#include <algorithm>

namespace llmm_test {
namespace {

constexpr size_t one_megabyte = size_t(1) << 20;

int32_t byte_token(int byte) {
    return tiny_byte_0 + byte;
}

TEST(Tokenize, RoundTripGivesTheSameText) {
    const std::string texts[] = {
        "hello world", " hello", "hello ", "a  b   c", "\n\n\t x", "stop the world and sing",
        "caf\xC3\xA9", "\xE6\x97\xA5\xE6\x9C\xAC", "\xF0\x9F\x98\x80", "a\xF0\x9F\x98\x80" "b\xC3\x9F",
        "\xEF\xBB\xBF" "bom", "\x7F\x01\x02", "e\xCC\x81 combining", "\xF4\x8F\xBF\xBF", "\xEF\xBF\xBD",
    };
    for (const std::string & text : texts) {
        EXPECT_EQ(text, detokenize(shared_llama(), tokenize(shared_llama(), text))) << quote(text);
    }
}

TEST(Tokenize, EveryCodePointSurvivesTheRoundTrip) {
    // All of the first plane's interesting borders, and a stride through the rest. U+2581 is the vocabulary's own
    // sign for a space.
    std::string text;
    for (uint32_t c = 1; c < 0x110000; c += c < 0x900 ? 1 : 997) {
        if ((c >= 0xD800 && c < 0xE000) || c == 0x2581) {
            continue;
        }
        if (c < 0x80) {
            text += char(c);
        } else if (c < 0x800) {
            text += char(0xC0 | (c >> 6));
            text += char(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            text += char(0xE0 | (c >> 12));
            text += char(0x80 | ((c >> 6) & 0x3F));
            text += char(0x80 | (c & 0x3F));
        } else {
            text += char(0xF0 | (c >> 18));
            text += char(0x80 | ((c >> 12) & 0x3F));
            text += char(0x80 | ((c >> 6) & 0x3F));
            text += char(0x80 | (c & 0x3F));
        }
    }
    ASSERT_TRUE(is_utf8(text));
    EXPECT_EQ(text, detokenize(shared_llama(), tokenize(shared_llama(), text)));
}

TEST(Tokenize, EmptyTextHasNoTokens) {
    EXPECT_TRUE(tokenize(shared_llama(), "").empty());
    EXPECT_EQ(token_list{tiny_bos}, tokenize(shared_llama(), "", true));
    llmm_buffer * buffer = nullptr;
    ASSERT_OK(llmm_tokenize(shared_llama(), nullptr, 0, 0, 0, &buffer));
    EXPECT_EQ(0u, llmm_buffer_size(buffer_ptr(buffer).get()));
}

TEST(Tokenize, AddSpecialPutsTheBosInFront) {
    const token_list plain = tokenize(shared_llama(), "hello");
    EXPECT_EQ(token_list{tiny_bos} + plain, tokenize(shared_llama(), "hello", true));
}

TEST(Tokenize, AddSpecialFollowsTheModelsWish) {
    tiny_options o;
    o.add_bos = false;
    const model_ptr model = open_model(tiny_file("no-bos", o));
    EXPECT_EQ(tokenize(model.get(), "hello"), tokenize(model.get(), "hello", true));
}

TEST(Tokenize, ControlTextBecomesATokenOnlyWhenAsked) {
    const std::string text = "<|im_start|>user<|im_end|>";
    const token_list parsed = tokenize(shared_llama(), text, false, true);
    EXPECT_EQ(tiny_im_start, parsed.front());
    EXPECT_EQ(tiny_im_end, parsed.back());
    const token_list plain = tokenize(shared_llama(), text, false, false);
    EXPECT_EQ(0, std::count(plain.begin(), plain.end(), tiny_im_start));
    EXPECT_EQ(0, std::count(plain.begin(), plain.end(), tiny_im_end));
    EXPECT_EQ(text, detokenize(shared_llama(), plain));
}

TEST(Tokenize, UserTextCannotSmuggleInSpecialTokens) {
    for (const char * text : {"<s>", "</s>", "<unk>", "<|im_start|>", "<0x41>"}) {
        const token_list tokens = tokenize(shared_llama(), text);
        for (const int32_t token : tokens) {
            EXPECT_GE(token, tiny_byte_0) << text;
            EXPECT_NE(tiny_im_start, token) << text;
        }
        EXPECT_EQ(text, detokenize(shared_llama(), tokens));
    }
}

TEST(Tokenize, TextMayContainZeroBytes) {
    const std::string text("a\0b\0\0c", 6);
    const token_list tokens = tokenize(shared_llama(), text);
    EXPECT_EQ(3, std::count(tokens.begin(), tokens.end(), byte_token(0)));
    EXPECT_EQ(text, detokenize(shared_llama(), tokens));
}

TEST(Tokenize, TextNeedNotEndWithAZeroByte) {
    const char text[] = {'h', 'e', 'l', 'l', 'o', 'X', 'Y'};
    llmm_buffer * buffer = nullptr;
    ASSERT_OK(llmm_tokenize(shared_llama(), text, 5, 0, 0, &buffer));
    EXPECT_EQ(tokenize(shared_llama(), "hello"), tokens_of(buffer_ptr(buffer).get()));
}

TEST(Tokenize, OneMegabyte) {
    std::string text;
    while (text.size() < one_megabyte) {
        text += "hello world and the \xF0\x9F\x98\x80 stop\n";
    }
    const token_list tokens = tokenize(shared_llama(), text);
    EXPECT_GT(tokens.size(), text.size() / 8);
    EXPECT_EQ(text, detokenize(shared_llama(), tokens));
}

TEST(Tokenize, OneMegabyteWithoutASpace) {
    const std::string text(one_megabyte, 'h');
    EXPECT_EQ(text.size(), detokenize(shared_llama(), tokenize(shared_llama(), text)).size());
}

TEST(Tokenize, InvalidUtf8IsRefusedWhereverItStands) {
    const std::string broken[] = {
        "\x80", "\xC3", "\xC3(", "\xE6\x97", "\xF0\x9F\x98", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xFE\xFF",
    };
    for (const std::string & part : broken) {
        for (const std::string & text : {part, "hello " + part, part + " world", "a" + part + "b"}) {
            llmm_buffer * buffer = nullptr;
            EXPECT_STATUS(LLMM_ERR_ENCODING,
                          llmm_tokenize(shared_llama(), text.data(), text.size(), 0, 0, &buffer)) << quote(text);
            EXPECT_EQ(nullptr, buffer);
        }
    }
}

TEST(Detokenize, CharactersSplitOverTokensComeOutWhole) {
    const token_list tokens = {byte_token(0xF0), byte_token(0x9F), byte_token(0x98), byte_token(0x80)};
    EXPECT_EQ("\xF0\x9F\x98\x80", detokenize(shared_llama(), tokens));
}

TEST(Detokenize, BytesThatFormNoCharacterAreReplaced) {
    const token_list cases[] = {
        {byte_token(0xF0)},
        {byte_token(0xF0), byte_token(0x9F), byte_token('a')},
        {byte_token(0x80), byte_token(0x80)},
        {byte_token(0xFF), byte_token('x'), byte_token(0xC3)},
        {byte_token(0xED), byte_token(0xA0), byte_token(0x80)},   // a surrogate
        {byte_token(0xC0), byte_token(0x80)},                     // an overlong zero
    };
    for (const token_list & tokens : cases) {
        const std::string text = detokenize(shared_llama(), tokens);
        EXPECT_TRUE(is_utf8(text));
        EXPECT_TRUE(text_contains(text, "\xEF\xBF\xBD"));
    }
    EXPECT_TRUE(text_contains(detokenize(shared_llama(), cases[1]), "a"));
    EXPECT_TRUE(text_contains(detokenize(shared_llama(), cases[3]), "x"));
}

TEST(Detokenize, EveryTokenAloneGivesValidText) {
    for (int32_t token = 0; token < tiny_n_vocab(); token++) {
        EXPECT_TRUE(is_utf8(detokenize(shared_llama(), {token}, true))) << token;
        EXPECT_TRUE(is_utf8(detokenize(shared_llama(), {token}, false))) << token;
    }
}

TEST(Detokenize, ControlTokensAreTextOnlyWhenAsked) {
    const token_list tokens = {tiny_bos, tiny_im_start, byte_token('x'), tiny_im_end, tiny_eos};
    EXPECT_EQ("x", detokenize(shared_llama(), tokens, false));
    EXPECT_EQ("<s><|im_start|>x<|im_end|></s>", detokenize(shared_llama(), tokens, true));
}

TEST(Detokenize, NoTokensGiveEmptyText) {
    EXPECT_EQ("", detokenize(shared_llama(), {}));
    llmm_buffer * buffer = nullptr;
    ASSERT_OK(llmm_detokenize(shared_llama(), nullptr, 0, 0, &buffer));
    EXPECT_EQ("", text_of(buffer_ptr(buffer).get()));
}

TEST(Detokenize, UnknownTokensAreRefused) {
    for (const int32_t token : {-1, tiny_n_vocab(), INT32_MAX, INT32_MIN}) {
        const int32_t tokens[] = {byte_token('a'), token};
        llmm_buffer * buffer = nullptr;
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_detokenize(shared_llama(), tokens, 2, 0, &buffer));
        EXPECT_EQ(nullptr, buffer);
        EXPECT_TRUE(text_contains(last_error(), std::to_string(token)));
    }
}

TEST(Detokenize, NegativeCountIsRefused) {
    const int32_t token = byte_token('a');
    llmm_buffer * buffer = nullptr;
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_detokenize(shared_llama(), &token, -1, 0, &buffer));
    EXPECT_EQ(nullptr, buffer);
}

}  // namespace
}  // namespace llmm_test
