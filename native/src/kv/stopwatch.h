// Adds the time until its end to a counter.
#pragma once

#include <chrono>
#include <cstdint>

namespace llmm {

class stopwatch {
public:
    explicit stopwatch(int64_t & us) : us_(us), began_(std::chrono::steady_clock::now()) {}
    ~stopwatch() { us_ += std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began_).count(); }
    stopwatch(const stopwatch &) = delete;
    stopwatch & operator=(const stopwatch &) = delete;

private:
    int64_t & us_;
    const std::chrono::steady_clock::time_point began_;
};

}  // namespace llmm
