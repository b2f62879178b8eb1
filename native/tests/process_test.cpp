// What the library says about itself and the process: versions, names of statuses, errors, memory, buffers.
#include "test_support.h"

#include <algorithm>
#include <cstring>
#include <thread>

namespace llmm_test {
namespace {

TEST(Process, AbiVersionIsThatOfTheHeader) {
    EXPECT_EQ(uint32_t(LLMM_ABI_VERSION), llmm_abi_version());
}

TEST(Process, EveryStatusHasAStableNameOfItsOwn) {
    const char * const names[] = {
        "OK", "INVALID_ARGUMENT", "RANGE", "OUT_OF_MEMORY", "IO", "MODEL_NOT_FOUND", "MODEL_INVALID",
        "MODEL_UNSUPPORTED", "CONTEXT_FULL", "CANCELLED", "BUSY", "ENCODING", "JSON", "TEMPLATE", "GRAMMAR",
        "STATE_INVALID", "STATE_MISMATCH", "ADAPTER_INVALID", "NOT_AVAILABLE", "NO_BACKEND", "NO_LOGITS", "INTERNAL",
    };
    for (int32_t i = 0; i <= LLMM_ERR_INTERNAL; i++) {
        EXPECT_STREQ(names[i], llmm_status_name(i));
    }
}

TEST(Process, OtherNumbersAreUnknown) {
    for (const int32_t status : {-1, LLMM_ERR_INTERNAL + 1, 1000, INT32_MIN, INT32_MAX}) {
        EXPECT_STREQ("UNKNOWN", llmm_status_name(status));
    }
}

TEST(Process, BuildInfoNamesVersionTreeAndPatches) {
    const json info = parse_json(llmm_build_info());
    EXPECT_EQ(json::string, info["version"].kind);
    EXPECT_EQ(double(LLMM_ABI_VERSION), info["abi"].value);
    EXPECT_EQ(json::string, info["compiler"].kind);
    EXPECT_EQ(json::string, info["build_type"].kind);
    const json & upstream = info["llama_cpp"];
    EXPECT_EQ(json::string, upstream["version"].kind);
    EXPECT_EQ(40u, upstream["tree"].text.size());
    EXPECT_TRUE(upstream.has("patches"));
    EXPECT_EQ(llmm_build_info(), llmm_build_info()) << "static storage: the same text each time";
}

TEST(Process, SystemInfoDescribesThisMachine) {
    const json info = parse_json(llmm_system_info());
    EXPECT_TRUE(info.has("cpu"));
    EXPECT_TRUE(info.has("features"));
    EXPECT_GE(info["physical_cores"].value, 1.0);
    EXPECT_GE(info["logical_cores"].value, info["physical_cores"].value);
    EXPECT_GE(info["logical_cores"].value, double(std::min(1u, std::thread::hardware_concurrency())));
}

TEST(Process, MemoryPeakIsNotBelowResident) {
    uint64_t rss  = 0;
    uint64_t peak = 0;
    ASSERT_OK(llmm_process_memory(&rss, &peak));
    EXPECT_GE(peak, rss);
#if defined(__linux__)
    EXPECT_GT(rss, uint64_t(1) << 20);
#endif
}

TEST(Process, MemoryGrowsWithWhatIsTouched) {
#if !defined(__linux__)
    GTEST_SKIP() << "resident memory is read from /proc";
#endif
    uint64_t rss_before = 0;
    uint64_t peak       = 0;
    ASSERT_OK(llmm_process_memory(&rss_before, &peak));
    constexpr size_t n_bytes = size_t(64) << 20;
    std::vector<char> block(n_bytes, 1);
    uint64_t rss_after = 0;
    ASSERT_OK(llmm_process_memory(&rss_after, &peak));
    EXPECT_GT(rss_after, rss_before + n_bytes / 2);
    EXPECT_EQ(1, block[n_bytes / 2]);
}

TEST(Process, MemoryRejectsNull) {
    uint64_t value = 42;
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_process_memory(nullptr, &value));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_process_memory(&value, nullptr));
    EXPECT_EQ(42u, value);
}

TEST(LastError, EmptyOnAThreadWithoutFailures) {
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_process_memory(nullptr, nullptr));
    std::string other = "not asked";
    std::thread([&] { other = llmm_last_error(); }).join();
    EXPECT_EQ("", other);
    EXPECT_NE("", last_error());
}

TEST(LastError, BelongsToItsThread) {
    llmm_model * model = nullptr;
    EXPECT_STATUS(LLMM_ERR_MODEL_NOT_FOUND, llmm_model_open("/no/such/model/here.gguf", nullptr, &model));
    const std::string here = last_error();
    std::string there;
    std::thread([&] {
        llmm_model * none = nullptr;
        llmm_model_open("/another/missing/file.gguf", nullptr, &none);
        there = llmm_last_error();
    }).join();
    EXPECT_TRUE(text_contains(here, "/no/such/model/here.gguf"));
    EXPECT_TRUE(text_contains(there, "/another/missing/file.gguf"));
    EXPECT_EQ(here, last_error());
}

// Cause: a fixed text buffer cut a long message in the middle of a character.
TEST(LastError, LongTextsAreCutBetweenCharacters) {
    for (int pad = 0; pad < 4; pad++) {
        std::string path = "/missing/" + std::string(size_t(pad), 'x');
        for (int i = 0; i < 3000; i++) {
            path += "\xE6\x97\xA5";   // three bytes each: one of the paddings cuts inside a character
        }
        llmm_model * model = nullptr;
        EXPECT_NE(LLMM_OK, llmm_model_open(path.c_str(), nullptr, &model));
        EXPECT_TRUE(is_utf8(last_error()));

        std::string options = "{\"" + std::string(size_t(pad), 'x');
        for (int i = 0; i < 3000; i++) {
            options += "\xE6\x97\xA5";
        }
        options += "\":1}";
        EXPECT_STATUS(LLMM_ERR_JSON, try_sampler(shared_llama(), options));
        EXPECT_TRUE(is_utf8(last_error()));
    }
}

TEST(Buffer, TextIsFollowedByAZeroByteThatDoesNotCount) {
    llmm_buffer * raw = nullptr;
    ASSERT_OK(llmm_model_info(shared_llama(), &raw));
    const buffer_ptr buffer(raw);
    const char * data = static_cast<const char *>(llmm_buffer_data(raw));
    EXPECT_EQ(std::strlen(data), llmm_buffer_size(raw));
    EXPECT_EQ('\0', data[llmm_buffer_size(raw)]);
}

TEST(Buffer, NullIsFine) {
    llmm_buffer_free(nullptr);
    EXPECT_EQ(0u, llmm_buffer_size(nullptr));
    const char * data = static_cast<const char *>(llmm_buffer_data(nullptr));
    EXPECT_TRUE(data == nullptr || *data == '\0');
}

}  // namespace
}  // namespace llmm_test
