// Messages of ours and of llama.cpp, one line at a time, to one process-wide callback.
#pragma once

#include "llm_mobile.h"

#include <string>

namespace llmm {

// Routes llama.cpp's messages through here and starts the back end, once. Every entry that may reach llama.cpp
// calls it first. Throws LLMM_ERR_NO_BACKEND if no compute back end fits this CPU.
void start_engine();

void log_line(llmm_log_level level, const std::string & text);

// The errors that llama.cpp reported on this thread while the scope lived: the reason behind a null pointer.
class error_capture {
public:
    error_capture();
    ~error_capture();
    error_capture(const error_capture &) = delete;
    error_capture & operator=(const error_capture &) = delete;

    // First and last error line joined, without llama.cpp's function names; `otherwise` if there was none.
    std::string reason(const char * otherwise) const;
    bool mentions(const char * words) const;

private:
    std::string * former_;
    std::string lines_;
};

}  // namespace llmm
