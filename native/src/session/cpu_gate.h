// Shares the processor's cores between sessions. The threads of a step spin at each node's barrier, so two steps
// that want more cores than there are slow each other down many times over; taking turns is faster for both.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>

namespace llmm {

class cpu_gate {
public:
    explicit cpu_gate(int32_t cores) : cores_(cores), free_(cores) {}

    // The gate of this process, with its physical cores.
    static cpu_gate & instance();

    // Waits in line for n cores (all of them if n is more). False if `cancelled` turned true first.
    bool enter(int32_t n, const std::function<bool()> & cancelled);
    void leave(int32_t n);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    const int32_t cores_;
    int32_t free_;
    std::list<int32_t> waiting_;    // first come, first served: a wide step is not starved by narrow ones
};

}  // namespace llmm
