#include "cpu.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#if defined(__linux__)
#    include <sched.h>
#endif
#if defined(__APPLE__)
#    include <sys/sysctl.h>
#endif

namespace llmm {

namespace {

std::string first_line(const std::string & path) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

// Processors of the container's quota (cgroup v2), or a large number without one.
int32_t quota_cores() {
    std::istringstream in(first_line("/sys/fs/cgroup/cpu.max"));
    double quota = 0, period = 0;
    if (in >> quota >> period && quota > 0 && period > 0) {
        return std::max(1, (int32_t) std::ceil(quota / period));
    }
    return INT32_MAX;
}

cpu_facts read_cpu() {
    cpu_facts facts;
    facts.name = "unknown";
    facts.logical_cores = std::max(1u, std::thread::hardware_concurrency());
    facts.physical_cores = facts.logical_cores;
#if defined(__linux__)
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);) {
        const size_t colon = line.find(": ");
        if (colon != std::string::npos && (line.rfind("model name", 0) == 0 || line.rfind("Hardware", 0) == 0)) {
            facts.name = line.substr(colon + 2);
            break;
        }
    }
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        std::set<std::string> cores;          // one entry for all hardware threads of a core
        int32_t n_logical = 0;
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &allowed)) {
                continue;
            }
            n_logical++;
            std::string siblings =
                first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
            cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
        }
        facts.logical_cores = std::max(1, n_logical);
        facts.physical_cores = std::max(1, (int32_t) cores.size());
    }
#elif defined(__APPLE__)
    int32_t n = 0;
    size_t size = sizeof(n);
    if (sysctlbyname("hw.perflevel0.physicalcpu", &n, &size, nullptr, 0) == 0 && n > 0) {
        facts.physical_cores = n;             // performance cores; efficiency cores slow a step down
    }
    char name[256];
    size = sizeof(name);
    if (sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) == 0) {
        facts.name = name;
    }
#endif
    facts.physical_cores = std::min({ facts.physical_cores, facts.logical_cores, quota_cores() });
    return facts;
}

}  // namespace

const cpu_facts & this_cpu() {
    static const cpu_facts facts = read_cpu();
    return facts;
}

}  // namespace llmm
