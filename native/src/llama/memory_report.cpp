#include "memory_report.h"

#include "llama-ext.h"

namespace llmm {

memory_report report_memory(const llama_context * context) {
    memory_report report;
    for (const auto & entry : llama_get_memory_breakdown(context)) {
        report.kv_bytes += entry.second.context;
        report.compute_bytes += entry.second.compute;
    }
    return report;
}

}  // namespace llmm
