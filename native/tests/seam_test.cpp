// The hooks that the patches put into llama.cpp: called where and as often as promised, without effect as long as they
// change nothing, and with effect when they do.
#include "test_support.h"

#include "llmm-hooks.h"

#include "llama-batch.h"
#include "llama-graph.h"
#include "llama-kv-cache.h"
#include "llama.h"

#include "ggml.h"

namespace llmm_test {
namespace {

constexpr int32_t n_ubatch = 16;
constexpr int32_t n_prompt = 40;      // three ubatches
constexpr int32_t n_layers = 2;

struct llama_deleter {
    void operator()(llama_model * p) const { llama_model_free(p); }
    void operator()(llama_context * p) const { llama_free(p); }
};
using llama_model_ptr = std::unique_ptr<llama_model, llama_deleter>;
using llama_context_ptr = std::unique_ptr<llama_context, llama_deleter>;

struct counts {
    int caches = 0;
    int layers = 0;
    int computes = 0;
    int applied_tokens = 0;
    int attentions = 0;
    int last_layer = -1;
};

// The stock cache, watched.
class watched_cache final : public llama_kv_cache {
public:
    watched_cache(const llmm::kv_cache_request & r, counts & seen)
        : llama_kv_cache(r.model, r.hparams, r.type_k, r.type_v, r.v_trans, r.offload, r.unified, r.kv_size, r.n_seq_max,
                         r.n_pad, r.n_swa, r.swa_type, r.mem_other, r.filter, r.reuse, r.share),
          seen_(seen) {}

    void llmm_on_apply(const slot_info &, const llama_ubatch & ubatch) override { seen_.applied_tokens += (int) ubatch.n_tokens; }

    ggml_tensor * llmm_attn(const llm_graph_context &, const llama_kv_cache_context * context, const llmm::attn_args & args) override {
        EXPECT_EQ(this, context->get_kv());
        EXPECT_NE(nullptr, args.q);
        EXPECT_NE(nullptr, args.k_idxs);
        EXPECT_LT(args.il, n_layers);
        seen_.attentions++;
        return nullptr;
    }

private:
    counts & seen_;
};

class watching_hooks : public llmm::context_hooks {
public:
    explicit watching_hooks(counts & seen) : seen_(seen) {}

    llama_kv_cache * new_kv_cache(const llmm::kv_cache_request & request) override {
        seen_.caches++;
        return new watched_cache(request, seen_);
    }
    ggml_tensor * after_layer(const llm_graph_context &, ggml_tensor * cur, int il) override {
        EXPECT_EQ(il, il == 0 ? 0 : seen_.last_layer + 1);
        seen_.last_layer = il;
        seen_.layers++;
        return cur;
    }
    void before_compute(llm_graph_result &, const llama_ubatch &) override { seen_.computes++; }

private:
    counts & seen_;
};

class doubling_hooks : public llmm::context_hooks {
public:
    ggml_tensor * after_layer(const llm_graph_context & graph, ggml_tensor * cur, int il) override {
        return il == 0 ? ggml_scale(graph.ctx0, cur, 2.0f) : cur;
    }
};

class SeamTest : public ::testing::TestWithParam<tiny_arch> {
protected:
    void SetUp() override {
        ASSERT_STATUS(LLMM_OK, llmm_log_set(LLMM_LOG_OFF, nullptr, nullptr));   // starts the engine
        tiny_options options = options_of(GetParam());
        options.n_layers = n_layers;
        const std::string path = tiny_file(GetParam() == tiny_arch::llama ? "seam-llama" : "seam-gemma3", options);
        model_.reset(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
        ASSERT_TRUE(model_);
    }

    llama_context_ptr context(std::shared_ptr<llmm::context_hooks> hooks) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 256;
        params.n_batch = params.n_ubatch = n_ubatch;
        params.n_threads = params.n_threads_batch = 1;
        const llmm::hooks_scope scope(std::move(hooks));
        return llama_context_ptr(llama_init_from_model(model_.get(), params));
    }

    // Logits after the prompt and after one more token.
    std::vector<float> run(llama_context * ctx) {
        token_list tokens = random_tokens(n_prompt + 1, 3);
        std::vector<float> logits;
        const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
        for (int32_t at = 0; at <= n_prompt; at += n_ubatch) {
            const int32_t n = at == n_prompt ? 1 : std::min(n_ubatch, n_prompt - at);
            EXPECT_EQ(0, llama_decode(ctx, llama_batch_get_one(tokens.data() + at, n)));
        }
        EXPECT_EQ(0, llama_decode(ctx, llama_batch_get_one(tokens.data() + n_prompt, 1)));
        const float * row = llama_get_logits_ith(ctx, -1);
        logits.assign(row, row + n_vocab);
        return logits;
    }

    llama_model_ptr model_;
};

TEST_P(SeamTest, WatchingHooksAreCalledAndChangeNothing) {
    counts seen;
    const auto watched = context(std::make_shared<watching_hooks>(seen));
    ASSERT_TRUE(watched);
    EXPECT_EQ(1, seen.caches);
    EXPECT_GE(seen.layers, n_layers);            // the worst-case graphs have been built
    EXPECT_EQ(0, seen.computes);
    EXPECT_EQ(0, seen.applied_tokens);           // nothing has really been applied

    const auto logits = run(watched.get());
    EXPECT_EQ(4, seen.computes);
    EXPECT_EQ(n_prompt + 1, seen.applied_tokens);
    EXPECT_EQ(0, seen.layers % n_layers);
    EXPECT_GT(seen.attentions, 0);

    const auto stock = context(nullptr);
    ASSERT_TRUE(stock);
    EXPECT_TRUE(same_bits(run(stock.get()), logits));
    EXPECT_EQ(4, seen.computes);                 // hooks of one context are not another's
}

TEST_P(SeamTest, WhatTheLayerHookReturnsIsTheNextLayersInput) {
    const auto plain = context(nullptr);
    const auto doubled = context(std::make_shared<doubling_hooks>());
    ASSERT_TRUE(plain && doubled);
    EXPECT_GT(max_difference(run(plain.get()), run(doubled.get())), 1e-4);
}

TEST_P(SeamTest, HooksEndWithTheScope) {
    counts seen;
    { const llmm::hooks_scope scope(std::make_shared<watching_hooks>(seen)); }
    const auto ctx = context(nullptr);
    ASSERT_TRUE(ctx);
    run(ctx.get());
    EXPECT_EQ(0, seen.caches + seen.layers + seen.computes);
}

INSTANTIATE_TEST_SUITE_P(Architectures, SeamTest, ::testing::Values(tiny_arch::llama, tiny_arch::gemma3),
                         [](const auto & info) { return info.param == tiny_arch::llama ? "llama" : "gemma3"; });

}  // namespace
}  // namespace llmm_test
