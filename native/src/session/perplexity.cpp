// Perplexity and divergence over a text. Windows and scoring are those of llama.cpp's perplexity tool: windows of
// n_ctx tokens side by side, BOS in place of a window's first token where the model wants it, and the tokens after the
// middle of each window scored, so that each has at least half a window before it.
#include "failure.h"
#include "kv/crc32c.h"
#include "logprob_file.h"
#include "session.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

namespace llmm {

namespace {

constexpr int32_t step_tokens = 512;

// Sums over scored positions.
struct score {
    double nll = 0, nll_squared = 0;
    int32_t n = 0;
    int32_t n_same_top = 0;
    std::vector<float> divergences;

    void add(double negative_logprob) {
        nll += negative_logprob;
        nll_squared += negative_logprob * negative_logprob;
        n++;
    }
};

void logprobs_of(const float * logits, int32_t n_vocab, std::vector<float> & logprobs) {
    const double total = log_sum_exp(logits, n_vocab);
    logprobs.resize((size_t) n_vocab);
    for (int32_t i = 0; i < n_vocab; i++) {
        logprobs[(size_t) i] = (float) (logits[i] - total);
    }
}

// KL(base || other) in nats.
double divergence(const std::vector<float> & base, const std::vector<float> & other) {
    double sum = 0;
    for (size_t i = 0; i < base.size(); i++) {
        if (base[i] > logprob_floor) {
            sum += std::exp((double) base[i]) * (base[i] - stored_logprob(other[i]));
        }
    }
    return std::max(0.0, sum);
}

}  // namespace

llmm_perplexity_result session::perplexity(span<const int32_t> tokens, const llmm_perplexity_params & params) {
    const call one(*this);
    require_whole();
    const int32_t window = params.n_ctx > 0 ? params.n_ctx : n_ctx_;
    if (window < 8 || window > (1 << 20)) {
        fail(LLMM_ERR_RANGE, "params.n_ctx is %d; it must be from 8 to %d", window, 1 << 20);
    }
    if (params.n_chunks == 0 || params.n_chunks < -1) {
        fail(LLMM_ERR_RANGE, "params.n_chunks is %d; it must be -1 or at least 1", params.n_chunks);
    }
    owner_->check_tokens(tokens);
    if ((int64_t) tokens.size() < 2 * (int64_t) window) {
        fail(LLMM_ERR_RANGE, "the text has %zu tokens; windows of %d need at least %d", tokens.size(), window, 2 * window);
    }
    const int32_t n_windows = (int32_t) (tokens.size() / (size_t) window);
    const int32_t n_chunks = params.n_chunks < 0 ? n_windows : std::min(params.n_chunks, n_windows);
    const int32_t n_vocab = owner_->n_vocab();
    if (params.n_decode < 0 || params.n_decode >= window) {
        fail(LLMM_ERR_RANGE, "params.n_decode is %d; it must be from 0 to %d", params.n_decode, window - 1);
    }
    // What is predicted after each of the tokens [first, window - 1) is scored.
    const int32_t first = params.n_decode > 0 ? window - params.n_decode - 1 : window / 2;

    logprob_header header;
    header.n_vocab = n_vocab;
    header.n_ctx = window;
    header.n_chunks = n_chunks;
    header.first = first;
    header.tokens_crc = crc32c(tokens.data(), (size_t) n_chunks * (size_t) window * sizeof(int32_t));
    std::optional<logprob_reader> base;
    if (params.against_path) {
        base.emplace(params.against_path, header);
    }
    std::optional<logprob_writer> saved;
    if (params.save_path) {
        saved.emplace(params.save_path, header);
    }

    truncate(0);
    evaluator_params ep;
    ep.n_ctx = window;
    ep.n_batch = std::min(window, step_tokens);
    ep.n_outputs = ep.n_batch;
    ep.flash_attention = flash_attention_;
    ep.pages = pages_;
    ep.prune = pruning_;
    evaluator & ev = make_evaluator(ep);

    const progress_sink progress{ params.progress, params.progress_data };
    const bool add_bos = llama_vocab_get_add_bos(owner_->vocab());
    score total;
    std::vector<float> logprobs, base_logprobs;
    const auto score_position = [&](const float * row, int32_t next_token) {
        total.add(log_sum_exp(row, n_vocab) - row[next_token]);
        if (!saved && !base) {
            return;
        }
        logprobs_of(row, n_vocab, logprobs);
        if (saved) {
            saved->add(logprobs);
        }
        if (base) {
            base->next(base_logprobs);
            total.divergences.push_back((float) divergence(base_logprobs, logprobs));
            // The base is rounded: any of its tokens that share the highest value may be the top one.
            const int32_t top = argmax(logprobs.data(), n_vocab);
            total.n_same_top += top >= 0 && base_logprobs[(size_t) top] == *std::max_element(base_logprobs.begin(), base_logprobs.end());
        }
    };

    try {
        std::vector<int32_t> chunk((size_t) window);
        for (int32_t c = 0; c < n_chunks; c++) {
            const auto source = tokens.subspan((size_t) c * (size_t) window, (size_t) window);
            chunk.assign(source.begin(), source.end());
            if (add_bos) {
                chunk[0] = llama_vocab_bos(owner_->vocab());
            }
            ev.cut(0);
            for (int32_t at = 0, n; at < window; at += n) {
                throw_if_cancelled();
                n = params.n_decode == 0 ? std::min(ep.n_batch, window - at) : at < first ? std::min(ep.n_batch, first - at) : 1;
                const int32_t from = std::max(0, first - at);      // first index of this step that is scored
                if (params.n_decode > 0 && at < first && ev.is_read_in_stages(at, first - at, at == 0)) {
                    n = ev.run_in_stages(span<const int32_t>(chunk).subspan((size_t) at, (size_t) (first - at)), at, outputs::none, [&](double done) {
                        throw_if_cancelled();
                        progress.report((c + (at + done * (first - at)) / window) / n_chunks);
                    });
                    continue;
                }
                ev.run(span<const int32_t>(chunk).subspan((size_t) at, (size_t) n), at,
                       from < n ? outputs::from : outputs::none, (size_t) from);
                for (int32_t i = from; i < n && at + i + 1 < window; i++) {
                    score_position(ev.logits(i), source[(size_t) (at + i + 1)]);
                }
                progress.report((c + (double) (at + n) / window) / n_chunks);
            }
        }
    } catch (...) {
        drop_evaluator();
        control_.cancel = false;
        throw;
    }
    drop_evaluator();
    if (base) {
        base->finish();
    }
    if (saved) {
        saved->commit();
    }

    llmm_perplexity_result result{};
    result.n_scored = total.n;
    const double mean = total.nll / total.n;
    const double variance = total.nll_squared / total.n - mean * mean;
    result.perplexity = std::exp(mean);
    result.stderr_ = variance > 0 && total.n > 1 ? std::sqrt(variance / (total.n - 1)) * result.perplexity : 0.0;
    result.kl_mean = result.kl_p99 = result.top1_agreement = NAN;
    if (base) {
        auto & d = total.divergences;
        double sum = 0;
        for (const float v : d) {
            sum += v;
        }
        std::sort(d.begin(), d.end());
        result.kl_mean = sum / (double) d.size();
        result.kl_p99 = d[(size_t) ((double) (d.size() - 1) * 0.99)];
        result.top1_agreement = (double) total.n_same_top / total.n;
    }
    return result;
}

}  // namespace llmm
