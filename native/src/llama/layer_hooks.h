// Layers of a context as parts that can be left out, watched, or evaluated from and to hidden states.
//
// The residual stream of a model with L layers has 2 L + 1 places: 0 is the input of layer 0, 2 l + 1 lies between the
// attention and the feed-forward part of layer l, 2 l + 2 is its output. Part p (2 l: attention, 2 l + 1: feed-forward)
// leads from place p to place p + 1 by an addition. Where an architecture's graph has no such additions, its parts
// cannot be gated.
//
//   range   the graph is cut to layers [begin, end): the input of layer `begin` comes from memory, what layer end - 1 puts
//           out goes there.
//   gates   the addition at the end of a part becomes a node that can pass the residual on without the part, and the
//           part's other nodes are not computed then, except those that its keys and values need. No graph is rebuilt.
//   taps    nodes that copy a place, or what goes into a weight matrix, to memory.
//
// With none of them in use the graph is what it is without these hooks.
#pragma once

#include "layer_tap.h"
#include "llmm-hooks.h"

#include "layers/bypass.h"
#include "layers/layer_range.h"

#include <memory>
#include <string>
#include <vector>

struct ggml_tensor;

namespace llmm {

struct layer_graph;

class layer_hooks final : public context_hooks {
public:
    // `present`: the layers that the model has been loaded with.
    layer_hooks(int32_t n_layers, int32_t width, layer_range present);

    int32_t n_parts() const { return 2 * n_layers_; }

    // Whether the graph tells where each layer ends; known once a context exists.
    bool knows_layers() const { return knows_layers_; }
    // Whether a part can be gated; known once a graph with gates has been built.
    bool can_skip(int32_t part) const { return gates_[(size_t) part].found; }

    void set_range(layer_range range);
    layer_range range() const { return range_; }
    void set_hidden(const float * in, float * out) { hidden_in_ = in; hidden_out_ = out; }

    // Gates in the graph. Off, nothing is skipped.
    void set_gates(bool on);
    bool has_gates() const { return has_gates_; }
    // Of the next steps. `batches`: steps of several tokens too.
    void set_skip(int32_t part, bool skip) { gates_[(size_t) part].skip = skip; }
    void set_skip_batches(bool on) { skip_batches_ = on; }
    void set_bypass(int32_t part, std::shared_ptr<const bypass> stand_in) { gates_[(size_t) part].stand_in = std::move(stand_in); }
    // Parts that the last step left out.
    int32_t n_skipped() const { return n_skipped_; }

    void set_taps(std::vector<layer_tap> taps);
    const std::vector<layer_tap> & taps() const { return taps_; }
    void set_tap_row(size_t row) { tap_row_ = row; }

    layer_range present() const override { return present_; }
    ggml_tensor * after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il) override;
    void finish_graph(llm_graph_context & graph) override;
    bool can_reuse(llm_graph_result & result) override;
    void before_compute(llm_graph_result & result, const llama_ubatch & ubatch) override;

private:
    // Their addresses stay in cached graphs.
    struct gate {
        bool found = false;
        bool skip = false;                   // wanted
        bool skips = false;                  // in the step at hand
        int32_t residual = 0;                // which source of the addition is the residual
        std::shared_ptr<const bypass> stand_in;
    };
    struct tap_node {
        layer_hooks * hooks;
        size_t index;
    };
    friend void gated_add_node(ggml_tensor *, int, int, void *);
    friend void hidden_in_node(ggml_tensor *, int, int, void *);
    friend void hidden_out_node(ggml_tensor *, int, int, void *);
    friend void tap_copy_node(ggml_tensor *, int, int, void *);

    bool changes_graph() const { return !range_.has_all_of(n_layers_) || has_gates_ || !taps_.empty(); }
    layer_graph & extension(const llm_graph_context & graph) const;
    void add_parts(const llm_graph_context & graph, layer_graph & ext, ggml_tensor * cur, int32_t il);
    void add_gate(const llm_graph_context & graph, layer_graph & ext, int32_t part, const std::vector<ggml_tensor *> & nodes,
                  ggml_tensor * sum, const ggml_tensor * residual);
    void add_tap(const llm_graph_context & graph, size_t index, ggml_tensor * from);

    const int32_t n_layers_;
    const int32_t width_;
    const layer_range present_;
    layer_range range_;
    bool knows_layers_ = false;
    int32_t n_calls_ = 0;                    // of after_layer for the graph that is being built
    uint64_t revision_ = 1;                  // of what shapes a graph
    bool has_gates_ = false;
    bool skip_batches_ = false;
    int32_t n_skipped_ = 0;
    std::vector<gate> gates_;                // by part
    std::vector<layer_tap> taps_;
    std::vector<tap_node> tap_nodes_;
    size_t tap_row_ = 0;
    const float * hidden_in_ = nullptr;
    float * hidden_out_ = nullptr;
};

}  // namespace llmm
