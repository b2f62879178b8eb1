#include "layer_control.h"

#include "layer_hooks.h"

#include "llama.h"
#include "llama-model.h"

#include <cstdio>
#include <map>
#include <string>

namespace llmm {

namespace {

// Why layers of an architecture cannot stand alone though its graph says where they end; empty if they can.
std::string side_inputs(const llama_model & model) {
    if (llama_model_is_recurrent(&model) || llama_model_is_hybrid(&model)) {
        return "the model keeps a recurrent state";
    }
    switch (model.arch) {
        case LLM_ARCH_GEMMA3N:
        case LLM_ARCH_GEMMA4:
            return "its layers exchange more than hidden states";
        default:
            return "";
    }
}

}  // namespace

layer_control::layer_control(const llama_model * model, layer_range present)
    : hooks_(std::make_shared<layer_hooks>(llama_model_n_layer(model), llama_model_n_embd(model), present)), refusal_(side_inputs(*model)) {}

std::shared_ptr<context_hooks> layer_control::hooks() const {
    return hooks_;
}

std::string layer_control::refusal() const {
    return !refusal_.empty() ? refusal_ : hooks_->knows_layers() ? "" : "the graph of this architecture does not tell where its layers end";
}

layer_range layer_control::range() const {
    return hooks_->range();
}

void layer_control::set_range(layer_range range) {
    hooks_->set_range(range);
}

void layer_control::set_hidden(const float * in, float * out) {
    hooks_->set_hidden(in, out);
}

void layer_control::set_gates(bool on) {
    hooks_->set_gates(on);
}

bool layer_control::has_gates() const {
    return hooks_->has_gates();
}

void layer_control::set_skip(int32_t part, bool skip) {
    hooks_->set_skip(part, skip);
}

void layer_control::set_skip_batches(bool on) {
    hooks_->set_skip_batches(on);
}

void layer_control::set_bypass(int32_t part, std::shared_ptr<const bypass> stand_in) {
    hooks_->set_bypass(part, std::move(stand_in));
}

std::vector<int32_t> layer_control::skippable() const {
    std::vector<int32_t> parts;
    for (int32_t p = 0; p < hooks_->n_parts(); p++) {
        if (hooks_->can_skip(p)) {
            parts.push_back(p);
        }
    }
    return parts;
}

int32_t layer_control::n_skipped() const {
    return hooks_->n_skipped();
}

void layer_control::set_taps(std::vector<layer_tap> taps) {
    hooks_->set_taps(std::move(taps));
}

const std::vector<layer_tap> & layer_control::taps() const {
    return hooks_->taps();
}

void layer_control::set_tap_row(size_t row) {
    hooks_->set_tap_row(row);
}

uint64_t weight_bytes(const llama_model * model, layer_range present) {
    std::map<std::string, uint64_t> sizes;   // where embeddings serve as output too, there are two tensors of the name
    for (const auto & [name, tensor] : model->tensors_by_name) {
        sizes[name] = ggml_nbytes(tensor);
    }
    const bool has_first = present.has(0), has_last = present.has(llama_model_n_layer(model) - 1);
    const bool embeddings = has_first || (has_last && sizes.count("output.weight") == 0);
    uint64_t bytes = 0;
    for (const auto & [name, size] : sizes) {
        int layer = -1;
        const bool in_layer = std::sscanf(name.c_str(), "blk.%d.", &layer) == 1;
        const bool is_embedding = name.compare(0, 10, "token_embd") == 0;
        bytes += (in_layer ? present.has(layer) : is_embedding ? embeddings : has_last) ? size : 0;
    }
    return bytes;
}

llama_model * load_layers(const char * path, const llama_model_params & params, layer_range present, int32_t n_layers) {
    const partial_load_scope scope(present, n_layers);
    return llama_model_load_from_file(path, params);
}

}  // namespace llmm
