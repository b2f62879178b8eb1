// What tests of the kernels share.
#pragma once

#include "attention/kernel_table.h"

#include <cmath>
#include <cstdint>
#include <vector>

// All tables that this machine can run.
inline std::vector<const llmm::kernel_table *> all_tables() {
    std::vector<const llmm::kernel_table *> found;
    for (const char * name : { "generic", "avx2", "avx512", "neon" }) {
        if (const llmm::kernel_table * table = llmm::kernels_named(name)) {
            found.push_back(table);
        }
    }
    return found;
}

// Of finite numbers.
inline double f16_to_double(uint16_t h) {
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return h & 0x8000 ? -size : size;
}
