// Functions of the CPU back end, found by name: with run-time dispatch it is a plug-in and cannot be linked.
#pragma once

#include "ggml-backend.h"

namespace llmm {

// A function of that type and name; null if this back end has none, or there is no back end.
template <typename F>
F cpu_function(const char * name) {
    const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return cpu ? (F) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name) : nullptr;
}

}  // namespace llmm
