#include "memory_report.h"

#include "ggml.h"
#include "llama-context.h"
#include "llama-ext.h"
#include "llama-graph.h"

namespace llmm {

memory_report report_memory(const llama_context * context) {
    memory_report report;
    for (const auto & entry : llama_get_memory_breakdown(context)) {
        report.kv_bytes += entry.second.context;
        report.compute_bytes += entry.second.compute;
    }
    // Graphs, which that leaves out: one that buffers are sized by, and the last two that were made.
    const auto nodes = (size_t) context->get_gf_res_reserve()->get_max_nodes();
    report.compute_bytes += 3 * (nodes * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes, false));
    return report;
}

}  // namespace llmm
