// The generation loop: evaluate (with drafts: ahead), sample, collect text, hand it out in batches, stop for one of the
// documented reasons.
#include "failure.h"
#include "session.h"
#include "text_stream.h"

#include <algorithm>
#include <memory>

namespace llmm {

namespace {

constexpr int32_t max_batch_tokens = 64;

// Tokens and text since the last callback.
class token_batcher {
public:
    token_batcher(const llmm_generate_params & params, std::vector<std::string> stops) : params_(params), stream_(std::move(stops)) {}

    // Takes one token. True if a stop string has appeared.
    bool push(int32_t token, float logprob, const std::string & piece) {
        const bool stopped = stream_.push(piece, text_);
        tokens_.push_back(token);
        logprobs_.push_back(logprob);
        ends_.push_back((int32_t) text_.size());
        return stopped;
    }

    bool full() const { return (int32_t) tokens_.size() >= params_.batch_tokens; }

    // Gives out what there is. True if the callback asks to stop.
    bool flush() {
        if (tokens_.empty() && text_.empty()) {
            return false;
        }
        llmm_token_batch batch{};
        batch.n_tokens = (int32_t) tokens_.size();
        batch.tokens = tokens_.data();
        batch.logprobs = params_.logprobs ? logprobs_.data() : nullptr;
        batch.text_ends = ends_.data();
        batch.text = text_.c_str();
        batch.text_bytes = (int32_t) text_.size();
        const bool stop = params_.on_tokens && params_.on_tokens(&batch, params_.on_tokens_data) != 0;
        tokens_.clear();
        logprobs_.clear();
        ends_.clear();
        text_.clear();
        return stop;
    }

    // Gives out what was held back as well. Nothing follows, so the callback's answer does not matter.
    void finish() {
        stream_.finish(text_);
        flush();
    }

private:
    const llmm_generate_params & params_;
    text_stream stream_;
    std::vector<int32_t> tokens_;
    std::vector<float> logprobs_;
    std::vector<int32_t> ends_;
    std::string text_;
};

}  // namespace

llmm_generate_result session::generate(sampler & s, const llmm_generate_params & params) {
    const call one(*this);
    if (s.owner() != owner_.get()) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "the sampler belongs to another model");
    }
    if (params.max_tokens < -1) {
        fail(LLMM_ERR_RANGE, "params.max_tokens is %d; it must be -1 or more", params.max_tokens);
    }
    if (params.batch_tokens < 1 || params.batch_tokens > max_batch_tokens) {
        fail(LLMM_ERR_RANGE, "params.batch_tokens is %d; it must be from 1 to %d", params.batch_tokens, max_batch_tokens);
    }
    if (params.draft_tokens < 0 || params.draft_tokens > most_draft_tokens) {
        fail(LLMM_ERR_RANGE, "params.draft_tokens is %d; it must be from 0 to %d", params.draft_tokens, most_draft_tokens);
    }
    if (history_.empty()) {
        fail(LLMM_ERR_NO_LOGITS, "nothing has been evaluated yet");
    }

    llmm_generate_result result{};
    token_batcher out(params, s.options().stop);
    const bool drafts = params.draft_tokens > 0;
    if (drafts) {
        begin_drafts();
    }
    try {
        const auto settle = [](session * self) { self->settle_drafts(); };
        const std::unique_ptr<session, decltype(settle)> settled(drafts ? this : nullptr, settle);
        while (result.stop_reason == LLMM_STOP_NONE) {
            if (params.max_tokens >= 0 && result.n_tokens >= params.max_tokens) {
                result.stop_reason = LLMM_STOP_MAX_TOKENS;
                break;
            }
            if ((int32_t) history_.size() >= n_ctx_ && !may_outgrow_context()) {
                result.stop_reason = LLMM_STOP_CONTEXT_FULL;
                break;
            }
            throw_if_cancelled();
            if (drafts) {
                const int32_t left = params.max_tokens < 0 ? most_draft_tokens : params.max_tokens - result.n_tokens - 1;
                if (!draft_ahead(std::min(params.draft_tokens, left))) {
                    step_plainly();
                }
            }
            float logprob = 0;
            const int32_t token = sample_next(s, params.logprobs ? &logprob : nullptr);
            result.n_tokens++;
            if (drafts) {
                confirm_draft(token);
            }
            if (llama_vocab_is_eog(owner_->vocab(), token)) {
                result.stop_reason = LLMM_STOP_END;
            } else if (out.push(token, logprob, owner_->piece(token))) {
                result.stop_reason = LLMM_STOP_STRING;
            } else if (out.full() && out.flush()) {
                result.stop_reason = LLMM_STOP_CANCELLED;
            }
        }
    } catch (const failure & f) {
        if (f.status() != LLMM_ERR_CANCELLED) {
            throw;
        }
        result.stop_reason = LLMM_STOP_CANCELLED;
    }
    out.finish();
    return result;
}

}  // namespace llmm
