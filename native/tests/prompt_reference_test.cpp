// Prompts of which later layers see only a part, through the seam, against references: llama.cpp's own cache that never
// had the other tokens, and the same pages with the other tokens evaluated but not read.
#include "test_support.h"

#include "layer_control.h"
#include "new_context.h"
#include "paging.h"

#include "llama.h"

#include <algorithm>
#include <cmath>

namespace llmm_test {
namespace {

constexpr int32_t n_layers = 5, n_prompt = 200, n_batch = 64, layer = 2, P = 16;
constexpr double rounding = 2e-3;            // steps of other tokens, whose products of 16-bit integers round otherwise

struct llama_deleter {
    void operator()(llama_model * p) const { llama_model_free(p); }
    void operator()(llama_context * p) const { llama_free(p); }
};
using llama_model_ptr = std::unique_ptr<llama_model, llama_deleter>;
using llama_context_ptr = std::unique_ptr<llama_context, llama_deleter>;

// A context, with or without pages, whose layers are evaluated in parts.
struct part_context {
    llmm::layer_control layers;
    std::unique_ptr<llmm::paging> pages;
    llama_context_ptr context;
    llama_batch batch = llama_batch_init(n_batch, 0, 1);

    part_context(llama_model * model, bool paged, const llmm::prune_settings & prune = {}) : layers(model, {}) {
        llama_context_params p = llama_context_default_params();
        p.n_ctx = 512;
        p.n_batch = p.n_ubatch = n_batch;
        p.n_threads = p.n_threads_batch = 1;
        p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        std::vector<std::shared_ptr<llmm::context_hooks>> hooks = { layers.hooks() };
        if (paged) {
            llmm::kv_settings settings;
            settings.page_tokens = P;
            settings.quantize = llmm::kv_quantize::f16;
            settings.recent_tokens = 32;
            settings.pinned_tokens = 0;
            pages = std::make_unique<llmm::paging>(settings, prune);
            hooks.push_back(pages->hooks());
        }
        context.reset(llmm::new_context(model, p, hooks));
    }
    ~part_context() { llama_batch_free(batch); }
    part_context(const part_context &) = delete;
    part_context & operator=(const part_context &) = delete;

    void begin(llmm::layer_range range) {
        layers.set_range(range);
        llama_set_adapter_cvec(context.get(), nullptr, 0, 0, 0, 0);       // has graphs sized anew
    }

    // Tokens at positions; logits of the last one of all.
    void run(const token_list & tokens, const std::vector<int32_t> & positions, const float * in, float * out, int32_t width, size_t step = n_batch) {
        for (size_t at = 0; at < positions.size(); at += step) {
            batch.n_tokens = (int32_t) std::min(step, positions.size() - at);
            for (int32_t i = 0; i < batch.n_tokens; i++) {
                const int32_t pos = positions[at + (size_t) i];
                batch.token[i] = tokens[(size_t) pos];
                batch.pos[i] = pos;
                batch.n_seq_id[i] = 1;
                batch.seq_id[i][0] = 0;
                batch.logits[i] = at + (size_t) i + 1 == positions.size();
            }
            layers.set_hidden(in ? in + at * (size_t) width : nullptr, out ? out + at * (size_t) width : nullptr);
            ASSERT_EQ(0, llama_decode(context.get(), batch));
            if (pages) {
                pages->finish_step();
            }
        }
    }

    std::vector<float> logits(int32_t n_vocab) const {
        const float * row = llama_get_logits_ith(context.get(), -1);
        return { row, row + n_vocab };
    }
};

double distance(const std::vector<float> & a, const std::vector<float> & b) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < a.size(); i++) {
        error += std::pow((double) a[i] - b[i], 2);
        norm += std::pow((double) b[i], 2);
    }
    return std::sqrt(error / norm);
}

std::vector<int32_t> positions_from(int32_t begin, int32_t end) {
    std::vector<int32_t> list;
    for (int32_t i = begin; i < end; i++) {
        list.push_back(i);
    }
    return list;
}

class PromptReference : public ::testing::TestWithParam<tiny_arch> {
protected:
    void SetUp() override {
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        tiny_options options;
        options.arch = GetParam();
        options.n_layers = n_layers;
        const std::string path = tiny_file("reference-" + std::to_string((int) GetParam()), options);
        model_.reset(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
        ASSERT_NE(nullptr, model_);
        width_ = llama_model_n_embd(model_.get());
        n_vocab_ = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
        hidden_.resize((size_t) (n_prompt * width_));
    }

    // Up to the choice of what later layers see.
    std::vector<int32_t> read(part_context & c, int32_t n_keep) {
        c.begin({ 0, layer });
        EXPECT_TRUE(c.pages->begin_prompt(layer, n_prompt, 0));
        const std::vector<int32_t> all = positions_from(0, n_prompt);
        c.run(tokens_, { all.begin(), all.end() - 20 }, nullptr, hidden_.data(), width_);
        c.pages->watch_prompt();
        c.run(tokens_, { all.end() - 20, all.end() }, nullptr, hidden_.data() + (size_t) ((n_prompt - 20) * width_), width_,
              (size_t) c.pages->watch_tokens());
        const std::vector<int32_t> kept = c.pages->keep_of_prompt(tokens_.data(), 0, n_keep, { tokens_.begin() + (n_prompt - 20), tokens_.begin() + n_prompt });
        c.begin({ layer, n_layers });
        return kept;
    }

    std::vector<float> rows_of(const std::vector<int32_t> & positions) const {
        std::vector<float> rows;
        for (const int32_t p : positions) {
            rows.insert(rows.end(), hidden_.begin() + (ptrdiff_t) (p * width_), hidden_.begin() + (ptrdiff_t) ((p + 1) * width_));
        }
        return rows;
    }

    llama_model_ptr model_;
    int32_t width_ = 0, n_vocab_ = 0;
    const token_list tokens_ = random_tokens(n_prompt + 20, 4);
    std::vector<float> hidden_;
};

INSTANTIATE_TEST_SUITE_P(All, PromptReference, ::testing::Values(tiny_arch::llama, tiny_arch::qwen2, tiny_arch::qwen3, tiny_arch::phi3));

// The newest tokens alone: a cache of llama.cpp's own for the upper layers that begins with the first of them.
TEST_P(PromptReference, TheNewestTokensAreWhatAStockCacheOfThemGives) {
    llmm::prune_settings prune;
    prune.policy = llmm::prune_policy::recency;
    part_context paged(model_.get(), true, prune);
    const std::vector<int32_t> kept = read(paged, 90);
    ASSERT_FALSE(kept.empty());
    ASSERT_EQ(positions_from(kept.front(), n_prompt), kept);
    ASSERT_LE(kept.size(), 90u);
    ASSERT_GT(kept.size(), 90u - P);
    const std::vector<float> rows = rows_of(kept);
    paged.run(tokens_, kept, rows.data(), nullptr, width_);
    const std::vector<float> first = paged.logits(n_vocab_);
    paged.pages->end_prompt();

    part_context stock(model_.get(), false);
    stock.begin({ layer, n_layers });
    stock.run(tokens_, kept, rows.data(), nullptr, width_);
    EXPECT_LT(distance(first, stock.logits(n_vocab_)), rounding);

    // Tokens after the prompt: all of the text in the lower layers, what was kept in the upper ones.
    part_context lower(model_.get(), false);
    lower.begin({ 0, layer });
    std::vector<float> all((size_t) ((n_prompt + 20) * width_));
    lower.run(tokens_, positions_from(0, n_prompt + 20), nullptr, all.data(), width_);
    paged.begin({});
    for (int32_t at = n_prompt; at < n_prompt + 20; at++) {
        paged.run(tokens_, { at }, nullptr, nullptr, width_);
        stock.run(tokens_, { at }, all.data() + (size_t) (at * width_), nullptr, width_);
        ASSERT_LT(distance(paged.logits(n_vocab_), stock.logits(n_vocab_)), 5e-3) << "at " << at;
    }
}

// The tokens that are left out, evaluated all the same: nothing reads them.
TEST_P(PromptReference, NothingReadsWhatIsLeftOut) {
    part_context paged(model_.get(), true), reference(model_.get(), true);
    const std::vector<int32_t> kept = read(paged, 120);
    ASSERT_NE(positions_from(kept.front(), n_prompt), kept) << "with gaps";
    const std::vector<float> rows = rows_of(kept);
    paged.run(tokens_, kept, rows.data(), nullptr, width_);
    ASSERT_EQ(kept, read(reference, 120));
    const std::vector<int32_t> all = positions_from(0, n_prompt);
    reference.run(tokens_, all, hidden_.data(), nullptr, width_);
    EXPECT_LT(distance(paged.logits(n_vocab_), reference.logits(n_vocab_)), rounding);
    // Where all stay, they are read.
    part_context dense(model_.get(), true);
    ASSERT_EQ(all, read(dense, n_prompt));
    dense.run(tokens_, all, hidden_.data(), nullptr, width_);
    EXPECT_GT(distance(paged.logits(n_vocab_), dense.logits(n_vocab_)), 5 * rounding);
}

// What comes later does not matter to what came before.
TEST_P(PromptReference, IsCausal) {
    part_context whole(model_.get(), true), cut(model_.get(), true);
    const std::vector<int32_t> kept = read(whole, 120);
    const auto half = (ptrdiff_t) kept.size() / 2;
    const std::vector<int32_t> first(kept.begin(), kept.begin() + half);
    const std::vector<float> rows = rows_of(kept);
    whole.run(tokens_, first, rows.data(), nullptr, width_);
    const std::vector<float> expected = whole.logits(n_vocab_);
    ASSERT_EQ(kept, read(cut, 120));
    // The same rows in one order with others behind them in the same steps.
    std::vector<float> with(rows);
    std::fill(with.begin() + half * width_, with.end(), 3.0f);
    const std::vector<int32_t> step(kept.begin() + half - 20, kept.begin() + half + 20);
    cut.run(tokens_, { kept.begin(), kept.begin() + half - 20 }, rows.data(), nullptr, width_);
    cut.batch.n_tokens = (int32_t) step.size();
    for (size_t i = 0; i < step.size(); i++) {
        cut.batch.token[i] = tokens_[(size_t) step[i]];
        cut.batch.pos[i] = step[i];
        cut.batch.n_seq_id[i] = 1;
        cut.batch.seq_id[i][0] = 0;
        cut.batch.logits[i] = i == 19;
    }
    cut.layers.set_hidden(with.data() + (half - 20) * width_, nullptr);
    ASSERT_EQ(0, llama_decode(cut.context.get(), cut.batch));
    EXPECT_LT(distance(cut.logits(n_vocab_), expected), rounding);
}

}  // namespace
}  // namespace llmm_test
