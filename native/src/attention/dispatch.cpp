#include "kernel_table.h"

#include <cstdlib>
#include <cstring>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace llmm {

namespace {

bool can_run(const kernel_table & table) {
    if (&table == &generic_kernels) {
        return true;
    }
#if defined(__x86_64__) || defined(_M_X64)
    // __builtin_cpu_supports asks the operating system too whether it keeps the registers.
    if (&table == &avx512_kernels) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx2") &&
               __builtin_cpu_supports("fma");
    }
    if (&table == &avx2_kernels) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    }
#elif defined(__aarch64__)
#  if defined(__linux__)
    constexpr unsigned long dot_product = 1ul << 20;         // HWCAP_ASIMDDP
    return (getauxval(AT_HWCAP) & dot_product) != 0;
#  else
    return true;                                             // every arm64 Mac has the dot product
#  endif
#endif
    return false;
}

const kernel_table * const * all_tables() {
    static const kernel_table * const tables[] = {
#if defined(__x86_64__) || defined(_M_X64)
        &avx512_kernels, &avx2_kernels,
#elif defined(__aarch64__)
        &neon_kernels,
#endif
        &generic_kernels, nullptr
    };
    return tables;
}

}  // namespace

const kernel_table * kernels_named(const char * name) {
    for (const kernel_table * const * t = all_tables(); *t; t++) {
        if (std::strcmp((*t)->name, name) == 0 && can_run(**t)) {
            return *t;
        }
    }
    return nullptr;
}

const kernel_table & kernels() {
    static const kernel_table & chosen = []() -> const kernel_table & {
        if (const char * wish = std::getenv("LLMM_ISA")) {
            if (const kernel_table * table = kernels_named(wish)) {
                return *table;
            }
        }
        const kernel_table * const * t = all_tables();
        while (!can_run(**t)) {
            t++;
        }
        return **t;
    }();
    return chosen;
}

}  // namespace llmm
