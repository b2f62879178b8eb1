#include "fault.h"

namespace llmm::fault {

std::atomic<uint32_t> every[points];

namespace {

std::atomic<uint32_t> counted[points];

}  // namespace

bool count(point p) {
    const uint32_t k = every[(int) p].load(std::memory_order_relaxed);
    return k != 0 && (counted[(int) p].fetch_add(1, std::memory_order_relaxed) + 1) % k == 0;
}

void set(point p, uint32_t every_k) {
    counted[(int) p].store(0, std::memory_order_relaxed);
    every[(int) p].store(every_k, std::memory_order_relaxed);
}

}  // namespace llmm::fault
