#include "guard.h"
#include "handles.h"
#include "session/kv_probe.h"

using namespace llmm;

namespace {

span<const int32_t> take_tokens(const int32_t * tokens, int32_t n) {
    require_array(tokens, n, "tokens");
    return { tokens, (size_t) n };
}

prune_settings take_pruning(const llmm_prune_params * params, const char * name) {
    return checked_pruning(take_params(params, llmm_prune_params_init, name), name);
}

}  // namespace

void llmm_prune_params_init(llmm_prune_params * params) {
    if (params) {
        const prune_settings s;
        *params = {};
        params->struct_size = sizeof(*params);
        params->threshold = s.threshold;
        params->keep_ratio = s.keep_ratio;
        params->max_active_tokens = s.max_active;
        params->max_shadow_tokens = s.max_shadow;
        params->select_mass = s.select_mass;
        params->test_interval = s.test_interval;
        params->select_interval = s.select_interval;
        params->min_tokens = s.min_tokens;
        params->policy = (int32_t) s.policy;
        params->record = s.record;
        params->prefill_keep = s.prefill_keep;
        params->prefill_layer = s.prefill_layer;
        params->bound = s.bound;
    }
}

void llmm_session_params_init(llmm_session_params * params) {
    if (params) {
        *params = {};
        params->struct_size = sizeof(*params);
        params->n_batch = 512;
        params->flash_attention = LLMM_FLASH_ATTENTION_AUTO;
        const kv_settings pages;
        params->kv_quantize = (int32_t) pages.quantize;
        params->kv_evict = pages.evict;
        params->kv_recent_tokens = pages.recent_tokens;
        params->kv_pinned_tokens = pages.pinned_tokens;
    }
}

llmm_status llmm_session_new(llmm_model * m, const llmm_session_params * params, llmm_session ** out) {
    return guard([&] {
        require(m, "model");
        require(out, "out");
        llmm_session_params p = take_params(params, llmm_session_params_init, "params");
        if (p.kv_spill_dir) {
            take_path(p.kv_spill_dir, "params.kv_spill_dir");
        }
        *out = new llmm_session{ { m->impl, p, p.prune ? take_pruning(p.prune, "params.prune") : prune_settings{} } };
    });
}

llmm_status llmm_session_fork(llmm_session * parent, llmm_session ** out) {
    return guard([&] {
        require(parent, "parent");
        require(out, "out");
        *out = new llmm_session{ session(session::fork_of{ parent->impl }) };
    });
}

llmm_status llmm_model_probe_kv(llmm_model * m, int32_t page_tokens, int32_t n_threads, llmm_kv_probe_result * out) {
    return guard([&] {
        require(m, "model");
        require_out(out, "out");
        give_result(out, probe_kv(m->impl, checked_page_tokens(page_tokens, "page_tokens"), checked_threads(n_threads, "n_threads")));
    });
}

llmm_status llmm_session_set_kv_budget(llmm_session * s, uint64_t bytes) {
    return guard([&] {
        require(s, "session");
        s->impl.set_kv_budget(bytes);
    });
}

llmm_status llmm_session_set_pruning(llmm_session * s, const llmm_prune_params * params) {
    return guard([&] {
        require(s, "session");
        s->impl.set_pruning(params ? take_pruning(params, "params") : prune_settings{});
    });
}

llmm_status llmm_session_prune_events(llmm_session * s, llmm_buffer ** out) {
    return guard([&] {
        require(s, "session");
        require(out, "out");
        *out = new_buffer(bytes_of(s->impl.prune_events()));
    });
}

llmm_status llmm_session_prune_pages(llmm_session * s, llmm_buffer ** out) {
    return guard([&] {
        require(s, "session");
        require(out, "out");
        *out = new_buffer(bytes_of(s->impl.prune_pages()));
    });
}

void llmm_session_close(llmm_session * s) {
    delete s;
}

void llmm_session_cancel(llmm_session * s) {
    if (s) {
        s->impl.cancel();
    }
}

void llmm_session_cancel_reset(llmm_session * s) {
    if (s) {
        s->impl.cancel_reset();
    }
}

llmm_status llmm_session_set_threads(llmm_session * s, int32_t n_threads, int32_t n_threads_batch) {
    return guard([&] {
        require(s, "session");
        s->impl.set_threads(n_threads, n_threads_batch);
    });
}

llmm_status llmm_session_set_adapters(llmm_session * s, llmm_adapter ** adapters, const float * scales, int32_t n) {
    return guard([&] {
        require(s, "session");
        require_array(adapters, n, "adapters");
        require_array(scales, n, "scales");
        std::vector<std::shared_ptr<adapter>> list;
        for (int32_t i = 0; i < n; i++) {
            require(adapters[i], "adapters");
            list.push_back(adapters[i]->impl);
        }
        s->impl.set_adapters(std::move(list), std::vector<float>(scales, scales + n));
    });
}

int32_t llmm_session_n_tokens(const llmm_session * s) {
    return s ? s->impl.n_tokens() : 0;
}

int32_t llmm_session_n_ctx(const llmm_session * s) {
    return s ? s->impl.n_ctx() : 0;
}

llmm_status llmm_session_tokens(const llmm_session * s, llmm_buffer ** out) {
    return guard([&] {
        require(s, "session");
        require(out, "out");
        *out = new_buffer(bytes_of(const_cast<llmm_session *>(s)->impl.tokens()));
    });
}

llmm_status llmm_session_eval(llmm_session * s, const int32_t * tokens, int32_t n_tokens, llmm_progress_cb progress,
                              void * progress_data) {
    return guard([&] {
        require(s, "session");
        s->impl.eval(take_tokens(tokens, n_tokens), { progress, progress_data });
    });
}

llmm_status llmm_session_prefill(llmm_session * s, const int32_t * tokens, int32_t n_tokens, llmm_progress_cb progress,
                                 void * progress_data, int32_t * n_reused) {
    return guard([&] {
        require(s, "session");
        const int32_t reused = s->impl.prefill(take_tokens(tokens, n_tokens), { progress, progress_data });
        if (n_reused) {
            *n_reused = reused;
        }
    });
}

llmm_status llmm_session_rewind(llmm_session * s, int32_t n_tokens) {
    return guard([&] {
        require(s, "session");
        s->impl.rewind(n_tokens);
    });
}

llmm_status llmm_session_decode(llmm_session * s, llmm_sampler * sampler, llmm_token_result * out) {
    return guard([&] {
        require(s, "session");
        require(sampler, "sampler");
        require_out(out, "out");
        give_result(out, s->impl.decode(sampler->impl));
    });
}

void llmm_generate_params_init(llmm_generate_params * params) {
    if (params) {
        *params = {};
        params->struct_size = sizeof(*params);
        params->max_tokens = 256;
        params->batch_tokens = 1;
    }
}

llmm_status llmm_session_generate(llmm_session * s, llmm_sampler * sampler, const llmm_generate_params * params,
                                  llmm_generate_result * out) {
    return guard([&] {
        require(s, "session");
        require(sampler, "sampler");
        require_out(out, "out");
        give_result(out, s->impl.generate(sampler->impl, take_params(params, llmm_generate_params_init, "params")));
    });
}

llmm_status llmm_session_logits(llmm_session * s, float * out, int32_t n) {
    return guard([&] {
        require(s, "session");
        require_array(out, n, "out");
        s->impl.logits({ out, (size_t) n });
    });
}

llmm_status llmm_session_top_logprobs(llmm_session * s, int32_t k, int32_t * tokens, float * logprobs) {
    return guard([&] {
        require(s, "session");
        require_array(tokens, k, "tokens");
        require_array(logprobs, k, "logprobs");
        s->impl.top_logprobs({ tokens, (size_t) k }, { logprobs, (size_t) k });
    });
}

llmm_status llmm_session_embed(llmm_session * s, const int32_t * tokens, int32_t n_tokens, int32_t pooling,
                               int32_t normalize, float * out, int32_t n) {
    return guard([&] {
        require(s, "session");
        require_array(out, n, "out");
        s->impl.embed(take_tokens(tokens, n_tokens), (llmm_pooling) pooling, normalize != 0, { out, (size_t) n });
    });
}

void llmm_perplexity_params_init(llmm_perplexity_params * params) {
    if (params) {
        *params = {};
        params->struct_size = sizeof(*params);
        params->n_chunks = -1;
    }
}

llmm_status llmm_session_perplexity(llmm_session * s, const int32_t * tokens, int32_t n_tokens,
                                    const llmm_perplexity_params * params, llmm_perplexity_result * out) {
    return guard([&] {
        require(s, "session");
        require_out(out, "out");
        const auto p = take_params(params, llmm_perplexity_params_init, "params");
        if (p.save_path) {
            take_path(p.save_path, "params.save_path");
        }
        if (p.against_path) {
            take_path(p.against_path, "params.against_path");
        }
        give_result(out, s->impl.perplexity(take_tokens(tokens, n_tokens), p));
    });
}

llmm_status llmm_session_save(llmm_session * s, const char * path) {
    return guard([&] {
        require(s, "session");
        s->impl.save(take_path(path, "path"));
    });
}

llmm_status llmm_session_load(llmm_session * s, const char * path) {
    return guard([&] {
        require(s, "session");
        s->impl.load(take_path(path, "path"));
    });
}

llmm_status llmm_session_stats(llmm_session * s, llmm_stats * out) {
    return guard([&] {
        require(s, "session");
        require_out(out, "out");
        give_result(out, s->impl.stats());
    });
}

llmm_status llmm_session_stats_reset(llmm_session * s) {
    return guard([&] {
        require(s, "session");
        s->impl.stats_reset();
    });
}
