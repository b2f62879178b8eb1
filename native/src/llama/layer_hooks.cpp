#include "layer_hooks.h"

#include "paged_cache.h"

#include "llama-graph.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <unordered_set>

namespace llmm {

// What the hooks keep with a graph.
struct layer_graph {
    struct part {
        int32_t index;
        std::vector<ggml_tensor *> nodes;    // not computed when the part is skipped
        bool skipped = false;                // as their flags are now
    };

    uint64_t revision = 0;
    ggml_tensor * residual = nullptr;        // what the last layer put out
    int32_t first_node = 0;                  // of the layers in range
    int32_t next_node = 0;                   // first one that no layer has claimed
    ggml_tensor * last = nullptr;            // node to end the graph with; null: its own end
    std::vector<part> parts;
};

// ---- nodes --------------------------------------------------------------------------------------------------------

namespace {

struct slice {
    int64_t begin, end;

    slice(int64_t n, int ith, int nth) : begin(n * ith / nth), end(n * (ith + 1) / nth) {}
};

float * row_of(const ggml_tensor * t, int64_t row) {
    return (float *) ((char *) t->data + row * t->nb[1]);
}

void copy_rows(const ggml_tensor * from, float * to, int ith, int nth) {
    const slice rows(from->ne[1], ith, nth);
    for (int64_t row = rows.begin; row < rows.end; row++) {
        std::memcpy(to + row * from->ne[0], row_of(from, row), (size_t) from->ne[0] * sizeof(float));
    }
}

bool are_plain_rows(const ggml_tensor * t) {
    return t->type == GGML_TYPE_F32 && t->nb[0] == sizeof(float) && t->ne[2] == 1 && t->ne[3] == 1;
}

ggml_tensor * custom(const llm_graph_context & graph, int64_t width, int64_t rows, std::vector<ggml_tensor *> from, ggml_custom_op_t f, void * data) {
    return ggml_custom_4d(graph.ctx0, GGML_TYPE_F32, width, rows, 1, 1, from.data(), (int) from.size(), f, GGML_N_TASKS_MAX, data);
}

}  // namespace

// Sources as those of the addition in whose place it stands.
void gated_add_node(ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & gate = *static_cast<const layer_hooks::gate *>(userdata);
    const ggml_tensor * residual = dst->src[gate.residual];
    const ggml_tensor * part = dst->src[1 - gate.residual];
    const int64_t width = dst->ne[0], rows = dst->ne[1];
    const bool by_rows = rows >= nth;
    const slice r(rows, by_rows ? ith : 0, by_rows ? nth : 1);
    const slice c(width, by_rows ? 0 : ith, by_rows ? 1 : nth);
    for (int64_t row = r.begin; row < r.end; row++) {
        const float * x = row_of(residual, row);
        float * out = row_of(dst, row);
        if (!gate.skips) {
            const float * y = row_of(part, row);
            for (int64_t i = c.begin; i < c.end; i++) {
                out[i] = x[i] + y[i];
            }
        } else if (gate.stand_in) {
            gate.stand_in->add_to(x, out, (int32_t) c.begin, (int32_t) c.end);
        } else {
            std::memcpy(out + c.begin, x + c.begin, (size_t) (c.end - c.begin) * sizeof(float));
        }
    }
}

void hidden_in_node(ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & hooks = *static_cast<const layer_hooks *>(userdata);
    const slice all(ggml_nelements(dst), ith, nth);
    float * to = static_cast<float *>(dst->data);
    if (hooks.hidden_in_) {
        std::memcpy(to + all.begin, hooks.hidden_in_ + all.begin, (size_t) (all.end - all.begin) * sizeof(float));
    } else {
        std::fill(to + all.begin, to + all.end, 0.0f);
    }
}

// Source: the last layer's output.
void hidden_out_node(ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & hooks = *static_cast<const layer_hooks *>(userdata);
    if (hooks.hidden_out_) {
        copy_rows(dst->src[0], hooks.hidden_out_, ith, nth);
    }
}

// Source: what is tapped.
void tap_copy_node(ggml_tensor * dst, int ith, int nth, void * userdata) {
    const auto & node = *static_cast<const layer_hooks::tap_node *>(userdata);
    const layer_tap & tap = node.hooks->taps_[node.index];
    if (tap.to) {
        copy_rows(dst->src[0], tap.to + node.hooks->tap_row_ * (size_t) tap.width, ith, nth);
    }
}

// ---- settings -----------------------------------------------------------------------------------------------------

layer_hooks::layer_hooks(int32_t n_layers, int32_t width, layer_range present)
    : n_layers_(n_layers), width_(width), present_({ present.begin, std::min(present.end, n_layers) }), range_(present_),
      gates_((size_t) (2 * n_layers)) {}

void layer_hooks::set_range(layer_range range) {
    range.end = std::min(range.end, n_layers_);
    if (range != range_) {
        range_ = range;
        revision_++;
    }
}

void layer_hooks::set_gates(bool on) {
    if (on != has_gates_) {
        has_gates_ = on;
        revision_++;
    }
}

void layer_hooks::set_taps(std::vector<layer_tap> taps) {
    taps_ = std::move(taps);
    tap_nodes_.clear();
    for (size_t i = 0; i < taps_.size(); i++) {
        tap_nodes_.push_back({ this, i });
    }
    revision_++;
}

// ---- building -----------------------------------------------------------------------------------------------------

layer_graph & layer_hooks::extension(const llm_graph_context & graph) const {
    auto & kept = graph.res->llmm_ext;
    if (!kept) {
        kept = std::make_shared<layer_graph>();
        static_cast<layer_graph *>(kept.get())->revision = revision_;
    }
    return *static_cast<layer_graph *>(kept.get());
}

ggml_tensor * layer_hooks::after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il) {
    n_calls_++;
    if (!changes_graph()) {
        return cur;
    }
    layer_graph & ext = extension(graph);
    if (il + 1 == range_.begin) {
        ext.first_node = ext.next_node = ggml_graph_n_nodes(graph.gf);
        ext.residual = custom(graph, width_, graph.n_tokens, {}, hidden_in_node, this);
        return ext.residual;
    }
    if (!range_.has(il)) {
        return cur;
    }
    if (has_gates_ || !taps_.empty()) {
        add_parts(graph, ext, cur, il);
    }
    if (il + 1 == range_.end && range_.end < n_layers_) {
        ext.last = custom(graph, 1, 1, { cur }, hidden_out_node, this);
        ggml_build_forward_expand(graph.gf, ext.last);
    }
    ext.residual = cur;
    return cur;
}

namespace {

// The addition that ends the attention part of a layer: one of the sources of its last addition, and itself an addition to
// what came into the layer, which for the first layer of a graph is not known and taken to be what was computed first.
ggml_tensor * middle_of(const std::vector<ggml_tensor *> & nodes, const ggml_tensor * out, const ggml_tensor * in) {
    for (int s = 0; s < 2 && out->op == GGML_OP_ADD; s++) {
        ggml_tensor * mid = out->src[s];
        if (mid->op != GGML_OP_ADD || std::find(nodes.begin(), nodes.end(), mid) == nodes.end()) {
            continue;
        }
        if (!in || mid->src[0] == in || mid->src[1] == in) {
            return mid;
        }
    }
    return nullptr;
}

// What a weight matrix is multiplied with; null if it is not multiplied here.
ggml_tensor * input_of(const std::vector<ggml_tensor *> & nodes, const std::string & weight) {
    const auto product = std::find_if(nodes.begin(), nodes.end(), [&](const ggml_tensor * node) {
        return node->op == GGML_OP_MUL_MAT && weight == node->src[0]->name;
    });
    return product == nodes.end() ? nullptr : (*product)->src[1];
}

}  // namespace

void layer_hooks::add_parts(const llm_graph_context & graph, layer_graph & ext, ggml_tensor * cur, int32_t il) {
    ggml_build_forward_expand(graph.gf, cur);
    std::vector<ggml_tensor *> nodes;
    for (int32_t i = ext.next_node; i < ggml_graph_n_nodes(graph.gf); i++) {
        nodes.push_back(ggml_graph_node(graph.gf, i));
    }
    ggml_tensor * mid = middle_of(nodes, cur, ext.residual);
    ggml_tensor * in = ext.residual;
    if (mid && !in) {
        const auto at = [&](const ggml_tensor * t) { return std::find(nodes.begin(), nodes.end(), t) - nodes.begin(); };
        in = at(mid->src[0]) < at(mid->src[1]) ? mid->src[0] : mid->src[1];
    }
    if (mid && has_gates_ && il > 0 && il + 1 < n_layers_) {
        const auto split = std::find(nodes.begin(), nodes.end(), mid);
        add_gate(graph, ext, 2 * il, { nodes.begin(), split }, mid, in);
        add_gate(graph, ext, 2 * il + 1, { split + 1, std::find(nodes.begin(), nodes.end(), cur) }, cur, mid);
    }
    for (size_t i = 0; i < taps_.size(); i++) {
        const int32_t place = taps_[i].place;
        ggml_tensor * from = place < 0 ? input_of(nodes, taps_[i].weight)
                           : place == 2 * il + 2 ? cur
                           : place == 2 * il + 1 ? mid
                           : place == 0 && il == 0 ? in
                                                   : nullptr;
        if (from) {
            add_tap(graph, i, from);
        }
    }
    ext.next_node = ggml_graph_n_nodes(graph.gf);
}

void layer_hooks::add_tap(const llm_graph_context & graph, size_t index, ggml_tensor * from) {
    layer_tap & tap = taps_[index];
    if (!are_plain_rows(from) || from->ne[0] != tap.width) {
        return;
    }
    tap.found = true;
    ggml_build_forward_expand(graph.gf, custom(graph, 1, 1, { from }, tap_copy_node, &tap_nodes_[index]));
}

void layer_hooks::add_gate(const llm_graph_context & graph, layer_graph & ext, int32_t part, const std::vector<ggml_tensor *> & nodes,
                           ggml_tensor * sum, const ggml_tensor * residual) {
    if (!are_plain_rows(sum) || !ggml_are_same_shape(sum->src[0], sum->src[1]) || !are_plain_rows(sum->src[0]) || !are_plain_rows(sum->src[1])) {
        return;
    }
    // What keys and values need is computed all the same.
    std::unordered_set<const ggml_tensor *> own(nodes.begin(), nodes.end());
    std::vector<const ggml_tensor *> kept;
    for (const ggml_tensor * node : nodes) {
        if (is_store_node(node) || node->op == GGML_OP_SET_ROWS) {
            kept.push_back(node);
        }
    }
    while (!kept.empty()) {
        const ggml_tensor * node = kept.back();
        kept.pop_back();
        if (own.erase(node) == 0) {
            continue;
        }
        kept.insert(kept.end(), node->src, std::find(node->src, node->src + GGML_MAX_SRC, nullptr));
        if (node->view_src) {
            kept.push_back(node->view_src);
        }
    }
    layer_graph::part p;
    p.index = part;
    std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(p.nodes), [&](const ggml_tensor * node) { return own.count(node) > 0; });
    ext.parts.push_back(std::move(p));

    // Both operands stay sources, so that neither's memory is given to another node before this one.
    gate & g = gates_[(size_t) part];
    g.found = true;
    g.residual = sum->src[0] == residual ? 0 : 1;
    const ggml_tensor * model = custom(graph, 1, 1, {}, gated_add_node, &g);
    std::memcpy(sum->op_params, model->op_params, sizeof(sum->op_params));
    sum->op = model->op;
}

void layer_hooks::finish_graph(llm_graph_context & graph) {
    knows_layers_ = n_calls_ == n_layers_;
    n_calls_ = 0;
    if (!changes_graph()) {
        return;
    }
    if (!knows_layers_) {
        throw std::runtime_error("the graph of this architecture does not tell where its layers end");
    }
    if (range_.has_all_of(n_layers_)) {
        return;
    }
    // The graph again, with the nodes of these layers and with all inputs, which llama.cpp fills in whether used or not.
    const layer_graph & ext = extension(graph);
    std::vector<ggml_tensor *> nodes;
    for (int32_t i = ext.first_node; i < ggml_graph_n_nodes(graph.gf) && (nodes.empty() || nodes.back() != ext.last); i++) {
        nodes.push_back(ggml_graph_node(graph.gf, i));
    }
    // What decides on flash attention looks at all of these.
    auto & fused = graph.res->fused_nodes;
    fused.erase(std::remove_if(fused.begin(), fused.end(), [&](const auto & f) { return std::find(nodes.begin(), nodes.end(), f.tensor) == nodes.end(); }),
                fused.end());
    ggml_graph_clear(graph.gf);
    for (ggml_tensor * node : nodes) {
        ggml_build_forward_expand(graph.gf, node);
    }
    for (ggml_tensor * t = ggml_get_first_tensor(graph.ctx0); t; t = ggml_get_next_tensor(graph.ctx0, t)) {
        if (t->flags & GGML_TENSOR_FLAG_INPUT) {
            ggml_build_forward_expand(graph.gf, t);
        }
    }
    if (ext.last) {
        graph.res->t_logits = nullptr;
        graph.res->t_embd = nullptr;
    }
}

bool layer_hooks::can_reuse(llm_graph_result & result) {
    const auto * ext = static_cast<const layer_graph *>(result.llmm_ext.get());
    return ext ? ext->revision == revision_ : !changes_graph();
}

// ---- stepping -----------------------------------------------------------------------------------------------------

void layer_hooks::before_compute(llm_graph_result & result, const llama_ubatch & ubatch) {
    n_skipped_ = 0;
    auto * ext = static_cast<layer_graph *>(result.llmm_ext.get());
    if (!ext) {
        return;
    }
    const bool acts = has_gates_ && (ubatch.n_tokens == 1 || skip_batches_);
    for (layer_graph::part & part : ext->parts) {
        gate & g = gates_[(size_t) part.index];
        g.skips = acts && g.skip;
        n_skipped_ += g.skips;
        if (part.skipped == g.skips) {
            continue;
        }
        for (ggml_tensor * node : part.nodes) {
            node->flags = g.skips ? node->flags & ~GGML_TENSOR_FLAG_COMPUTE : node->flags | GGML_TENSOR_FLAG_COMPUTE;
        }
        part.skipped = g.skips;
    }
}

}  // namespace llmm
