#include "cpu_gate.h"

#include "cpu.h"

#include <algorithm>
#include <chrono>

namespace llmm {

namespace {
constexpr auto cancel_poll = std::chrono::milliseconds(10);
}

cpu_gate & cpu_gate::instance() {
    static cpu_gate gate(this_cpu().physical_cores);
    return gate;
}

bool cpu_gate::enter(int32_t n, const std::function<bool()> & cancelled) {
    n = std::min(n, cores_);
    std::unique_lock<std::mutex> lock(mutex_);
    const auto place = waiting_.insert(waiting_.end(), n);
    bool entered = false;
    while (!(entered = place == waiting_.begin() && free_ >= n) && !cancelled()) {
        changed_.wait_for(lock, cancel_poll);
    }
    waiting_.erase(place);
    if (entered) {
        free_ -= n;
    }
    lock.unlock();
    changed_.notify_all();
    return entered;
}

void cpu_gate::leave(int32_t n) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        free_ += std::min(n, cores_);
    }
    changed_.notify_all();
}

}  // namespace llmm
