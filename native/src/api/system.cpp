#include "build_info.h"
#include "guard.h"
#include "llama/cpu_backend.h"
#include "session/cpu.h"
#include "session/log.h"

#include "ggml-backend.h"
#include "llama.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>

#if defined(__APPLE__)
#    include <mach/mach.h>
#endif

uint32_t llmm_abi_version(void) {
    return LLMM_ABI_VERSION;
}

const char * llmm_build_info(void) {
    static const std::string info = nlohmann::ordered_json{
        { "version", LLMM_VERSION },
        { "abi", LLMM_ABI_VERSION },
        { "llama_cpp", { { "version", LLMM_LLAMA_CPP_VERSION }, { "tree", LLMM_LLAMA_CPP_TREE }, { "patches", LLMM_LLAMA_CPP_PATCHES } } },
        { "compiler", LLMM_COMPILER },
        { "build_type", LLMM_BUILD_TYPE },
    }.dump();
    return info.c_str();
}

const char * llmm_system_info(void) {
    static const std::string info = [] {
        const auto & cpu = llmm::this_cpu();
        auto features = nlohmann::ordered_json::array();
        try {
            llmm::start_engine();
            const auto get = llmm::cpu_function<ggml_backend_get_features_t>("ggml_backend_get_features");
            ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
            for (auto * f = get ? get(reg) : nullptr; f && f->name; f++) {
                if (std::string(f->value) != "0") {
                    features.push_back(f->name);
                }
            }
        } catch (const llmm::failure &) {
            // No back end: the list stays empty.
        }
        return nlohmann::ordered_json{
            { "cpu", cpu.name },
            { "physical_cores", cpu.physical_cores },
            { "logical_cores", cpu.logical_cores },
            { "features", features },
        }.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    }();
    return info.c_str();
}

llmm_status llmm_process_memory(uint64_t * rss_bytes, uint64_t * peak_rss_bytes) {
    return llmm::guard([&] {
        llmm::require(rss_bytes, "rss_bytes");
        llmm::require(peak_rss_bytes, "peak_rss_bytes");
        uint64_t rss = 0, peak = 0;
#if defined(__linux__)
        std::ifstream in("/proc/self/status");
        for (std::string line; std::getline(in, line);) {
            unsigned long long kib = 0;
            if (std::sscanf(line.c_str(), "VmRSS: %llu", &kib) == 1) {
                rss = kib * 1024;
            } else if (std::sscanf(line.c_str(), "VmHWM: %llu", &kib) == 1) {
                peak = kib * 1024;
            }
        }
#elif defined(__APPLE__)
        mach_task_basic_info info;
        mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
        if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t) &info, &count) == KERN_SUCCESS) {
            rss = info.resident_size;
            peak = info.resident_size_max;
        }
#endif
        *rss_bytes = rss;
        *peak_rss_bytes = peak;
    });
}
