// What a session needs of the layer hooks, without llama.cpp's internal headers.
#pragma once

#include "layer_tap.h"

#include "layers/bypass.h"
#include "layers/layer_range.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct llama_model;
struct llama_model_params;

namespace llmm {

class context_hooks;
class layer_hooks;

// Layers of one context: see layer_hooks.h. Outlives it.
class layer_control {
public:
    layer_control(const llama_model * model, layer_range present);

    // For new_context.
    std::shared_ptr<context_hooks> hooks() const;

    // Why layers cannot be told apart in this model's graph; empty if they can. Known once the context exists.
    std::string refusal() const;

    layer_range range() const;
    void set_range(layer_range range);
    // Of the next step: rows of the model's width, read from `in` where the range begins past 0, written to `out` where it
    // ends before the last layer.
    void set_hidden(const float * in, float * out);

    void set_gates(bool on);
    bool has_gates() const;
    void set_skip(int32_t part, bool skip);
    void set_skip_batches(bool on);
    void set_bypass(int32_t part, std::shared_ptr<const bypass> stand_in);
    std::vector<int32_t> skippable() const;      // parts; known once there is a graph with gates
    int32_t n_skipped() const;

    void set_taps(std::vector<layer_tap> taps);
    const std::vector<layer_tap> & taps() const;
    void set_tap_row(size_t row);

private:
    std::shared_ptr<layer_hooks> hooks_;
    std::string refusal_;
};

// Bytes of the weights that a model has for these layers, with the embeddings if they begin with layer 0, and with what
// stands after the last layer if they end there.
uint64_t weight_bytes(const llama_model * model, layer_range present);

// Loads a model for a range of its n_layers layers; others cost no memory.
llama_model * load_layers(const char * path, const llama_model_params & params, layer_range present, int32_t n_layers);

}  // namespace llmm
