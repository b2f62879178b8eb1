// Failures on demand: tests make the system refuse what it seldom refuses. Points lie on cold paths alone and cost one
// load while nothing is set.
#pragma once

#include <atomic>
#include <cstdint>

namespace llmm::fault {

enum class point { allocate, write, read };
constexpr int points = 3;

extern std::atomic<uint32_t> every[points];      // 0: never

bool count(point p);

// Whether the operation at this point has to fail now. Any thread.
inline bool due(point p) {
    return every[(int) p].load(std::memory_order_relaxed) != 0 && count(p);
}

// For tests: from now on every k-th operation fails, counted over all threads; 0 ends it.
void set(point p, uint32_t every_k);

// The same until the end of a block.
class scope {
public:
    scope(point p, uint32_t every_k) : point_(p) { set(p, every_k); }
    ~scope() { set(point_, 0); }
    scope(const scope &) = delete;
    scope & operator=(const scope &) = delete;

private:
    point point_;
};

}  // namespace llmm::fault
