// Layers as parts: ranges with hidden states, taps, gates, stand-ins.
#include "paged_support.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace llmm_test {
namespace {

constexpr int32_t n_layers = 5;

llmm_model * five_layers(tiny_arch arch) {
    static std::vector<model_ptr> models(16);
    model_ptr & m = models[(size_t) arch];
    if (!m) {
        tiny_options options = options_of(arch);
        options.n_layers = n_layers;
        m = open_model(tiny_file("layers-" + std::to_string((int) arch), options));
    }
    return m.get();
}

std::string path_of_five(tiny_arch arch) {
    tiny_options options = options_of(arch);
    options.n_layers = n_layers;
    return tiny_file("layers-" + std::to_string((int) arch), options);
}

int32_t width_of(llmm_model * model) {
    return (int32_t) info_of(model)["embedding"].value;
}

llmm_session_params layers_of(llmm_session_params p, int32_t begin, int32_t end) {
    p.layer_begin = begin;
    p.layer_end = end;
    return p;
}

// Layers that all have a window have nothing to page.
session_ptr open_part(llmm_model * model, const llmm_session_params & params, int32_t begin, int32_t end) {
    llmm_session * s = nullptr;
    const llmm_session_params asked = layers_of(params, begin, end);
    if (llmm_session_new(model, &asked, &s) != LLMM_ERR_NOT_AVAILABLE || params.kv_page_tokens == 0) {
        return session_ptr(s);
    }
    return open_session(model, layers_of(paged(0, false), begin, end));
}

// A model in two sessions, [0, k) and [k, n).
struct halves {
    session_ptr lower, upper;
    size_t width;

    halves(llmm_model * model, const llmm_session_params & params, int32_t k)
        : lower(open_part(model, params, 0, k)), upper(open_part(model, params, k, 0)), width((size_t) width_of(model)) {}

    void eval(const token_list & tokens) {
        std::vector<float> hidden(tokens.size() * width);
        const auto n = (int32_t) tokens.size();
        const auto n_hidden = (int64_t) hidden.size();
        require_ok(llmm_session_eval_hidden(lower.get(), tokens.data(), n, nullptr, 0, hidden.data(), n_hidden));
        require_ok(llmm_session_eval_hidden(upper.get(), tokens.data(), n, hidden.data(), n_hidden, nullptr, 0));
    }
};

class Layers : public ::testing::TestWithParam<std::tuple<tiny_arch, int32_t>> {
protected:
    void SetUp() override {
        model_ = five_layers(std::get<0>(GetParam()));
        n_vocab_ = n_vocab_of(model_);
        params_ = paged(std::get<1>(GetParam()), false);
    }

    session_ptr whole() { return open_session(model_, params_); }

    llmm_model * model_ = nullptr;
    int32_t n_vocab_ = 0;
    llmm_session_params params_{};
};

INSTANTIATE_TEST_SUITE_P(All, Layers, ::testing::Combine(::testing::Values(tiny_arch::llama, tiny_arch::gemma3, tiny_arch::qwen2, tiny_arch::qwen3, tiny_arch::phi3),
                                                         ::testing::Values(0, 16)));

// ---- ranges -------------------------------------------------------------------------------------------------------

TEST_P(Layers, HalvesGiveTheBitsOfTheWhole) {
    for (int32_t k = 1; k < n_layers; k++) {
        const session_ptr one = whole();
        halves two(model_, params_, k);
        for (const int32_t n : { 70, 1, 1, 3, 1 }) {
            const token_list tokens = random_tokens(n, (uint64_t) (100 * k + n));
            eval(one.get(), tokens);
            two.eval(tokens);
            EXPECT_TRUE(same_bits(logits_of(one.get(), n_vocab_), logits_of(two.upper.get(), n_vocab_))) << "split at " << k << ", step of " << n;
        }
        for (llmm_session * half : { two.lower.get(), two.upper.get() }) {
            EXPECT_LT(stats(half).kv_bytes, stats(one.get()).kv_bytes) << "layers outside of the range need no cache";
        }
    }
}

TEST_P(Layers, ThreeParts) {
    const session_ptr one = whole(), a = open_part(model_, params_, 0, 1), b = open_part(model_, params_, 1, 3), c = open_part(model_, params_, 3, 5);
    const token_list tokens = random_tokens(40, 3);
    const int64_t n = (int64_t) tokens.size() * width_of(model_);
    std::vector<float> x((size_t) n), y((size_t) n);
    ASSERT_OK(llmm_session_eval_hidden(a.get(), tokens.data(), 40, nullptr, 0, x.data(), n));
    ASSERT_OK(llmm_session_eval_hidden(b.get(), tokens.data(), 40, x.data(), n, y.data(), n));
    ASSERT_OK(llmm_session_eval_hidden(c.get(), tokens.data(), 40, y.data(), n, nullptr, 0));
    eval(one.get(), tokens);
    EXPECT_TRUE(same_bits(logits_of(one.get(), n_vocab_), logits_of(c.get(), n_vocab_)));
}

TEST_P(Layers, RangesRewindSaveLoadAndFork) {
    const session_ptr one = whole();
    halves two(model_, params_, 2);
    const token_list tokens = random_tokens(24, 5), more = random_tokens(6, 6);
    two.eval(tokens);
    two.eval(random_tokens(3, 9));
    for (llmm_session * s : { two.lower.get(), two.upper.get() }) {
        ASSERT_OK(llmm_session_rewind(s, 24));
        ASSERT_EQ(24, llmm_session_n_tokens(s));
    }
    const std::string lower = temp_path("lower.state"), upper = temp_path("upper.state");
    ASSERT_OK(llmm_session_save(two.lower.get(), lower.c_str()));
    ASSERT_OK(llmm_session_save(two.upper.get(), upper.c_str()));

    halves loaded(model_, params_, 2);
    ASSERT_OK(llmm_session_load(loaded.lower.get(), lower.c_str()));
    ASSERT_OK(llmm_session_load(loaded.upper.get(), upper.c_str()));
    EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, llmm_session_load(loaded.upper.get(), lower.c_str()));
    halves forked(model_, params_, 2);
    llmm_session * f = nullptr;
    ASSERT_OK(llmm_session_fork(two.lower.get(), &f));
    forked.lower.reset(f);
    ASSERT_OK(llmm_session_fork(two.upper.get(), &f));
    forked.upper.reset(f);

    eval(one.get(), tokens);
    eval(one.get(), more);
    const std::vector<float> expected = logits_of(one.get(), n_vocab_);
    for (halves * h : { &two, &loaded, &forked }) {
        h->eval(more);
        EXPECT_TRUE(same_bits(expected, logits_of(h->upper.get(), n_vocab_)));
    }
}

TEST_P(Layers, UpperHalfSamplesAndTheTokenComesAgain) {
    const session_ptr one = whole();
    halves two(model_, params_, 3);
    const token_list prompt = random_tokens(20, 8);
    eval(one.get(), prompt);
    two.eval(prompt);
    const sampler_ptr a = new_sampler(model_, R"({"temperature":0})"), b = new_sampler(model_, R"({"temperature":0})");
    for (int i = 0; i < 12; i++) {
        const token_list expected = decode(one.get(), a.get(), 1), got = decode(two.upper.get(), b.get(), 1);
        ASSERT_EQ(expected, got) << i;
        two.eval(got);
        EXPECT_EQ(21 + i, llmm_session_n_tokens(two.upper.get()));
    }
}

TEST_P(Layers, WhatNeedsTheWholeModelIsRefused) {
    halves two(model_, params_, 2);
    const token_list tokens = random_tokens(4, 1);
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_eval(two.lower.get(), tokens.data(), 4, nullptr, nullptr));
    EXPECT_EQ(0, llmm_session_n_tokens(two.lower.get()));
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_prefill(two.upper.get(), tokens.data(), 4, nullptr, nullptr, nullptr));
    std::vector<float> hidden((size_t) (4 * width_of(model_)));
    const auto n = (int64_t) hidden.size();
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_eval_hidden(two.lower.get(), tokens.data(), 4, hidden.data(), n, hidden.data(), n));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_eval_hidden(two.lower.get(), tokens.data(), 4, nullptr, 0, hidden.data(), n - 1));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_eval_hidden(two.upper.get(), tokens.data(), 3, hidden.data(), n, nullptr, 0));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_eval_hidden(two.upper.get(), tokens.data(), 4, nullptr, n, nullptr, 0));
    two.eval(tokens);
    std::vector<float> logits((size_t) n_vocab_);
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_logits(two.lower.get(), logits.data(), n_vocab_));
    for (const auto & [begin, end] : std::vector<std::pair<int32_t, int32_t>>{ { -1, 2 }, { 0, n_layers + 1 }, { 3, 3 }, { 4, 2 } }) {
        const llmm_session_params p = layers_of(params_, begin, end);
        llmm_session * s = nullptr;
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_new(model_, &p, &s)) << begin << ":" << end;
    }
}

TEST_P(Layers, PartialModelsAnswerAsTheWhole) {
    const std::string path = path_of_five(std::get<0>(GetParam()));
    llmm_model_params p;
    llmm_model_params_init(&p);
    const auto open = [&](int32_t begin, int32_t end) {
        p.layer_begin = begin;
        p.layer_end = end;
        llmm_model * m = nullptr;
        require_ok(llmm_model_open(path.c_str(), &p, &m));
        return model_ptr(m);
    };
    for (const int32_t mmap : { 0, 1 }) {
        p.use_mmap = mmap;
        const model_ptr below = open(0, 2), above = open(2, 0);
        const session_ptr lower = open_session(below.get(), params_), upper = open_session(above.get(), params_), one = whole();
        const token_list tokens = random_tokens(30, 4);
        std::vector<float> hidden((size_t) (30 * width_of(model_)));
        ASSERT_OK(llmm_session_eval_hidden(lower.get(), tokens.data(), 30, nullptr, 0, hidden.data(), (int64_t) hidden.size()));
        ASSERT_OK(llmm_session_eval_hidden(upper.get(), tokens.data(), 30, hidden.data(), (int64_t) hidden.size(), nullptr, 0));
        eval(one.get(), tokens);
        EXPECT_TRUE(same_bits(logits_of(one.get(), n_vocab_), logits_of(upper.get(), n_vocab_)));
        EXPECT_LT(stats(lower.get()).model_bytes, stats(one.get()).model_bytes);
        EXPECT_LT(stats(lower.get()).kv_bytes, stats(one.get()).kv_bytes);
        EXPECT_LT(stats(upper.get()).kv_bytes, stats(one.get()).kv_bytes);
        const llmm_session_params outside = layers_of(params_, 1, 3);
        llmm_session * s = nullptr;
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_new(below.get(), &outside, &s));
        llmm_kv_probe_result probe{};
        probe.struct_size = sizeof probe;
        EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_model_probe_kv(above.get(), 16, 1, &probe));
    }
    p.layer_begin = 7;
    llmm_model * m = nullptr;
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_model_open(path.c_str(), &p, &m));
}

// ---- taps ---------------------------------------------------------------------------------------------------------

TEST_P(Layers, TapsAreTheHiddenStatesOfRanges) {
    const session_ptr tapped = whole(), lower = open_session(model_, layers_of(params_, 0, 3));
    const token_list tokens = random_tokens(100, 6);
    const size_t row = 100 * (size_t) width_of(model_);
    std::vector<float> hidden(row), out(2 * row);
    ASSERT_OK(llmm_session_eval_hidden(lower.get(), tokens.data(), 100, nullptr, 0, hidden.data(), (int64_t) row));
    const std::string request = R"({"places":[6,0]})";
    ASSERT_OK(llmm_session_taps(tapped.get(), tokens.data(), 100, request.data(), request.size(), out.data(), (int64_t) out.size()));
    EXPECT_TRUE(same_bits(hidden, std::vector<float>(out.begin(), out.begin() + (std::ptrdiff_t) row)));
    EXPECT_GT(max_difference(std::vector<float>(out.begin() + (std::ptrdiff_t) row, out.end()), std::vector<float>(row, 0.0f)), 0.0);
    // And the session goes on as if nothing had been.
    const session_ptr other = whole();
    eval(tapped.get(), tokens);
    eval(other.get(), tokens);
    EXPECT_TRUE(same_logits(tapped.get(), other.get(), n_vocab_));
}

TEST_P(Layers, TapsOfWeightInputsAndMistakes) {
    const session_ptr s = whole();
    const token_list tokens = random_tokens(8, 6);
    std::vector<float> out(8 * 128);
    const auto tap = [&](const std::string & request, int64_t n) {
        return llmm_session_taps(s.get(), tokens.data(), 8, request.data(), request.size(), out.data(), n);
    };
    ASSERT_OK(tap(R"({"inputs":["blk.1.ffn_down.weight"]})", 8 * 128));
    EXPECT_GT(max_difference(out, std::vector<float>(out.size(), 0.0f)), 0.0);
    EXPECT_STATUS(LLMM_ERR_RANGE, tap(R"({"inputs":["blk.1.ffn_down.weight"]})", 8 * 64));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, tap(R"({"inputs":["blk.9.ffn_down.weight"]})", 8 * 128));
    EXPECT_STATUS(LLMM_ERR_RANGE, tap(R"({"places":[11]})", 8 * 64));
    EXPECT_STATUS(LLMM_ERR_JSON, tap(R"({"place":[1]})", 8 * 64));
    EXPECT_STATUS(LLMM_ERR_JSON, tap("[", 8 * 64));
}

// ---- gates --------------------------------------------------------------------------------------------------------

struct gates {
    token_list order;
    std::vector<float> edges;
    token_list levels;
    int32_t batches = 0;
};

llmm_status set_gates(llmm_session * s, const gates & g) {
    llmm_gate_params p;
    llmm_gate_params_init(&p);
    p.order = g.order.data();
    p.n_order = (int32_t) g.order.size();
    p.edges = g.edges.data();
    p.n_edges = (int32_t) g.edges.size();
    p.levels = g.levels.data();
    p.batches = g.batches;
    return llmm_session_set_gates(s, &p);
}

llmm_status skip(llmm_session * s, const token_list & parts, int32_t batches = 0) {
    return set_gates(s, { parts, {}, { (int32_t) parts.size() }, batches });
}

TEST_P(Layers, EveryInnerPartCanBeSkipped) {
    for (const bool gates_before : { false, true }) {
        const session_ptr s = whole();
        if (gates_before) {
            ASSERT_OK(skip(s.get(), { 2 }));
        }
        llmm_buffer * b = nullptr;
        ASSERT_OK(llmm_session_skippable(s.get(), &b));
        EXPECT_EQ((token_list{ 2, 3, 4, 5, 6, 7 }), tokens_of(buffer_ptr(b).get()));
    }
}

TEST_P(Layers, EmptyMasksGiveTheBitsOfDense) {
    const session_ptr dense = whole(), gated = whole();
    ASSERT_OK(skip(gated.get(), { 2, 3, 4, 5, 6, 7 }));
    ASSERT_OK(set_gates(gated.get(), { { 2, 3 }, { 1e9f }, { 0, 1 } }));      // gates in the graph, nothing skipped
    for (const int32_t n : { 30, 1, 1, 1, 5, 1 }) {
        const token_list tokens = random_tokens(n, (uint64_t) n + 50);
        eval(dense.get(), tokens);
        eval(gated.get(), tokens);
        EXPECT_TRUE(same_logits(dense.get(), gated.get(), n_vocab_)) << n;
    }
}

// Gates that flip at random between steps give what a session gives that was told only its mask, having built its graph
// for it; and keys and values are those of the steps as they were, so that later dense steps agree too.
TEST_P(Layers, FlippedFlagsAreRebuiltGraphs) {
    std::mt19937 random(11);
    const session_ptr flipped = whole();
    eval(flipped.get(), random_tokens(40, 1));
    const std::string state = temp_path("gates.state");
    for (int i = 0; i < 24; i++) {
        token_list mask;
        for (int32_t part = 2; part < 2 * n_layers - 2; part++) {
            if (random() % 2) {
                mask.push_back(part);
            }
        }
        ASSERT_OK(llmm_session_save(flipped.get(), state.c_str()));
        const session_ptr rebuilt = whole();
        ASSERT_OK(llmm_session_load(rebuilt.get(), state.c_str()));
        ASSERT_OK(skip(rebuilt.get(), mask));
        ASSERT_OK(skip(flipped.get(), mask));
        const token_list one = random_tokens(1, (uint64_t) i);
        eval(flipped.get(), one);
        eval(rebuilt.get(), one);
        ASSERT_TRUE(same_logits(flipped.get(), rebuilt.get(), n_vocab_)) << i;
    }
    EXPECT_EQ(25, stats(flipped.get()).gate_steps + (int64_t) 1);
}

// A model whose part adds nothing to the residual is the model with that part skipped.
TEST_P(Layers, SkippedPartsAddNothing) {
    const int32_t width = width_of(model_);
    const session_ptr s = whole(), t = whole();
    const token_list tokens = random_tokens(20, 2);
    const std::string request = R"({"places":[2,3,4,5]})";
    std::vector<float> out(4 * 20 * (size_t) width);
    ASSERT_OK(llmm_session_taps(s.get(), tokens.data(), 20, request.data(), request.size(), out.data(), (int64_t) out.size()));
    // In batches, and from the taps of what a skipped layer would have passed on.
    halves two(model_, params_, 2);
    std::vector<float> in(out.begin(), out.begin() + 20 * width);
    ASSERT_OK(skip(t.get(), { 2, 3 }, 1));
    eval(t.get(), tokens);
    ASSERT_OK(llmm_session_eval_hidden(two.upper.get(), tokens.data(), 20, in.data(), (int64_t) in.size(), nullptr, 0));
    EXPECT_TRUE(same_logits(two.upper.get(), t.get(), n_vocab_));
}

TEST_P(Layers, StandInsReplaceWhatIsSkipped) {
    const int32_t width = width_of(model_), rank = 3;
    std::mt19937 random(5);
    std::normal_distribution<float> normal(0.0f, 0.3f);
    std::vector<float> down((size_t) (width * rank)), up(down.size()), bias((size_t) width);
    for (auto * v : { &down, &up, &bias }) {
        std::generate(v->begin(), v->end(), [&] { return normal(random); });
    }
    const session_ptr s = whole();
    const token_list tokens = random_tokens(9, 2);
    std::vector<float> out(9 * (size_t) width);
    const std::string request = R"({"places":[2]})";
    ASSERT_OK(llmm_session_taps(s.get(), tokens.data(), 9, request.data(), request.size(), out.data(), (int64_t) out.size()));
    // Layer 1 by hand: the stand-in in place of its attention, nothing in place of its feed-forward part.
    for (int32_t t = 0; t < 9; t++) {
        float * x = out.data() + t * width;
        double square = 0;
        for (int32_t i = 0; i < width; i++) {
            square += (double) x[i] * x[i];
        }
        std::vector<double> code((size_t) rank, 0.0);
        for (int32_t i = 0; i < width; i++) {
            for (int32_t r = 0; r < rank; r++) {
                code[(size_t) r] += x[i] / std::sqrt(square / width + 1e-6) * down[(size_t) (i * rank + r)];
            }
        }
        for (int32_t i = 0; i < width; i++) {
            double y = x[i] + bias[(size_t) i];
            for (int32_t r = 0; r < rank; r++) {
                y += code[(size_t) r] * up[(size_t) (r * width + i)];
            }
            x[i] = (float) y;
        }
    }
    halves two(model_, params_, 2);
    ASSERT_OK(llmm_session_eval_hidden(two.upper.get(), tokens.data(), 9, out.data(), (int64_t) out.size(), nullptr, 0));
    for (const int32_t threads : { 1, 2 }) {
        ASSERT_OK(llmm_session_rewind(s.get(), 0));
        ASSERT_OK(llmm_session_set_threads(s.get(), threads, threads));
        ASSERT_OK(llmm_session_set_bypass(s.get(), 2, rank, down.data(), up.data(), bias.data()));
        ASSERT_OK(skip(s.get(), { 2, 3 }, 1));
        eval(s.get(), tokens);
        EXPECT_LT(max_difference(logits_of(two.upper.get(), n_vocab_), logits_of(s.get(), n_vocab_)), rounding());
    }
}

TEST_P(Layers, EntropyDecidesHowMuchIsSkipped) {
    const session_ptr s = whole();
    eval(s.get(), random_tokens(20, 3));
    const sampler_ptr greedy = new_sampler(model_, R"({"temperature":0})");
    ASSERT_OK(set_gates(s.get(), { { 2, 3, 4 }, { 1e-6f }, { 3, 1 } }));       // nothing is that certain
    decode(s.get(), greedy.get(), 6);
    EXPECT_EQ(5, stats(s.get()).gate_steps);
    EXPECT_EQ(4, stats(s.get()).gate_skipped_parts);                           // nothing was known for the first
    ASSERT_OK(set_gates(s.get(), { { 2, 3, 4 }, { 1e6f }, { 3, 1 } }));        // everything is
    decode(s.get(), greedy.get(), 4);
    EXPECT_EQ(16, stats(s.get()).gate_skipped_parts);
    ASSERT_OK(llmm_session_set_gates(s.get(), nullptr));
    decode(s.get(), greedy.get(), 3);
    EXPECT_EQ(16, stats(s.get()).gate_skipped_parts);
}

TEST_P(Layers, GatesOutOfRangeChangeNothing) {
    const session_ptr s = whole();
    for (const token_list & order : std::vector<token_list>{ { 0 }, { 1 }, { 8 }, { 9 }, { -3 }, { 100 } }) {
        EXPECT_STATUS(LLMM_ERR_RANGE, skip(s.get(), order));
    }
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, skip(s.get(), { 2, 3, 2 }));
    EXPECT_STATUS(LLMM_ERR_RANGE, set_gates(s.get(), { { 2 }, {}, { 2 } }));
    EXPECT_STATUS(LLMM_ERR_RANGE, set_gates(s.get(), { { 2 }, {}, { -1 } }));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, set_gates(s.get(), { { 2 }, { 2.0f, 1.0f }, { 1, 1, 1 } }));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_set_bypass(s.get(), 0, 0, nullptr, nullptr, nullptr));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_set_bypass(s.get(), 2, 5000, nullptr, nullptr, nullptr));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_set_bypass(s.get(), 2, 4, nullptr, nullptr, nullptr));
    EXPECT_OK(llmm_session_set_bypass(s.get(), 2, 0, nullptr, nullptr, nullptr));
}

TEST_P(Layers, GatesSurviveForkAndPerplexity) {
    const session_ptr s = whole();
    ASSERT_OK(skip(s.get(), { 2, 5 }));
    eval(s.get(), random_tokens(20, 3));
    llmm_session * f = nullptr;
    ASSERT_OK(llmm_session_fork(s.get(), &f));
    const session_ptr forked(f);
    const token_list one = random_tokens(1, 77);
    eval(s.get(), one);
    eval(forked.get(), one);
    EXPECT_TRUE(same_logits(s.get(), forked.get(), n_vocab_));
    EXPECT_EQ(2, stats(forked.get()).gate_skipped_parts);
}

TEST(LayersOfOthers, RecurrentModelsHaveNone) {
    llmm_model * mamba = shared_model(tiny_arch::mamba);
    llmm_session_params p = paged(0, false);
    const session_ptr s = open_session(mamba, p);
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, skip(s.get(), { 2 }));
    p.layer_end = 1;
    llmm_session * out = nullptr;
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_new(mamba, &p, &out));
}

}  // namespace
}  // namespace llmm_test
