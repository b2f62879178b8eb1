// Logging: silence before the first call, levels, whole lines, and a callback that is never entered twice at once and
// never after it has been replaced.
#include "test_support.h"

#include <atomic>
#include <mutex>
#include <thread>

namespace llmm_test {
namespace {

struct sink {
    std::mutex                                   mutex;
    std::vector<std::pair<int32_t, std::string>> lines;
    std::atomic<int>                             inside{0};
    std::atomic<bool>                            overlapped{false};
    std::atomic<long>                            calls{0};
};

void collect_line(int32_t level, const char * text, void * user_data) {
    sink * s = static_cast<sink *>(user_data);
    if (s->inside.fetch_add(1) != 0) {
        s->overlapped = true;
    }
    s->calls++;
    {
        std::lock_guard<std::mutex> lock(s->mutex);
        s->lines.emplace_back(level, text);
    }
    std::this_thread::yield();   // widens the window in which a second entry would show
    s->inside.fetch_sub(1);
}

// Silences the library again, whatever the test did.
class Log : public ::testing::Test {
protected:
    void TearDown() override { llmm_log_set(LLMM_LOG_OFF, nullptr, nullptr); }

    // Work that makes llama.cpp write many lines.
    static void open_and_close() {
        const model_ptr model     = open_model(shared_path(tiny_arch::llama));
        const session_ptr session = new_session(model.get());
        eval(session.get(), random_tokens(4, 1));
    }

    static void open_broken() {
        const std::string path = temp_path("log-broken.gguf");
        write_file(path, "GGUF but no more");
        llmm_model * model = nullptr;
        EXPECT_NE(LLMM_OK, llmm_model_open(path.c_str(), nullptr, &model));
    }
};

TEST_F(Log, NothingIsPrintedBeforeTheFirstCall) {
    shared_path(tiny_arch::llama);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    open_and_close();
    open_broken();
    EXPECT_EQ("", ::testing::internal::GetCapturedStdout());
    EXPECT_EQ("", ::testing::internal::GetCapturedStderr());
}

TEST_F(Log, NothingIsPrintedWhileACallbackTakesTheLines) {
    sink s;
    ASSERT_OK(llmm_log_set(LLMM_LOG_DEBUG, collect_line, &s));
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    open_and_close();
    ASSERT_OK(llmm_log_set(LLMM_LOG_OFF, nullptr, nullptr));
    EXPECT_EQ("", ::testing::internal::GetCapturedStdout());
    EXPECT_EQ("", ::testing::internal::GetCapturedStderr());
    EXPECT_FALSE(s.lines.empty());
}

TEST_F(Log, LinesAreCompleteAndWithoutNewline) {
    sink s;
    ASSERT_OK(llmm_log_set(LLMM_LOG_DEBUG, collect_line, &s));
    open_and_close();
    ASSERT_OK(llmm_log_set(LLMM_LOG_OFF, nullptr, nullptr));
    ASSERT_FALSE(s.lines.empty());
    for (const auto & line : s.lines) {
        EXPECT_EQ(std::string::npos, line.second.find('\n')) << line.second;
        EXPECT_GE(line.first, LLMM_LOG_DEBUG);
        EXPECT_LE(line.first, LLMM_LOG_ERROR);
    }
}

TEST_F(Log, OnlyTheAskedLevelAndAboveArrive) {
    size_t n_lines_before = SIZE_MAX;
    for (const int32_t level : {LLMM_LOG_DEBUG, LLMM_LOG_INFO, LLMM_LOG_WARN, LLMM_LOG_ERROR}) {
        sink s;
        ASSERT_OK(llmm_log_set(level, collect_line, &s));
        open_and_close();
        open_broken();
        ASSERT_OK(llmm_log_set(LLMM_LOG_OFF, nullptr, nullptr));
        for (const auto & line : s.lines) {
            EXPECT_GE(line.first, level) << line.second;
        }
        EXPECT_LE(s.lines.size(), n_lines_before);
        n_lines_before = s.lines.size();
    }
}

TEST_F(Log, OffSilencesEvenWithACallback) {
    sink s;
    ASSERT_OK(llmm_log_set(LLMM_LOG_OFF, collect_line, &s));
    open_and_close();
    open_broken();
    EXPECT_EQ(0, s.calls.load());
}

TEST_F(Log, NullCallbackSilences) {
    sink s;
    ASSERT_OK(llmm_log_set(LLMM_LOG_DEBUG, collect_line, &s));
    open_and_close();
    EXPECT_GT(s.calls.load(), 0);
    ASSERT_OK(llmm_log_set(LLMM_LOG_DEBUG, nullptr, nullptr));
    const long before = s.calls.load();
    open_and_close();
    EXPECT_EQ(before, s.calls.load());
}

TEST_F(Log, UnknownLevelsAreRejectedAndChangeNothing) {
    sink s;
    ASSERT_OK(llmm_log_set(LLMM_LOG_DEBUG, collect_line, &s));
    for (const int32_t level : {0, -1, 6, INT32_MAX, INT32_MIN}) {
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_log_set(level, nullptr, nullptr));
    }
    open_and_close();
    EXPECT_GT(s.calls.load(), 0);
}

TEST_F(Log, CallbackIsNeverEnteredTwiceAtOnce) {
    sink s;
    shared_path(tiny_arch::llama);
    ASSERT_OK(llmm_log_set(LLMM_LOG_DEBUG, collect_line, &s));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([] {
            for (int k = 0; k < 3; k++) {
                open_and_close();
            }
        });
    }
    for (std::thread & t : threads) {
        t.join();
    }
    ASSERT_OK(llmm_log_set(LLMM_LOG_OFF, nullptr, nullptr));
    EXPECT_FALSE(s.overlapped.load());
    EXPECT_GT(s.calls.load(), 0);
}

TEST_F(Log, ReplacedCallbackNeverRunsAgain) {
    shared_path(tiny_arch::llama);
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        while (!stop) {
            open_and_close();
        }
    });
    for (int i = 0; i < 50; i++) {
        sink s;   // goes out of scope right after the replacement: a late call would touch dead memory
        EXPECT_OK(llmm_log_set(LLMM_LOG_DEBUG, collect_line, &s));
        while (s.calls.load() < 3) {
            std::this_thread::yield();
        }
        EXPECT_OK(llmm_log_set(LLMM_LOG_OFF, nullptr, nullptr));
        EXPECT_EQ(0, s.inside.load());
        const long calls = s.calls.load();
        std::this_thread::yield();
        EXPECT_EQ(calls, s.calls.load());
    }
    stop = true;
    writer.join();
}

}  // namespace
}  // namespace llmm_test
