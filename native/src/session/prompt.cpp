// Prompts of which later layers see only a part: all tokens go through the first layers, then those that matter through the
// others, page by page of the cache (FastKV, arXiv 2502.01068; LazyLLM, arXiv 2407.14057).
#include "evaluator.h"
#include "failure.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>

namespace llmm {

namespace {

constexpr int32_t longest_piece = 16384;           // tokens; a longer prompt is chosen from piece by piece
constexpr int32_t watched_tokens = 32;             // at the end of a piece (SnapKV, arXiv 2404.14469)

// Whatever happens, the next step is an ordinary one.
class prompt_scope {
public:
    prompt_scope(paging & pages, layer_control & layers, std::function<void()> restore) : pages_(pages), layers_(layers), restore_(std::move(restore)) {}
    prompt_scope(const prompt_scope &) = delete;
    prompt_scope & operator=(const prompt_scope &) = delete;
    ~prompt_scope() {
        layers_.set_hidden(nullptr, nullptr);
        pages_.end_prompt();
        restore_();
    }

private:
    paging & pages_;
    layer_control & layers_;
    std::function<void()> restore_;
};

}  // namespace

void evaluator::check_pruning(const prune_settings & settings) const {
    if (!paging_ || !settings.prunes_prompts()) {
        return;
    }
    const int32_t last = owner_->n_layers() - 1;
    if (settings.prefill_layer > last || last < 1) {
        fail(LLMM_ERR_RANGE, "prefill_layer is %d; the last layer of the model is %d", settings.prefill_layer, last);
    }
    std::string refusal = layers_->refusal();
    if (refusal.empty() && !layers_->range().has_all_of(owner_->n_layers())) {
        refusal = "the session has a part of its layers";
    }
    refusal = refusal.empty() ? paging_->refuses_partial_prompts() : refusal;
    if (!refusal.empty()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "prompts to this model cannot be pruned: %s", refusal.c_str());
    }
}

int32_t evaluator::first_pruned_layer() const {
    return params_.prune.prefill_layer > 0 ? params_.prune.prefill_layer : std::max(1, owner_->n_layers() / 3);
}

bool evaluator::prunes_prompt(int32_t position, int32_t n) const {
    if (!paging_ || !params_.prune.prunes_prompts() || n < std::max(params_.prune.min_tokens, 2 * watched_tokens)) {
        return false;
    }
    if (position > 0 && n <= longest_protected_turn) {
        return false;                                   // a question about what is there
    }
    // Where eviction may have to renumber what is left, positions must not change on the way.
    return !params_.pages->evict || position + n <= std::min(params_.n_ctx, llama_model_n_ctx_train(owner_->get()));
}

void evaluator::begin_layers(layer_range range) {
    layers_->set_range(range);
    size_graphs_anew();
}

int32_t evaluator::run_pruned(span<const int32_t> tokens, int32_t position, outputs wanted, const std::function<void(double)> & before_step) {
    const auto n = (int32_t) std::min(tokens.size(), (size_t) longest_piece);
    const auto width = (size_t) llama_model_n_embd(owner_->get());
    const int32_t layer = first_pruned_layer();
    const double lower = (double) layer / owner_->n_layers();              // share of the work, more or less
    if (!paging_->begin_prompt(layer, n, (size_t) n * width * sizeof(float))) {
        const int32_t count = std::min(n, params_.n_batch);
        before_step(0);
        run(tokens.subspan(0, (size_t) count), position, (size_t) count == tokens.size() ? wanted : outputs::none);
        return count;
    }
    const prompt_scope scope(*paging_, *layers_, [this, whole = layers_->range()] { begin_layers(whole); });
    std::vector<float> hidden((size_t) n * width);
    begin_layers({ 0, layer });
    const auto read = [&](int32_t at, int32_t count) {
        before_step(lower * at / n);
        layers_->set_hidden(nullptr, hidden.data() + (size_t) at * width);
        run(tokens.subspan((size_t) at, (size_t) count), position + at, outputs::none);
        return count;
    };
    int32_t at = 0;
    while (at < n - watched_tokens) {
        at += read(at, std::min(params_.n_batch, n - watched_tokens - at));
    }
    const int64_t started = ggml_time_us();
    paging_->watch_prompt();
    while (at < n) {
        at += read(at, std::min(paging_->watch_tokens(), n - at));
    }
    const std::vector<int32_t> kept = paging_->keep_of_prompt(position, (int64_t) std::ceil((double) params_.prune.prefill_keep * n));
    prompt_counts_.choice_us += ggml_time_us() - started;

    begin_layers({ layer, owner_->n_layers() });
    std::vector<float> rows;
    std::vector<int32_t> row_tokens;
    for (size_t done = 0; done < kept.size();) {
        before_step(lower + (1 - lower) * (double) done / (double) kept.size());
        const size_t end = std::min(kept.size(), done + (size_t) params_.n_batch);
        const std::vector<int32_t> positions = paging_->present_of({ kept.begin() + (ptrdiff_t) done, kept.begin() + (ptrdiff_t) end });
        done = end;
        rows.clear();
        row_tokens.clear();
        for (size_t i = 0; i < positions.size(); i++) {
            const auto row = (size_t) (positions[i] - position);
            batch_.pos[i] = positions[i];
            row_tokens.push_back(tokens[row]);
            rows.insert(rows.end(), hidden.begin() + (ptrdiff_t) (row * width), hidden.begin() + (ptrdiff_t) ((row + 1) * width));
        }
        if (!positions.empty()) {
            layers_->set_hidden(rows.data(), nullptr);
            step(row_tokens, done == kept.size() && (size_t) n == tokens.size() ? wanted : outputs::none, 0);
        }
    }
    prompt_counts_.tokens += n;
    prompt_counts_.left_out += n - (int64_t) kept.size();
    return n;
}

}  // namespace llmm
