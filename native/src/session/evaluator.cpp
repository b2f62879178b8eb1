#include "evaluator.h"

#include "assert_scope.h"
#include "attention/kernel_table.h"
#include "cpu_gate.h"
#include "failure.h"
#include "llama/cpu_backend.h"
#include "llama/new_context.h"
#include "llama/output_limit.h"
#include "log.h"

#include "ggml-backend.h"
#include "ggml-cpu.h"

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>

namespace llmm {

namespace {

// Worker threads wait for the next step with this many times 131,072 pauses before they sleep: a few milliseconds,
// enough to bridge sampling between two tokens, and nothing once a session is idle. (ggml's own default is 50.)
constexpr uint32_t poll_level = 1;

// llama.cpp's attention goes over a multiple of so many cells; with another multiple it may split them otherwise.
constexpr int32_t attention_step = 256;

uint64_t physical_memory_bytes() {
    std::ifstream in("/proc/meminfo");
    std::string key;
    uint64_t kib = 0;
    in >> key >> kib;
    return key == "MemTotal:" ? kib * 1024 : UINT64_MAX;
}

// The cache at f16, in f64 so that no product overflows.
double kv_estimate_bytes(const model & m, int32_t n_ctx) {
    const double heads = std::max(1, llama_model_n_head(m.get()));
    const double heads_kv = std::max(1, llama_model_n_head_kv(m.get()));
    return 2.0 * 2.0 * n_ctx * llama_model_n_layer(m.get()) * llama_model_n_embd(m.get()) / heads * heads_kv;
}

struct threadpool_api {
    decltype(&ggml_threadpool_new) make = cpu_function<decltype(make)>("ggml_threadpool_new");
    decltype(&ggml_threadpool_free) free = cpu_function<decltype(free)>("ggml_threadpool_free");

    static const threadpool_api & get() {
        static const threadpool_api api;
        return api;
    }
};

struct gate_turn {
    int32_t n;
    ~gate_turn() { cpu_gate::instance().leave(n); }
};

// For as long as it lives, steps and cuts are those of drafts.
struct draft_scope {
    paging * pages;
    draft_switch * stock;
    draft_scope(paging * p, draft_switch * s) : pages(p), stock(s) { set(true); }
    draft_scope(const draft_scope &) = delete;
    draft_scope & operator=(const draft_scope &) = delete;
    ~draft_scope() { set(false); }

    void set(bool on) const {
        if (pages) {
            pages->set_drafting(on);
        }
        if (stock) {
            stock->set(on);
        }
    }
};

}  // namespace

evaluator::evaluator(std::shared_ptr<model> owner, const evaluator_params & params, evaluator_control & control)
    : owner_(std::move(owner)), params_(params), control_(control) {
    llama_model * m = owner_->get();
    if (owner_->vocab_only()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "the model was opened with its vocabulary only");
    }
    if (llama_model_has_encoder(m) && llama_model_has_decoder(m)) {
        fail(LLMM_ERR_NOT_AVAILABLE, "encoder-decoder models cannot hold a session");
    }
    if (llama_model_is_diffusion(m)) {
        fail(LLMM_ERR_NOT_AVAILABLE, "diffusion models cannot hold a session");
    }
    const double kv_bytes = params.pages ? 0.0 : kv_estimate_bytes(*owner_, params.n_ctx);     // pages come as they are needed
    if (kv_bytes > (double) physical_memory_bytes()) {
        fail(LLMM_ERR_OUT_OF_MEMORY, "a context of %d tokens needs about %.0f MB for keys and values; the machine has %.0f MB",
             params.n_ctx, kv_bytes / 1e6, (double) physical_memory_bytes() / 1e6);
    }

    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = (uint32_t) params.n_ctx;
    cp.n_batch = (uint32_t) params.n_batch;
    cp.n_ubatch = (uint32_t) params.n_batch;
    cp.n_seq_max = 1;
    cp.n_outputs_max = (uint32_t) params.n_outputs;
    cp.n_threads = control.n_threads;
    cp.n_threads_batch = control.n_threads_batch;
    cp.flash_attn_type = params.flash_attention;
    cp.swa_full = false;                                       // a window's layers keep a window; cut() knows
    cp.embeddings = params.embeddings;
    if (params.embeddings) {
        cp.pooling_type = LLAMA_POOLING_TYPE_NONE;             // each token's own hidden state; pooling is ours
    }
    cp.abort_callback = [](void * data) { return static_cast<evaluator_control *>(data)->cancel.load(std::memory_order_relaxed); };
    cp.abort_callback_data = &control;
    cp.no_perf = true;

    error_capture errors;
    {
        std::lock_guard<std::mutex> lock(owner_->adapters_mutex());
        const assert_scope asserts(LLMM_ERR_MODEL_INVALID);    // builds the graphs of a model that may contradict itself
        // Layers outside of the range are never evaluated: they get no cache either.
        layers_ = std::make_unique<layer_control>(m, owner_->present().common(params.layers));
        layers_->set_range(params.layers);
        layers_->set_gates(params.gates);
        std::vector<std::shared_ptr<context_hooks>> hooks{ layers_->hooks() };
        if (params.pages) {
            paging_ = std::make_unique<paging>(*params.pages, params.prune);
            hooks.push_back(paging_->hooks());
        } else {
            draft_switch_ = std::make_unique<draft_switch>();
            hooks.push_back(draft_switch_->hooks());
        }
        try {
            context_ = new_context(m, cp, std::move(hooks));
            if (!context_ && paging_) {
                paging_->rethrow_failure();   // llama.cpp has only logged it
            }
        } catch (const std::system_error & e) {
            fail(LLMM_ERR_IO, "%s", e.what());
        } catch (const std::bad_alloc &) {
            fail(LLMM_ERR_OUT_OF_MEMORY, "a budget of %llu bytes does not hold the tables of %d tokens and one page",
                 (unsigned long long) params.pages->budget_bytes, params.n_ctx);
        }
    }
    if (!layers_->range().has_all_of(owner_->n_layers()) && !layers_->refusal().empty()) {
        llama_free(context_);
        fail(LLMM_ERR_NOT_AVAILABLE, "layers of this model cannot be evaluated alone: %s", layers_->refusal().c_str());
    }
    if (!context_) {
        fail(LLMM_ERR_OUT_OF_MEMORY, "cannot create a context of %d tokens: %s", params.n_ctx,
             errors.reason("not enough memory").c_str());
    }
    if (paging_ && !paging_->refusal().empty()) {
        llama_free(context_);
        fail(LLMM_ERR_NOT_AVAILABLE, "the cache of this model cannot be paged: %s", paging_->refusal().c_str());
    }
    try {
        check_pruning(params.prune);
    } catch (...) {
        llama_free(context_);
        throw;
    }
    warn_if_blind();
    encoder_only_ = llama_model_has_encoder(m);
    batch_ = llama_batch_init(params.n_batch, 0, 1);
}

evaluator::~evaluator() {
    llama_batch_free(batch_);
    if (pool_) {
        llama_detach_threadpool(context_);
    }
    llama_free(context_);
    if (pool_) {
        threadpool_api::get().free(pool_);
    }
    free_retired_pools();
}

void evaluator::free_retired_pools() {
    for (ggml_threadpool * pool : retired_pools_) {
        threadpool_api::get().free(pool);
    }
    retired_pools_.clear();
}

void evaluator::apply_threads() {
    const int32_t n = control_.n_threads, n_batch = control_.n_threads_batch;
    const int32_t want = std::max(n, n_batch);
    if (want != pool_threads_) {
        ggml_threadpool_params tp = ggml_threadpool_params_default(want);
        tp.poll = poll_level;
        ggml_threadpool * pool = threadpool_api::get().make(&tp);
        if (!pool) {
            fail(LLMM_ERR_OUT_OF_MEMORY, "cannot start %d threads", want);
        }
        llama_attach_threadpool(context_, pool, pool);
        if (pool_) {
            retired_pools_.push_back(pool_);
        }
        pool_ = pool;
        pool_threads_ = want;
    }
    if (n != set_threads_ || n_batch != set_threads_batch_) {
        llama_set_n_threads(context_, n, n_batch);
        set_threads_ = n;
        set_threads_batch_ = n_batch;
    }
}

void evaluator::run(span<const int32_t> tokens, int32_t position, outputs wanted, size_t from) {
    for (size_t i = 0; i < tokens.size(); i++) {
        batch_.pos[i] = position + (int32_t) i;
    }
    step(tokens, wanted, from);
}

void evaluator::step(span<const int32_t> tokens, outputs wanted, size_t from) {
    const int32_t position = batch_.pos[0];
    const bool is_batch = tokens.size() > 1;
    apply_threads();
    const auto cancelled = [this] { return control_.cancel.load(std::memory_order_relaxed); };
    const int32_t cores = is_batch ? set_threads_batch_ : set_threads_;
    if (!cpu_gate::instance().enter(cores, cancelled)) {
        fail(LLMM_ERR_CANCELLED, "cancelled");
    }
    const gate_turn turn{ cores };

    batch_.n_tokens = (int32_t) tokens.size();
    for (size_t i = 0; i < tokens.size(); i++) {
        batch_.token[i] = tokens[i];
        batch_.n_seq_id[i] = 1;
        batch_.seq_id[i][0] = 0;
        batch_.logits[i] = wanted == outputs::from ? i >= from : wanted == outputs::last && i + 1 == tokens.size();
    }
    // The first step sizes the graphs anew, for which llama.cpp looks at all adapters of the model.
    std::unique_lock<std::mutex> adapters(owner_->adapters_mutex(), std::defer_lock);
    if (!ran_) {
        adapters.lock();
    }
    open_gates((int32_t) tokens.size());
    error_capture errors;
    const int32_t rc = encoder_only_ ? llama_encode(context_, batch_) : llama_decode(context_, batch_);
    if (rc == 0) {
        ran_ = true;
        free_retired_pools();                 // this step has computed with the new one
    }
    damaged_ = paging_ ? paging_->finish_step() : -1;
    if (damaged_ >= 0) {
        fail(LLMM_ERR_IO, "keys and values from position %d on could not be read from the spill file", damaged_);
    }
    if (rc == 2 || (rc != 0 && cancelled())) {
        fail(LLMM_ERR_CANCELLED, "cancelled");
    }
    if (rc == 1) {
        const std::string spill = paging_ ? paging_->spill_error() : "";
        fail(LLMM_ERR_CONTEXT_FULL, "no room in the key-value cache for %zu tokens at position %d%s%s", tokens.size(), position,
             spill.empty() ? "" : "; nothing can be spilled: ", spill.c_str());
    }
    if (rc != 0) {
        fail(rc == -2 ? LLMM_ERR_OUT_OF_MEMORY : LLMM_ERR_INTERNAL, "evaluation failed (%d): %s", rc,
             errors.reason("llama.cpp gave no reason").c_str());
    }
    if (!is_batch) {
        gate_counts_.steps++;
        gate_counts_.skipped += layers_->n_skipped();
    }
    const bool prunes = paging_ && paging_->is_pruning();
    entropy_ = NAN;
    if (wanted != outputs::none && (prunes || gates_.policy().asks_entropy())) {
        if (const float * row = llama_get_logits_ith(context_, -1)) {
            entropy_ = kernels().entropy(row, owner_->n_vocab());
            if (prunes) {
                paging_->observe_entropy(entropy_);
            }
        }
    }
}

void evaluator::open_gates(int32_t n_tokens) {
    if (!layers_->has_gates()) {
        return;
    }
    const auto & order = gates_.policy().order;
    const int32_t level = gates_.next_level(entropy_, n_tokens);
    for (size_t i = 0; i < order.size(); i++) {
        layers_->set_skip(order[i], (int32_t) i < level);
    }
}

void evaluator::set_gates(const gate_policy & policy) {
    for (const int32_t part : gates_.policy().order) {
        layers_->set_skip(part, false);
    }
    gates_.set_policy(policy);
    layers_->set_skip_batches(policy.batches);
    if (layers_->has_gates() == policy.is_off()) {
        layers_->set_gates(!policy.is_off());
        size_graphs_anew();
    }
}

void evaluator::set_taps(std::vector<layer_tap> taps) {
    layers_->set_taps(std::move(taps));
    size_graphs_anew();
}

// llama.cpp takes graphs with as many nodes for the same graph, and does not know that ours have changed. There being no
// control vector, to remove it does nothing else.
void evaluator::size_graphs_anew() {
    llama_set_adapter_cvec(context_, nullptr, 0, 0, 0, 0);
    ran_ = false;
}

int32_t evaluator::draft_room(int32_t position, int32_t n) const {
    const llama_model * m = owner_->get();
    if (encoder_only_ || llama_model_is_recurrent(m) || llama_model_is_hybrid(m) || layers_->has_gates() || (paging_ && !paging_->allows_drafts())) {
        return 0;
    }
    n = std::min(n, params_.n_batch - 1);
    return paging_ ? paging_->steps_alike(position, n) : std::min(n, attention_step - 1 - position % attention_step);
}

void evaluator::run_draft(span<const int32_t> tokens, int32_t position) {
    allow_outputs(context_, (int32_t) tokens.size());
    const draft_scope scope(paging_.get(), draft_switch_.get());
    run(tokens, position, outputs::from, 0);
}

int32_t evaluator::take_back(int32_t position) {
    const draft_scope scope(paging_.get(), draft_switch_.get());
    return cut(position);
}

void evaluator::set_pruning(const prune_settings & settings) {
    check_pruning(settings);
    params_.prune = settings;
    paging_->set_pruning(settings);
    warn_if_blind();
}

void evaluator::warn_if_blind() const {
    if (params_.prune.prunes() && params_.prune.policy == prune_policy::attention && paging_ && !paging_->tells_masses()) {
        log_line(LLMM_LOG_WARN, "nothing is pruned: attention in groups of more than 8 query heads, or exact attention, does not tell what falls on a page");
    }
}

const float * evaluator::logits(int32_t index) const {
    const float * row = llama_get_logits_ith(context_, index);
    if (!row) {
        fail(LLMM_ERR_NOT_AVAILABLE, "this model gives no logits");
    }
    return row;
}

const float * evaluator::embedding(int32_t index) const {
    const float * row = llama_get_embeddings_ith(context_, index);
    if (!row) {
        fail(LLMM_ERR_NOT_AVAILABLE, "this model gives no embeddings");
    }
    return row;
}

bool evaluator::copy_from(const evaluator & other) {
    // Pages first: what follows is only the part of the layers with a sliding window.
    if (paging_ && !paging_->share_from(*other.paging_)) {
        return false;
    }
    if (paging_ && llama_model_n_swa(owner_->get()) <= 0) {
        return true;
    }
    const llama_state_seq_flags flags = paging_ ? LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY : 0;
    std::vector<uint8_t> state(llama_state_seq_get_size_ext(other.context_, 0, flags));
    const bool done = llama_state_seq_get_data_ext(other.context_, state.data(), state.size(), 0, flags) == state.size() &&
                      llama_state_seq_set_data_ext(context_, state.data(), state.size(), 0, flags) == state.size();
    if (!done) {
        cut(0);
    }
    return done;
}

int32_t evaluator::cut(int32_t position) {
    llama_memory_t memory = llama_get_memory(context_);
    if (!memory) {
        return 0;                             // an encoder keeps nothing between calls
    }
    position = paging_ ? paging_->whole_before(position) : position;
    bool intact = llama_memory_seq_rm(memory, 0, position, -1);
    if (intact && position > 0) {
        // A sliding-window cache reuses the cells of tokens that left the window. After a cut the next token sees
        // the window before `position`, which may reach back to cells that are gone.
        const int32_t window = llama_model_n_swa(owner_->get());
        const llama_pos oldest = llama_memory_seq_pos_min(memory, 0);
        const llama_pos newest = llama_memory_seq_pos_max(memory, 0);
        intact = newest == position - 1 && (window <= 0 || oldest <= std::max(0, position - window));
    }
    if (!intact) {
        llama_memory_clear(memory, false);
    }
    return intact ? position : 0;
}

}  // namespace llmm
