// What this process may use of the machine's processor.
#pragma once

#include <cstdint>
#include <string>

namespace llmm {

struct cpu_facts {
    std::string name;              // as the system calls it, "unknown" if it does not
    int32_t physical_cores = 1;    // cores this process may run on: affinity and container limit respected
    int32_t logical_cores = 1;
};

// Read once, then kept.
const cpu_facts & this_cpu();

}  // namespace llmm
