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
constexpr double most_recalled = 1.0 / 16;         // of all tokens, by a question

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

// Where eviction may have to renumber what is left, positions must not change on the way.
bool evaluator::keeps_positions(int32_t end) const {
    return !params_.pages->evict || end <= std::min(params_.n_ctx, llama_model_n_ctx_train(owner_->get()));
}

bool evaluator::prunes_prompt(int32_t position, int32_t n) const {
    if (!paging_ || !params_.prune.prunes_prompts() || n < std::max(params_.prune.min_tokens, 2 * watched_tokens)) {
        return false;
    }
    return (position == 0 || n > longest_protected_turn) && keeps_positions(position + n);
}

bool evaluator::may_recall(int32_t position, int32_t n) const {
    return paging_ && params_.prune.prunes_prompts() && position > 0 && n > 1 && n <= longest_protected_turn && paging_->recall_layer() > 0 &&
           keeps_positions(position + n);
}

bool evaluator::is_read_in_stages(int32_t position, int32_t n, bool whole) const {
    return prunes_prompt(position, n) || (whole && may_recall(position, n));
}

void evaluator::begin_layers(layer_range range) {
    layers_->set_range(range);
    size_graphs_anew();
}

int32_t evaluator::run_in_stages(span<const int32_t> tokens, int32_t position, outputs wanted, const std::function<void(double)> & before_step) {
    const bool prunes = prunes_prompt(position, (int32_t) tokens.size());
    const auto n = (int32_t) std::min(tokens.size(), (size_t) longest_piece);
    const auto width = (size_t) llama_model_n_embd(owner_->get());
    const int32_t layer = prunes ? first_pruned_layer() : paging_->recall_layer();
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
    const double keep = params_.prune.prefill_keep, total = position + n;
    const std::vector<int32_t> question(tokens.begin() + (prunes ? n - watched_tokens : 0), tokens.begin() + n);
    std::vector<int32_t> further;             // positions
    if (prunes) {
        further = paging_->keep_of_prompt(tokens.data(), position, (int64_t) std::ceil(keep * n), question);
        paging_->keep_hidden(tokens.data(), hidden.data(), position, (int32_t) further.size());
    } else {
        further = paging_->recall_for_prompt(position, (int64_t) std::ceil(keep * total), (int64_t) (most_recalled * total), question);
    }
    prompt_counts_.choice_us += ggml_time_us() - started;

    begin_layers({ layer, owner_->n_layers() });
    std::vector<float> rows;
    std::vector<int32_t> row_tokens;
    for (size_t done = 0; done < further.size();) {
        before_step(lower + (1 - lower) * (double) done / (double) further.size());
        const size_t end = std::min(further.size(), done + (size_t) params_.n_batch);
        const std::vector<int32_t> positions = paging_->present_of({ further.begin() + (ptrdiff_t) done, further.begin() + (ptrdiff_t) end });
        done = end;
        rows.resize(positions.size() * width);
        row_tokens.resize(positions.size());
        for (size_t i = 0; i < positions.size(); i++) {
            const int32_t row = positions[i] - position;
            batch_.pos[i] = positions[i];
            row_tokens[i] = tokens[(size_t) std::max(row, 0)];             // of recalled tokens any: these layers see hidden states
            if (row < 0) {
                paging_->recalled_hidden(positions[i], rows.data() + i * width);
            } else {
                std::copy_n(hidden.data() + (size_t) row * width, width, rows.data() + i * width);
            }
        }
        if (!positions.empty()) {
            layers_->set_hidden(rows.data(), nullptr);
            step(row_tokens, done == further.size() && (size_t) n == tokens.size() ? wanted : outputs::none, 0);
        }
    }
    if (prunes) {
        prompt_counts_.tokens += n;
        prompt_counts_.left_out += n - (int64_t) further.size();
    } else {
        prompt_counts_.recalled += paging_->finish_recall();
    }
    return n;
}

}  // namespace llmm
