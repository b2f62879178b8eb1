#include "session.h"

#include "assert_scope.h"
#include "cpu.h"
#include "failure.h"
#include "log.h"
#include "state_file.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

namespace llmm {

namespace {

constexpr int32_t default_ctx = 4096;
constexpr int32_t ctx_step = 256;                 // llama.cpp rounds contexts up to this
constexpr int32_t max_ctx = 1 << 27;
constexpr int32_t max_layers = 1 << 16;
constexpr int32_t default_batch = 512;
constexpr int32_t max_batch = 4096;
constexpr int32_t max_threads = GGML_MAX_N_THREADS;
constexpr int32_t most_recomputations = 3;         // of damaged pages, in one call
constexpr int32_t embedding_batch = 64;           // logits of each token come along: 64 rows of them bound the memory

int32_t in_range(int32_t value, int32_t least, int32_t most, const char * name) {
    if (value < least || value > most) {
        fail(LLMM_ERR_RANGE, "%s is %d; it must be from %d to %d", name, value, least, most);
    }
    return value;
}

int64_t now_us() {
    return ggml_time_us();
}

llama_flash_attn_type flash_attention_type(int32_t wish) {
    switch (in_range(wish, LLMM_FLASH_ATTENTION_AUTO, LLMM_FLASH_ATTENTION_ON, "params.flash_attention")) {
        case LLMM_FLASH_ATTENTION_ON:  return LLAMA_FLASH_ATTN_TYPE_ENABLED;
        case LLMM_FLASH_ATTENTION_OFF: return LLAMA_FLASH_ATTN_TYPE_DISABLED;
        default:                       return LLAMA_FLASH_ATTN_TYPE_AUTO;
    }
}

std::optional<kv_settings> page_settings(const llmm_session_params & params) {
    if (params.kv_page_tokens == 0) {
        return std::nullopt;
    }
    kv_settings s;
    s.page_tokens = checked_page_tokens(params.kv_page_tokens, "params.kv_page_tokens");
    s.quantize = (kv_quantize) in_range(params.kv_quantize, LLMM_KV_F16, LLMM_KV_SMALLEST, "params.kv_quantize");
    s.evict = in_range(params.kv_evict, 0, 1, "params.kv_evict") != 0;
    s.exact = in_range(params.kv_exact, 0, 1, "params.kv_exact") != 0;
    s.recent_tokens = in_range(params.kv_recent_tokens, 0, max_ctx, "params.kv_recent_tokens");
    s.pinned_tokens = in_range(params.kv_pinned_tokens, 0, max_ctx, "params.kv_pinned_tokens");
    s.budget_bytes = params.kv_budget_bytes;
    s.spill_dir = params.kv_spill_dir ? params.kv_spill_dir : "";
    return s;
}

}  // namespace

int32_t checked_page_tokens(int32_t n, const char * name) {
    if (n != 16 && n != 32 && n != 64) {
        fail(LLMM_ERR_RANGE, "%s is %d; pages have 16, 32 or 64 tokens", name, n);
    }
    return n;
}

int32_t checked_threads(int32_t n, const char * name) {
    return in_range(n, 0, max_threads, name) > 0 ? n : this_cpu().physical_cores;
}

prune_settings checked_pruning(const llmm_prune_params & p, const char * name) {
    const auto share = [&](float value, const char * field) {
        if (!(value >= 0 && value <= 1)) {
            fail(LLMM_ERR_RANGE, "%s.%s is %g; it must be from 0 to 1", name, field, value);
        }
        return value;
    };
    const auto number = [&](int32_t value, int32_t least, int32_t most, const char * field) {
        return in_range(value, least, most, (std::string(name) + "." + field).c_str());
    };
    prune_settings s;
    s.threshold = share(p.threshold, "threshold");
    s.keep_ratio = share(p.keep_ratio, "keep_ratio");
    s.max_active = number(p.max_active_tokens, 0, max_ctx, "max_active_tokens");
    s.max_shadow = number(p.max_shadow_tokens, -1, max_ctx, "max_shadow_tokens");
    s.select_mass = share(p.select_mass, "select_mass");
    s.prefill_keep = share(p.prefill_keep, "prefill_keep");
    s.prefill_layer = number(p.prefill_layer, 0, max_layers, "prefill_layer");
    s.test_interval = number(p.test_interval, 1, max_ctx, "test_interval");
    s.select_interval = number(p.select_interval, 1, max_ctx, "select_interval");
    s.min_tokens = number(p.min_tokens, 0, max_ctx, "min_tokens");
    s.policy = (prune_policy) number(p.policy, LLMM_PRUNE_ATTENTION, LLMM_PRUNE_RANDOM, "policy");
    s.record = number(p.record, 0, 1, "record") != 0;
    s.bound = number(p.bound, 0, 1, "bound") != 0;
    return s;
}

void progress_sink::report(double fraction) const {
    if (callback && callback((float) fraction, user_data) != 0) {
        fail(LLMM_ERR_CANCELLED, "cancelled by the progress callback");
    }
}

session::call::call(session & s) : session_(s) {
    if (!s.busy_.exchange(true)) {
        return;
    }
    // Another budget is no call: it is waited for.
    const std::lock_guard<std::mutex> lock(s.trim_mutex_);
    if (s.busy_.exchange(true)) {
        fail(LLMM_ERR_BUSY, "another call is running on this session");
    }
}

// A budget that came during the last step waits for no other.
session::call::~call() {
    const std::lock_guard<std::mutex> lock(session_.trim_mutex_);
    session_.apply_pending_budget();
    session_.busy_ = false;
}

session::session(std::shared_ptr<model> owner, const llmm_session_params & params, const prune_settings & pruning) : owner_(std::move(owner)) {
    in_range(params.n_ctx, 0, max_ctx, "params.n_ctx");
    in_range(params.n_batch, 1, max_batch, "params.n_batch");
    control_.n_threads = checked_threads(params.n_threads, "params.n_threads");
    control_.n_threads_batch = params.n_threads_batch == 0 ? control_.n_threads.load() : checked_threads(params.n_threads_batch, "params.n_threads_batch");
    const int32_t trained = llama_model_n_ctx_train(owner_->get());
    const int32_t wanted = params.n_ctx > 0 ? params.n_ctx : std::min(default_ctx, trained > 0 ? trained : default_ctx);
    if (trained > 0 && wanted > trained) {
        log_line(LLMM_LOG_WARN, "the context of " + std::to_string(wanted) + " tokens is longer than the " +
                                    std::to_string(trained) + " the model was trained for");
    }
    n_ctx_ = (wanted + ctx_step - 1) / ctx_step * ctx_step;
    n_batch_ = std::min(params.n_batch, n_ctx_);
    flash_attention_ = flash_attention_type(params.flash_attention);
    layers_ = checked_layers(params.layer_begin, params.layer_end, owner_->present(), "params");
    pages_ = page_settings(params);
    if (pages_) {
        pages_->n_threads = std::max(control_.n_threads.load(), control_.n_threads_batch.load());
        pruning_ = pruning;
    } else if (pruning.prunes() || pruning.prunes_prompts()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "tokens are pruned page by page; set params.kv_page_tokens");
    }
    chat_evaluator();
}

session::session(const fork_of & from) : owner_(from.parent.owner_) {
    session & parent = from.parent;
    const call one(parent);
    n_ctx_ = parent.n_ctx_;
    n_batch_ = parent.n_batch_;
    flash_attention_ = parent.flash_attention_;
    pages_ = parent.pages_;
    pruning_ = parent.pruning_;
    layers_ = parent.layers_;
    gates_ = parent.gates_;
    bypasses_ = parent.bypasses_;
    control_.n_threads = parent.control_.n_threads.load();
    control_.n_threads_batch = parent.control_.n_threads_batch.load();
    adapters_ = parent.adapters_;
    adapter_scales_ = parent.adapter_scales_;
    history_ = parent.history_;
    n_tokens_ = (int32_t) history_.size();
    evaluator & ev = chat_evaluator();
    if (parent.n_kv_ > 0) {
        if (!ev.copy_from(*parent.evaluator_)) {
            fail(LLMM_ERR_OUT_OF_MEMORY, "no room for the parent's keys and values");
        }
        n_kv_ = parent.n_kv_;
    }
    if (const float * row = parent.known_logits()) {
        loaded_logits_.assign(row, row + owner_->n_vocab());
    }
}

void session::require_pages() const {
    if (!pages_) {
        fail(LLMM_ERR_NOT_AVAILABLE, "the session keeps its keys and values without pages");
    }
}

void session::set_kv_budget(uint64_t bytes) {
    require_pages();
    {
        const std::lock_guard<std::mutex> lock(budget_mutex_);
        wanted_budget_ = bytes;
    }
    const std::lock_guard<std::mutex> lock(trim_mutex_);
    if (!busy_.exchange(true)) {
        const std::unique_ptr<std::atomic<bool>, void (*)(std::atomic<bool> *)> idle(&busy_, [](std::atomic<bool> * b) { *b = false; });
        if (!apply_kv_budget()) {
            fail(LLMM_ERR_CONTEXT_FULL, "keys and values cannot be brought to %llu bytes", (unsigned long long) bytes);
        }
    }
}

// False: the budget is too small for what may not be given up, and the former one stays in force.
bool session::apply_kv_budget() {
    std::optional<uint64_t> wanted;
    {
        const std::lock_guard<std::mutex> lock(budget_mutex_);
        wanted = std::exchange(wanted_budget_, std::nullopt);
    }
    if (!wanted) {
        return true;
    }
    if (evaluator_ && !evaluator_->set_kv_budget(*wanted)) {
        return false;
    }
    pages_->budget_bytes = *wanted;
    return true;
}

// Whoever asked for it is not here to be told, and the call that runs is not at fault.
void session::apply_pending_budget() noexcept {
    try {
        if (!apply_kv_budget()) {
            log_line(LLMM_LOG_WARN, "keys and values cannot be brought to the budget that was asked for; the former one stays");
        }
    } catch (const std::exception & e) {
        log_line(LLMM_LOG_WARN, std::string("the budget of keys and values stays what it was: ") + e.what());
    }
}

// Logits of the history's last token, null if they would have to be computed.
const float * session::known_logits() const {
    return !loaded_logits_.empty() ? loaded_logits_.data() : has_logits_ ? evaluator_->logits(-1) : nullptr;
}

void session::set_threads(int32_t n_threads, int32_t n_threads_batch) {
    in_range(n_threads, 0, max_threads, "n_threads");
    in_range(n_threads_batch, 0, max_threads, "n_threads_batch");
    if (n_threads > 0) {
        control_.n_threads = n_threads;
    }
    if (n_threads_batch > 0) {
        control_.n_threads_batch = n_threads_batch;
    }
}

evaluator & session::make_evaluator(const evaluator_params & params) {
    drop_evaluator();                         // before, so that two contexts never exist at once
    evaluator_ = std::make_unique<evaluator>(owner_, params, control_);
    if (!adapters_.empty()) {
        std::vector<llama_adapter_lora *> raw;
        for (const auto & a : adapters_) {
            raw.push_back(a->get());
        }
        llama_set_adapters_lora(evaluator_->get(), raw.data(), raw.size(), adapter_scales_.data());
    }
    for (const auto & [part, stand_in] : bypasses_) {
        evaluator_->set_bypass(part, stand_in);
    }
    evaluator_->set_gates(gates_);
    return *evaluator_;
}

evaluator & session::chat_evaluator() {
    if (evaluator_ && evaluator_->params().n_ctx == n_ctx_ && evaluator_->params().n_outputs == 1 && !evaluator_->params().embeddings) {
        return *evaluator_;
    }
    evaluator_params params;
    params.n_ctx = n_ctx_;
    params.n_batch = n_batch_;
    params.flash_attention = flash_attention_;
    params.pages = pages_;
    params.prune = pruning_;
    params.layers = layers_;
    return make_evaluator(params);
}

// Evaluators come and go; what they counted stays.
void session::collect_gate_counts() {
    if (evaluator_) {
        const gate_counters counts = evaluator_->take_gate_counts();
        counters_.gate_steps += counts.steps;
        counters_.gate_skipped_parts += counts.skipped;
    }
}

void session::drop_evaluator() {
    collect_gate_counts();
    evaluator_.reset();
    n_kv_ = 0;
    has_logits_ = false;
}

std::vector<int32_t> session::tokens() {
    const call one(*this);
    return history_;
}

void session::append(span<const int32_t> tokens) {
    history_.insert(history_.end(), tokens.begin(), tokens.end());
    n_tokens_ = (int32_t) history_.size();
    has_logits_ = false;
    loaded_logits_.clear();
}

void session::truncate(int32_t n) {
    if (n < (int32_t) history_.size()) {
        history_.resize((size_t) n);
        n_tokens_ = n;
        has_logits_ = false;
        loaded_logits_.clear();
    }
    if (n_kv_ > n) {
        n_kv_ = evaluator_ ? evaluator_->cut(n) : 0;
    }
}

void session::check_room(int64_t n_tokens) const {
    if (n_tokens > n_ctx_ && !may_outgrow_context()) {
        fail(LLMM_ERR_CONTEXT_FULL, "%lld tokens do not fit the context of %d", (long long) n_tokens, n_ctx_);
    }
}

void session::throw_if_cancelled() {
    if (control_.cancel.exchange(false)) {
        fail(LLMM_ERR_CANCELLED, "cancelled");
    }
}

void session::evaluate_pending(const progress_sink & progress, bool prompt) {
    require_whole();
    evaluator & ev = chat_evaluator();
    const int32_t begin = n_kv_;
    const int64_t started = now_us();
    for (int32_t tries = 0;; tries++) {
        try {
            evaluate_once(progress, prompt, begin);
            break;
        } catch (const std::exception & e) {
            const int32_t damaged = ev.take_damage();
            const int32_t sound = damaged >= 0 ? std::min(damaged, n_kv_) : n_kv_;
            // The step may have stored a part of its tokens.
            n_kv_ = ev.cut(sound);
            if (damaged < 0 || tries == most_recomputations) {
                control_.cancel = false;      // consumed by this failure, whatever it was
                throw;
            }
            counters_.kv_recomputed++;
            log_line(LLMM_LOG_WARN, std::string(e.what()) + "; they are computed again");
        }
    }
    has_logits_ = true;
    (prompt ? counters_.prompt_us : counters_.decode_us) += now_us() - started;
    if (prompt) {
        counters_.prompt_tokens += (int32_t) history_.size() - begin;
    }
}

void session::evaluate_once(const progress_sink & progress, bool prompt, int32_t begin) {
    const auto end = (int32_t) history_.size();
    for (bool whole = true; n_kv_ < end; whole = false) {
        throw_if_cancelled();
        apply_pending_budget();
        const auto pending = span<const int32_t>(history_).from((size_t) n_kv_);
        if (evaluator_->is_read_in_stages(n_kv_, end - n_kv_, whole)) {
            n_kv_ += evaluator_->run_in_stages(pending, n_kv_, outputs::last, [&](double done) {
                throw_if_cancelled();
                apply_pending_budget();
                if (prompt && done > 0) {
                    progress.report((n_kv_ - begin + done * (end - n_kv_)) / (end - begin));
                }
            });
        } else {
            const int32_t n = std::min(n_batch_, end - n_kv_);
            evaluator_->run(pending.subspan(0, (size_t) n), n_kv_, n_kv_ + n == end ? outputs::last : outputs::none);
            n_kv_ += n;
        }
        if (prompt) {
            progress.report(std::max(0.0, (double) (n_kv_ - begin) / (end - begin)));
        }
    }
}

const float * session::last_logits() {
    if (layers_.end < owner_->n_layers()) {
        require_whole();
    }
    if (history_.empty()) {
        fail(LLMM_ERR_NO_LOGITS, "nothing has been evaluated yet");
    }
    if (!loaded_logits_.empty()) {
        return loaded_logits_.data();
    }
    if (!has_logits_) {
        const int32_t n = (int32_t) history_.size();
        if (n_kv_ == n) {                     // evaluated, but its logits are gone: once more, for them
            n_kv_ = evaluator_ ? evaluator_->cut(n - 1) : 0;
        }
        evaluate_pending({}, n - n_kv_ > 1);
    }
    return evaluator_->logits(-1);
}

void session::eval(span<const int32_t> tokens, const progress_sink & progress) {
    const call one(*this);
    owner_->check_tokens(tokens);
    check_room((int64_t) history_.size() + (int64_t) tokens.size());
    if (tokens.empty()) {
        return;
    }
    const int32_t before = (int32_t) history_.size();
    append(tokens);
    try {
        evaluate_pending(progress, true);
    } catch (...) {
        truncate(before);
        throw;
    }
}

int32_t session::prefill(span<const int32_t> tokens, const progress_sink & progress) {
    const call one(*this);
    owner_->check_tokens(tokens);
    check_room((int64_t) tokens.size());
    size_t common = 0;
    while (common < tokens.size() && common < history_.size() && tokens[common] == history_[common]) {
        common++;
    }
    if (common == tokens.size() && common > 0 && !(common == history_.size() && (has_logits_ || !loaded_logits_.empty()))) {
        common--;                             // the last token is evaluated again for its logits
    }
    chat_evaluator();                         // a context of another purpose goes first, and its cache with it
    truncate((int32_t) common);
    const int32_t reused = std::min(n_kv_, (int32_t) common);
    if (common < tokens.size()) {
        append(tokens.from(common));
        try {
            evaluate_pending(progress, true);
        } catch (...) {
            truncate((int32_t) common);
            throw;
        }
    }
    counters_.reused_tokens += reused;
    return reused;
}

void session::rewind(int32_t n_tokens) {
    const call one(*this);
    in_range(n_tokens, 0, (int32_t) history_.size(), "n_tokens");
    truncate(n_tokens);
    if (!is_whole()) {
        truncate(n_kv_);                      // what is not in the cache cannot be evaluated without its hidden states
    }
}

int32_t session::sample_next(sampler & s, float * logprob) {
    s.see_history(history_);
    const float * row = drafting_ && drafting_->open ? evaluator_->logits(drafting_->n_right) : last_logits();
    const int64_t started = now_us();
    const int32_t token = s.sample(row);
    if (logprob) {
        *logprob = (float) (row[token] - log_sum_exp(row, owner_->n_vocab()));
    }
    append({ &token, 1 });
    counters_.sample_us += now_us() - started;
    counters_.generated_tokens++;
    return token;
}

llmm_token_result session::decode(sampler & s) {
    const call one(*this);
    if (s.owner() != owner_.get()) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "the sampler belongs to another model");
    }
    throw_if_cancelled();
    if (!history_.empty()) {
        check_room((int64_t) history_.size() + 1);
    }
    llmm_token_result result{};
    result.token = sample_next(s, &result.logprob);
    result.is_end = llama_vocab_is_eog(owner_->vocab(), result.token);
    return result;
}

void session::logits(span<float> out) {
    const call one(*this);
    if ((int32_t) out.size() != owner_->n_vocab()) {
        fail(LLMM_ERR_RANGE, "n is %zu; the vocabulary has %d tokens", out.size(), owner_->n_vocab());
    }
    std::memcpy(out.data(), last_logits(), out.size() * sizeof(float));
}

void session::top_logprobs(span<int32_t> tokens, span<float> logprobs) {
    const call one(*this);
    const int32_t n_vocab = owner_->n_vocab();
    in_range((int32_t) tokens.size(), 1, n_vocab, "k");
    const float * row = last_logits();
    std::vector<int32_t> order((size_t) n_vocab);
    std::iota(order.begin(), order.end(), 0);
    const auto k = (std::ptrdiff_t) tokens.size();
    std::partial_sort(order.begin(), order.begin() + k, order.end(),
                      [row](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    const double total = log_sum_exp(row, n_vocab);
    for (size_t i = 0; i < tokens.size(); i++) {
        tokens[i] = order[i];
        logprobs[i] = (float) (row[order[i]] - total);
    }
}

void session::embed(span<const int32_t> tokens, llmm_pooling pooling, bool normalize, span<float> out) {
    const call one(*this);
    in_range(pooling, LLMM_POOLING_MEAN, LLMM_POOLING_LAST, "pooling");
    const int32_t width = llama_model_n_embd_out(owner_->get());
    if ((int32_t) out.size() != width) {
        fail(LLMM_ERR_RANGE, "n is %zu; the embedding has %d values", out.size(), width);
    }
    if (tokens.empty()) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "there are no tokens to embed");
    }
    owner_->check_tokens(tokens);
    if ((int64_t) tokens.size() > n_ctx_) {
        fail(LLMM_ERR_CONTEXT_FULL, "%zu tokens do not fit the context of %d", tokens.size(), n_ctx_);
    }
    require_whole();
    truncate(0);
    // An encoder looks at the whole text at once; other models go through it in steps.
    const bool encoder = llama_model_has_encoder(owner_->get());
    evaluator_params params;
    params.n_ctx = n_ctx_;
    params.n_batch = encoder ? n_ctx_ : embedding_batch;
    params.n_outputs = params.n_batch;
    params.embeddings = true;
    params.flash_attention = flash_attention_;
    evaluator & ev = evaluator_ && evaluator_->params().embeddings ? *evaluator_ : make_evaluator(params);

    std::vector<double> sum((size_t) width, 0.0);
    const size_t n = tokens.size();
    for (size_t at = 0; at < n;) {
        const size_t step = std::min((size_t) params.n_batch, n - at);
        try {
            throw_if_cancelled();
            ev.run(tokens.subspan(at, step), (int32_t) at, outputs::from, 0);
        } catch (...) {
            drop_evaluator();
            control_.cancel = false;
            throw;
        }
        for (size_t i = 0; i < step; i++) {
            const bool counts = pooling == LLMM_POOLING_MEAN || at + i == (pooling == LLMM_POOLING_CLS ? 0 : n - 1);
            const float * row = counts ? ev.embedding((int32_t) i) : nullptr;
            for (int32_t d = 0; row && d < width; d++) {
                sum[(size_t) d] += row[d];
            }
        }
        at += step;
    }
    ev.cut(0);

    double scale = pooling == LLMM_POOLING_MEAN ? 1.0 / (double) n : 1.0;
    if (normalize) {
        double square = 0;
        for (const double v : sum) {
            square += v * v;
        }
        scale = square > 0 ? 1.0 / std::sqrt(square) : 0.0;
    }
    for (size_t d = 0; d < sum.size(); d++) {
        out[d] = (float) (sum[d] * scale);
    }
}

void session::set_adapters(std::vector<std::shared_ptr<adapter>> adapters, std::vector<float> scales) {
    const call one(*this);
    for (size_t i = 0; i < adapters.size(); i++) {
        if (adapters[i]->owner() != owner_.get()) {
            fail(LLMM_ERR_INVALID_ARGUMENT, "adapters[%zu] belongs to another model", i);
        }
        if (std::find(adapters.begin(), adapters.begin() + (std::ptrdiff_t) i, adapters[i]) != adapters.begin() + (std::ptrdiff_t) i) {
            fail(LLMM_ERR_INVALID_ARGUMENT, "adapters[%zu] stands twice; add up its scales instead", i);
        }
        if (!std::isfinite(scales[i])) {
            fail(LLMM_ERR_RANGE, "scales[%zu] is not a finite number", i);
        }
    }
    drop_evaluator();                         // its graph was sized for the former adapters
    loaded_logits_.clear();
    adapters_ = std::move(adapters);
    adapter_scales_ = std::move(scales);
}

uint64_t session::adapters_digest() const {
    uint64_t digest = 0;
    for (size_t i = 0; i < adapters_.size(); i++) {
        uint32_t scale;
        std::memcpy(&scale, &adapter_scales_[i], sizeof(scale));
        digest = digest * 1099511628211ull ^ adapters_[i]->digest() ^ scale;
    }
    return digest;
}

void session::save(const std::string & path) {
    const call one(*this);
    session_state state;
    state.fingerprint = fingerprint();
    state.adapters = adapters_digest();
    state.tokens = history_;
    if (evaluator_ && !evaluator_->params().embeddings && n_kv_ > 0) {
        llama_context * context = chat_evaluator().get();
        state.n_kv = n_kv_;
        state.kv.resize(llama_state_seq_get_size(context, 0));
        error_capture errors;
        if (llama_state_seq_get_data(context, state.kv.data(), state.kv.size(), 0) != state.kv.size()) {
            fail(LLMM_ERR_IO, "keys and values cannot be saved: %s", errors.reason("llama.cpp gave no reason").c_str());
        }
    }
    if (const float * row = known_logits()) {
        state.logits.assign(row, row + owner_->n_vocab());
    }
    write_state_file(path, state);
}

void session::load(const std::string & path) {
    const call one(*this);
    session_state state = read_state_file(path);
    if (state.fingerprint != fingerprint()) {
        fail(LLMM_ERR_STATE_MISMATCH, "%s was saved with another model or other layers of it (%s, this one is %s)", path.c_str(),
             state.fingerprint.c_str(), fingerprint().c_str());
    }
    if (state.adapters != adapters_digest()) {
        fail(LLMM_ERR_STATE_MISMATCH, "%s was saved with other adapters in force", path.c_str());
    }
    if ((int64_t) state.tokens.size() > n_ctx_ && !may_outgrow_context()) {
        fail(LLMM_ERR_STATE_MISMATCH, "%s holds %zu tokens; the context holds %d", path.c_str(), state.tokens.size(), n_ctx_);
    }
    if ((!state.logits.empty() && (int32_t) state.logits.size() != owner_->n_vocab()) || state.n_kv > (int32_t) state.tokens.size()) {
        fail(LLMM_ERR_STATE_INVALID, "%s contradicts itself", path.c_str());
    }
    owner_->check_tokens(state.tokens);

    evaluator & ev = chat_evaluator();
    ev.cut(0);
    history_ = std::move(state.tokens);
    n_tokens_ = (int32_t) history_.size();
    has_logits_ = false;
    loaded_logits_ = std::move(state.logits);
    n_kv_ = 0;
    if (state.n_kv > 0) {
        error_capture errors;
        const assert_scope asserts(LLMM_ERR_STATE_INVALID);
        if (llama_state_seq_set_data(ev.get(), state.kv.data(), state.kv.size(), 0) == state.kv.size()) {
            n_kv_ = state.n_kv;
        } else {
            // Another attention layout, say: the tokens are what counts, and the next step evaluates them.
            ev.cut(0);
            log_line(LLMM_LOG_WARN, "the saved keys and values do not fit this session and are computed again: " +
                                        errors.reason("llama.cpp gave no reason"));
        }
    }
}

void session::set_pruning(const prune_settings & settings) {
    const call one(*this);
    require_pages();
    if (evaluator_ || settings.prunes_prompts()) {
        chat_evaluator().set_pruning(settings);           // knows what this model can
    }
    pruning_ = settings;
}

std::vector<llmm_prune_event> session::prune_events() {
    const call one(*this);
    std::vector<llmm_prune_event> list;
    if (pages_ && evaluator_) {
        for (const prune_event & e : evaluator_->prune_events()) {
            list.push_back({ e.position, e.first_pos, e.last_pos, (int32_t) e.kind, e.active_share });
        }
    }
    return list;
}

std::vector<llmm_prune_page> session::prune_pages() {
    const call one(*this);
    require_pages();
    std::vector<llmm_prune_page> list;
    if (evaluator_) {
        for (const prune_page & p : evaluator_->prune_pages()) {
            list.push_back({ p.first_pos, p.last_pos, p.state.importance, p.state.active_share, p.state.dropped_share });
        }
    }
    return list;
}

llmm_stats session::stats() {
    const call one(*this);
    collect_gate_counts();
    llmm_stats s = counters_;
    s.n_ctx = n_ctx_;
    s.n_tokens = (int32_t) history_.size();
    s.n_threads = control_.n_threads;
    s.n_threads_batch = control_.n_threads_batch;
    s.model_bytes = owner_->weight_bytes();
    if (evaluator_) {
        const memory_report memory = evaluator_->memory();
        s.kv_bytes = memory.kv_bytes;
        s.compute_bytes = memory.compute_bytes;
        const kv_counters pages = evaluator_->pages();
        const auto of = [](const auto & by_format, page_format f) { return by_format[(int) f]; };
        s.kv_peak_bytes = pages.bytes_peak;
        s.kv_budget_bytes = pages.budget;
        s.kv_pages_f16 = of(pages.pages, page_format::f16);
        s.kv_pages_q4 = of(pages.pages, page_format::q4);
        s.kv_pages_q42 = of(pages.pages, page_format::q42);
        s.kv_pages_spilled = pages.pages_spilled;
        s.kv_pages_shared = pages.pages_shared;
        s.kv_bytes_f16 = of(pages.bytes, page_format::f16);
        s.kv_bytes_q4 = of(pages.bytes, page_format::q4);
        s.kv_bytes_q42 = of(pages.bytes, page_format::q42);
        s.kv_bytes_spilled = pages.bytes_spilled;
        s.kv_demotions = pages.demotions;
        s.kv_promotions = pages.promotions;
        s.kv_spills = pages.spills;
        s.kv_recalls = pages.recalls;
        s.kv_evictions = pages.evictions;
        s.kv_demotion_us = pages.demotion_us;
        s.kv_spill_us = pages.spill_us;
        s.kv_read_us = pages.read_us;
        s.kv_read_bytes = pages.read_bytes;
        const prune_counters pruning = evaluator_->pruning();
        s.prune_active_tokens = pruning.active;
        s.prune_shadow_tokens = pruning.shadow;
        s.prune_dropped_tokens = pruning.dropped;
        s.prune_pruned_tokens = pruning.pruned_total;
        s.prune_recalled_tokens = pruning.recalled_total;
        s.prune_read_tokens = pruning.read;
        s.prune_omitted_mass = pruning.omitted_mean;
        s.prune_omitted_most = pruning.omitted_most;
        s.prune_omitted_bound = pruning.bound_mean;
        s.prune_omitted_bound_most = pruning.bound_most;
        s.prune_steps = pruning.steps;
        s.prune_tests = pruning.tests;
        s.prune_looks = pruning.looks;
        s.prune_us = pruning.time_us;
        s.prune_prefill_tokens = evaluator_->prompts().tokens;
        s.prune_prefill_left_out = evaluator_->prompts().left_out;
        s.prune_prefill_recalled = evaluator_->prompts().recalled;
        s.prune_prefill_shadow = evaluator_->n_shadow_tokens();
        s.prune_prefill_us = evaluator_->prompts().choice_us;
        if (evaluator_->params().pages) {
            s.kv_pages_evicted = (n_kv_ - evaluator_->n_cached_tokens() + pages_->page_tokens - 1) / pages_->page_tokens;
        }
    }
    return s;
}

void session::stats_reset() {
    const call one(*this);
    collect_gate_counts();
    counters_ = {};
}

}  // namespace llmm
