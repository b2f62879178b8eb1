// Random numbers that are the same everywhere.
#pragma once

#include <cstdint>

namespace llmm {

// A fixed one in [0, 1) for a page of a head.
inline float hash_unit(uint32_t unit, uint32_t page) {
    uint64_t x = ((uint64_t) unit << 32 | page) + 0x9E3779B97F4A7C15ull;     // splitmix64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return (float) (x >> 40) * 0x1p-24f;
}

}  // namespace llmm
