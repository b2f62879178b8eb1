// The part of session that checks drafts: evaluates the last token of the history and guesses after it in one step, and
// takes back what the model does not choose itself (as speculative decoding does, arXiv 2211.17192, with a draft that
// either is the sampled token or is not).
#include "drafting.h"

#include "failure.h"
#include "log.h"
#include "session.h"

#include "ggml.h"

#include <algorithm>
#include <utility>

namespace llmm {

void session::set_draft_source(std::unique_ptr<draft_source> source, bool paced) {
    const call one(*this);
    drafting_ = std::make_unique<drafting>();
    drafting_->source = std::move(source);
    drafting_->paced = paced;
}

void session::begin_drafts() {
    if (!drafting_) {
        drafting_ = std::make_unique<drafting>();
        drafting_->source = std::make_unique<ngram_drafter>();
    }
    drafting_->works = true;
    drafting_->source->begin(history_);
}

// A step of one token comes next, and of no prompt.
bool session::has_one_pending() const {
    return n_kv_ + 1 == (int32_t) history_.size() && !has_logits_ && loaded_logits_.empty();
}

// False: nothing has been evaluated. most: drafted tokens that there is a use for.
bool session::draft_ahead(int32_t most) {
    drafting & d = *drafting_;
    if (d.open || !d.works || !has_one_pending()) {
        return d.open;
    }
    apply_pending_budget();
    most = evaluator_->draft_room(n_kv_, std::min({ most, most_draft_tokens, n_ctx_ - (int32_t) history_.size() }));
    if (most < 1) {
        return false;
    }
    d.ahead = d.source->propose(history_, most);
    std::vector<int32_t> & guess = d.ahead.tokens;
    if (d.paced) {
        guess.resize((size_t) d.pacer.choose(d.ahead.strength, (int32_t) guess.size()));
    }
    if (guess.empty()) {
        return false;
    }
    std::vector<int32_t> tokens = { history_.back() };
    tokens.insert(tokens.end(), guess.begin(), guess.end());
    const int64_t started = ggml_time_us();
    try {
        evaluator_->run_draft(tokens, n_kv_);
    } catch (const std::exception & e) {
        const int32_t damaged = evaluator_->take_damage();
        const int32_t sound = damaged >= 0 ? std::min(damaged, n_kv_) : n_kv_;
        n_kv_ = sound < n_kv_ ? evaluator_->cut(sound) : evaluator_->take_back(sound);
        const auto * f = dynamic_cast<const failure *>(&e);
        if (f && f->status() == LLMM_ERR_CANCELLED) {
            control_.cancel = false;
            throw;
        }
        if (damaged >= 0) {
            counters_.kv_recomputed++;
            log_line(LLMM_LOG_WARN, std::string(e.what()) + "; they are computed again");
        }
        d.works = false;                      // the plain step that follows does what is possible, or tells what is not
        return false;
    }
    d.us = ggml_time_us() - started;
    d.open = true;
    d.n_right = 0;
    n_kv_++;
    counters_.decode_us += d.us;
    counters_.draft_steps++;
    counters_.draft_proposed += (int64_t) guess.size();
    return true;
}

void session::step_plainly() {
    if (has_one_pending()) {
        const int64_t started = ggml_time_us();
        last_logits();
        drafting_->pacer.note_plain(ggml_time_us() - started);
    }
}

// Takes in the token that has been sampled from the row after those that were right.
void session::confirm_draft(int32_t token) {
    drafting & d = *drafting_;
    if (!d.open) {
        return;
    }
    if (d.n_right < (int32_t) d.ahead.tokens.size() && d.ahead.tokens[(size_t) d.n_right] == token) {
        d.n_right++;
        n_kv_++;
        return;
    }
    close_draft();
    d.pacer.note_drafted(d.ahead.strength, (int32_t) d.ahead.tokens.size(), d.n_right, d.us);
}

void session::close_draft() {
    drafting & d = *drafting_;
    const int64_t started = ggml_time_us();
    d.open = false;
    counters_.draft_accepted += d.n_right;
    if (d.n_right < (int32_t) d.ahead.tokens.size()) {
        const int32_t left = evaluator_->take_back(n_kv_);
        d.works = d.works && left == n_kv_;
        n_kv_ = left;
    }
    const int64_t us = ggml_time_us() - started;
    d.us += us;
    counters_.decode_us += us;
}

// At the end of a generation: the last token is pending, as it is without drafts.
void session::settle_drafts() noexcept {
    if (!drafting_ || !evaluator_) {
        return;
    }
    try {
        if (drafting_->open) {
            close_draft();
        }
        if (n_kv_ > 0 && n_kv_ == (int32_t) history_.size() && !has_logits_ && loaded_logits_.empty()) {
            n_kv_ = evaluator_->take_back(n_kv_ - 1);
        }
    } catch (const std::exception & e) {
        log_line(LLMM_LOG_WARN, std::string("keys and values are computed again: ") + e.what());
        drop_evaluator();
    }
}

}  // namespace llmm
