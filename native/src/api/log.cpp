#include "session/log.h"

#include "guard.h"
#include "llama/row_products_hook.h"
#include "session/assert_scope.h"
#include "session/utf8.h"

#include "ggml-backend.h"
#include "llama.h"

#include <atomic>
#include <mutex>

namespace llmm {

namespace {

struct sink {
    std::mutex mutex;
    llmm_log_cb callback = nullptr;
    void * user_data = nullptr;
    std::atomic<int32_t> level{ LLMM_LOG_OFF };    // read without the lock to drop messages cheaply
};

sink & the_sink() {
    static sink s;
    return s;
}

thread_local std::string * captured_errors = nullptr;
thread_local std::string line;                     // llama.cpp writes lines in pieces
thread_local llmm_log_level line_level = LLMM_LOG_INFO;

llmm_log_level level_of(ggml_log_level level) {
    switch (level) {
        case GGML_LOG_LEVEL_ERROR: return LLMM_LOG_ERROR;
        case GGML_LOG_LEVEL_WARN:  return LLMM_LOG_WARN;
        case GGML_LOG_LEVEL_CONT:  return line_level;
        // What llama.cpp calls info is the detail of loading a model.
        default:                   return LLMM_LOG_DEBUG;
    }
}

void on_llama_log(ggml_log_level level, const char * text, void *) {
    try {
        line_level = level_of(level);
        line += text;
        size_t end;
        while ((end = line.find('\n')) != std::string::npos) {
            const std::string whole = line.substr(0, end);
            line.erase(0, end + 1);
            if (!whole.empty()) {
                if (captured_errors && line_level >= LLMM_LOG_WARN && captured_errors->size() < 4096) {
                    *captured_errors += whole + "\n";
                }
                // A captured error travels in the text of a failure, if there is one to report.
                log_line(captured_errors && line_level == LLMM_LOG_ERROR ? LLMM_LOG_DEBUG : line_level, whole);
            }
        }
    } catch (const std::exception &) {
        // A message is not worth a failure.
    }
}

// "llama_model_load: error loading model: x" -> "x"
std::string without_prefixes(std::string text) {
    for (;;) {
        const size_t colon = text.find(": ");
        if (colon == std::string::npos || colon > 40) {
            return text;
        }
        const std::string head = text.substr(0, colon);
        const bool function = head.find(' ') == std::string::npos && head.find('_') != std::string::npos && head.find('.') == std::string::npos;
        if (!function && head != "error loading model" && head.rfind("error loading model", 0) != 0) {
            return text;
        }
        text.erase(0, colon + 2);
    }
}

}  // namespace

void log_line(llmm_log_level level, const std::string & text) {
    sink & s = the_sink();
    if (level < s.level.load(std::memory_order_relaxed)) {
        return;
    }
    const std::string clean = utf8_repair(text);
    std::lock_guard<std::mutex> lock(s.mutex);
    if (s.callback && level >= s.level.load(std::memory_order_relaxed)) {
        s.callback(level, clean.c_str(), s.user_data);
    }
}

void start_engine() {
    static std::once_flag once;
    std::call_once(once, [] {
        llama_log_set(on_llama_log, nullptr);
        install_assert_handler();
        llama_backend_init();
        if (ggml_backend_dev_count() == 0) {
            ggml_backend_load_all();
        }
        install_row_products();
    });
    if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)) {
        fail(LLMM_ERR_NO_BACKEND, "no compute back end fits this CPU");
    }
}

error_capture::error_capture() : former_(captured_errors) {
    captured_errors = &lines_;
}

error_capture::~error_capture() {
    captured_errors = former_;
}

bool error_capture::mentions(const char * words) const {
    return lines_.find(words) != std::string::npos;
}

std::string error_capture::reason(const char * otherwise) const {
    if (lines_.empty()) {
        return otherwise;
    }
    const std::string first = without_prefixes(lines_.substr(0, lines_.find('\n')));
    return utf8_repair(first);
}

}  // namespace llmm

llmm_status llmm_log_set(int32_t level, llmm_log_cb cb, void * user_data) {
    return llmm::guard([&] {
        if (level < LLMM_LOG_DEBUG || level > LLMM_LOG_OFF) {
            llmm::fail(LLMM_ERR_RANGE, "level is %d; it must be 1 (debug) to 5 (off)", level);
        }
        llmm::start_engine();
        auto & s = llmm::the_sink();
        std::lock_guard<std::mutex> lock(s.mutex);
        s.callback = cb;
        s.user_data = user_data;
        s.level.store(cb ? level : LLMM_LOG_OFF, std::memory_order_relaxed);
    });
}
