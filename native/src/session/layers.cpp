// What a session offers of its layers: a part of them with hidden states in and out, taps, gates.
#include "failure.h"
#include "session.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <utility>

namespace llmm {

void session::require_whole() const {
    if (!is_whole()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "the session has layers %d to %d of %d: it takes and gives hidden states", layers_.begin, layers_.end,
             owner_->n_layers());
    }
}

void session::check_part(int32_t part, const std::string & name) const {
    const int32_t last = 2 * owner_->n_layers() - 3;
    if (part < 2 || part > last) {
        fail(LLMM_ERR_RANGE, "%s is %d; parts from 2 to %d can be skipped, those of the first and the last layer never", name.c_str(), part, last);
    }
}

std::string session::fingerprint() const {
    if (is_whole()) {
        return owner_->fingerprint();
    }
    uint64_t hash = std::stoull(owner_->fingerprint(), nullptr, 16);
    for (const int32_t n : { layers_.begin, layers_.end }) {
        hash = hash * 1099511628211ull ^ (uint64_t) n;
    }
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", (unsigned long long) hash);
    return text;
}

void session::eval_hidden(span<const int32_t> tokens, span<const float> hidden_in, span<float> hidden_out) {
    const call one(*this);
    owner_->check_tokens(tokens);
    const auto width = (size_t) llama_model_n_embd(owner_->get());
    const bool takes = layers_.begin > 0, gives = layers_.end < owner_->n_layers();
    if (hidden_in.size() != (takes ? tokens.size() * width : 0)) {
        fail(LLMM_ERR_RANGE, "n_in is %zu; %zu tokens before layer %d have %zu values", hidden_in.size(), tokens.size(), layers_.begin,
             takes ? tokens.size() * width : 0);
    }
    if (hidden_out.size() != (gives ? tokens.size() * width : 0)) {
        fail(LLMM_ERR_RANGE, "n_out is %zu; %zu tokens after layer %d have %zu values", hidden_out.size(), tokens.size(), layers_.end - 1,
             gives ? tokens.size() * width : 0);
    }
    check_room((int64_t) n_kv_ + (int64_t) tokens.size());
    if (tokens.empty()) {
        return;
    }
    evaluator & ev = chat_evaluator();
    truncate(n_kv_);                          // what was sampled and not evaluated comes again, with its hidden state
    const int32_t before = n_kv_;
    const int64_t started = ggml_time_us();
    append(tokens);
    try {
        while (n_kv_ < (int32_t) history_.size()) {
            throw_if_cancelled();
            apply_pending_budget();
            const size_t at = (size_t) (n_kv_ - before);
            const size_t n = std::min((size_t) n_batch_, tokens.size() - at);
            ev.set_hidden(takes ? hidden_in.data() + at * width : nullptr, gives ? hidden_out.data() + at * width : nullptr);
            ev.run(tokens.subspan(at, n), n_kv_, !gives && at + n == tokens.size() ? outputs::last : outputs::none);
            n_kv_ += (int32_t) n;
        }
    } catch (...) {
        const int32_t damaged = ev.take_damage();
        const int32_t sound = damaged >= 0 ? std::min(damaged, before) : before;
        ev.set_hidden(nullptr, nullptr);
        n_kv_ = ev.cut(sound);
        truncate(n_kv_);
        control_.cancel = false;
        throw;
    }
    ev.set_hidden(nullptr, nullptr);
    has_logits_ = !gives;
    const bool prompt = tokens.size() > 1;
    (prompt ? counters_.prompt_us : counters_.decode_us) += ggml_time_us() - started;
    counters_.prompt_tokens += prompt ? (int32_t) tokens.size() : 0;
}

void session::taps(span<const int32_t> tokens, std::vector<layer_tap> taps) {
    const call one(*this);
    require_whole();
    owner_->check_tokens(tokens);
    if (tokens.empty() || (int64_t) tokens.size() > n_ctx_) {
        fail(LLMM_ERR_RANGE, "n_tokens is %zu; it must be from 1 to %d", tokens.size(), n_ctx_);
    }
    truncate(0);
    evaluator_params params;
    params.n_ctx = n_ctx_;
    params.n_batch = n_batch_;
    params.n_outputs = n_batch_;              // the last layer drops the tokens that have none
    params.flash_attention = flash_attention_;
    params.pages = pages_;
    evaluator & ev = make_evaluator(params);
    ev.set_gates({});
    try {
        ev.set_taps(std::move(taps));
        for (size_t at = 0; at < tokens.size();) {
            throw_if_cancelled();
            const size_t n = std::min((size_t) n_batch_, tokens.size() - at);
            ev.set_tap_row(at);
            ev.run(tokens.subspan(at, n), (int32_t) at, outputs::from, 0);
            at += n;
        }
        for (const layer_tap & tap : ev.layers().taps()) {
            if (!tap.found) {
                fail(LLMM_ERR_NOT_AVAILABLE, "nothing to tap: %s", tap.place >= 0 ? ("place " + std::to_string(tap.place)).c_str() : tap.weight.c_str());
            }
        }
    } catch (...) {
        drop_evaluator();
        control_.cancel = false;
        throw;
    }
    drop_evaluator();
}

void session::set_gates(gate_policy policy) {
    const call one(*this);
    require_whole();
    const std::string refusal = policy.is_off() ? "" : chat_evaluator().layers().refusal();
    if (!refusal.empty()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "layers cannot be skipped: %s", refusal.c_str());
    }
    std::set<int32_t> seen;
    for (size_t i = 0; i < policy.order.size(); i++) {
        const int32_t part = policy.order[i];
        check_part(part, "order[" + std::to_string(i) + "]");
        if (!seen.insert(part).second) {
            fail(LLMM_ERR_INVALID_ARGUMENT, "order[%zu] is %d, which stands there already", i, part);
        }
    }
    if (policy.levels.size() != policy.edges.size() + 1) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "%zu edges make %zu ranges; there are %zu levels", policy.edges.size(), policy.edges.size() + 1, policy.levels.size());
    }
    for (const int32_t level : policy.levels) {
        if (level < 0 || level > (int32_t) policy.order.size()) {
            fail(LLMM_ERR_RANGE, "a level is %d; it must be from 0 to %zu", level, policy.order.size());
        }
    }
    if (!std::is_sorted(policy.edges.begin(), policy.edges.end()) || std::any_of(policy.edges.begin(), policy.edges.end(), [](float e) { return !std::isfinite(e); })) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "the edges are not finite numbers in ascending order");
    }
    gates_ = std::move(policy);
    if (evaluator_) {
        evaluator_->set_gates(gates_);
    }
}

std::vector<int32_t> session::skippable_parts() {
    const call one(*this);
    require_whole();
    if (!skippable_) {
        // Only a graph with gates tells, and the one at hand may not have been built yet.
        evaluator_params params;
        params.n_ctx = n_ctx_;
        params.n_batch = 1;
        params.flash_attention = flash_attention_;
        params.pages = pages_;
        params.gates = chat_evaluator().layers().refusal().empty();
        skippable_ = params.gates ? evaluator(owner_, params, control_).layers().skippable() : std::vector<int32_t>();
    }
    return *skippable_;
}

void session::set_bypass(int32_t part, std::shared_ptr<const bypass> stand_in) {
    const call one(*this);
    check_part(part, "part");
    if (stand_in) {
        bypasses_[part] = stand_in;
    } else {
        bypasses_.erase(part);
    }
    if (evaluator_) {
        evaluator_->set_bypass(part, stand_in);
    }
}

}  // namespace llmm
