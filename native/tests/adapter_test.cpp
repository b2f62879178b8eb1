// LoRA adapters: effect, scale, removal, and files that do not fit.
#include "test_support.h"

#include <cmath>
#include <functional>

#include "gguf_bytes.h"

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();

std::string adapter_file(float strength, uint64_t seed = 7, tiny_arch arch = tiny_arch::llama) {
    const std::string path = temp_path("adapter-" + std::to_string(int(arch)) + "-" + std::to_string(strength) + "-" +
                                       std::to_string(seed) + ".gguf");
    write_tiny_adapter(path, options_of(arch), strength, seed);
    return path;
}

adapter_ptr open_adapter(llmm_model * model, const std::string & path) {
    llmm_adapter * adapter = nullptr;
    require_ok(llmm_adapter_open(model, path.c_str(), nullptr, &adapter));
    return adapter_ptr(adapter);
}

void set(const session_ptr & session, const std::vector<llmm_adapter *> & adapters, const std::vector<float> & scales) {
    require_ok(llmm_session_set_adapters(session.get(), const_cast<llmm_adapter **>(adapters.data()), scales.data(),
                                         int32_t(adapters.size())));
}

std::vector<float> logits(const session_ptr & session) {
    return logits_of(session.get(), n_vocab);
}

std::vector<float> logits_with(llmm_model * model, const std::vector<llmm_adapter *> & adapters,
                               const std::vector<float> & scales) {
    const session_ptr session = new_session(model);
    set(session, adapters, scales);
    eval(session.get(), random_tokens(30, 1));
    return logits(session);
}

TEST(Adapter, ChangesTheLogits) {
    for (const tiny_arch arch : {tiny_arch::llama, tiny_arch::gemma3}) {
        const adapter_ptr adapter = open_adapter(shared_model(arch), adapter_file(1.0f, 7, arch));
        const std::vector<float> base = logits_with(shared_model(arch), {}, {});
        EXPECT_GT(max_difference(base, logits_with(shared_model(arch), {adapter.get()}, {1.0f})), 0.1);
    }
}

TEST(Adapter, OnQuantisedWeightsToo) {
    for (const tiny_weights weights : {tiny_weights::f16, tiny_weights::q4_0}) {
        llmm_model * model = shared_model(tiny_arch::llama, weights);
        const adapter_ptr adapter = open_adapter(model, adapter_file(1.0f));
        EXPECT_GT(max_difference(logits_with(model, {}, {}), logits_with(model, {adapter.get()}, {1.0f})), 0.1);
    }
}

TEST(Adapter, ScaleZeroIsNone) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    EXPECT_EQ(0.0, max_difference(logits_with(shared_llama(), {}, {}),
                                  logits_with(shared_llama(), {adapter.get()}, {0.0f})));
}

TEST(Adapter, OfZerosChangesNothing) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(0.0f));
    EXPECT_EQ(0.0, max_difference(logits_with(shared_llama(), {}, {}),
                                  logits_with(shared_llama(), {adapter.get()}, {1.0f})));
}

TEST(Adapter, ScaleMultipliesTheEffect) {
    // Twice the scale of half the strength.
    const adapter_ptr strong = open_adapter(shared_llama(), adapter_file(1.0f));
    const adapter_ptr weak   = open_adapter(shared_llama(), adapter_file(0.5f));
    EXPECT_LT(max_difference(logits_with(shared_llama(), {strong.get()}, {1.0f}),
                             logits_with(shared_llama(), {weak.get()}, {2.0f})), rounding());
    EXPECT_GT(max_difference(logits_with(shared_llama(), {strong.get()}, {1.0f}),
                             logits_with(shared_llama(), {weak.get()}, {1.0f})), 0.05);
}

TEST(Adapter, SeveralAddUp) {
    const adapter_ptr one   = open_adapter(shared_llama(), adapter_file(1.0f));
    const adapter_ptr other = open_adapter(shared_llama(), adapter_file(1.0f, 8));
    const std::vector<float> both = logits_with(shared_llama(), {one.get(), other.get()}, {1.0f, 1.0f});
    EXPECT_GT(max_difference(both, logits_with(shared_llama(), {one.get()}, {1.0f})), 0.05);
    EXPECT_GT(max_difference(both, logits_with(shared_llama(), {other.get()}, {1.0f})), 0.05);
    EXPECT_LT(max_difference(both, logits_with(shared_llama(), {other.get(), one.get()}, {1.0f, 1.0f})), rounding());
}

TEST(Adapter, RemovingRestoresTheBaseBitForBit) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    const session_ptr base = new_session(shared_llama());
    eval(base.get(), random_tokens(30, 1));
    const std::vector<float> expected = logits(base);

    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    set(session, {adapter.get()}, {1.0f});
    EXPECT_EQ(30, llmm_session_n_tokens(session.get())) << "the history stays";
    EXPECT_GT(max_difference(expected, logits(session)), 0.1) << "and is evaluated again";
    set(session, {}, {});
    EXPECT_TRUE(same_bits(expected, logits(session)));
    EXPECT_EQ(random_tokens(30, 1), history(session.get()));
    for (const session_ptr * s : {&base, &session}) {
        eval(s->get(), random_tokens(10, 2));
    }
    EXPECT_TRUE(same_bits(logits(base), logits(session)));
}

TEST(Adapter, SetMidwayIsAsIfSetFromTheStart) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    set(session, {adapter.get()}, {0.7f});
    EXPECT_TRUE(same_bits(logits_with(shared_llama(), {adapter.get()}, {0.7f}), logits(session)));
}

TEST(Adapter, ThatNamesItsModelIsRefusedByEveryOther) {
    const std::string path = temp_path("adapter-bound.gguf");
    const std::string fingerprint = info_of(shared_llama())["fingerprint"].text;
    write_tiny_adapter(path, options_of(tiny_arch::llama), 1.0f, 7, fingerprint);
    EXPECT_NE(nullptr, open_adapter(shared_llama(), path));

    llmm_adapter * adapter = nullptr;
    llmm_model * other = shared_model(tiny_arch::llama, tiny_weights::q4_0);
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, llmm_adapter_open(other, path.c_str(), nullptr, &adapter));
    EXPECT_EQ(nullptr, adapter);
    EXPECT_TRUE(text_contains(last_error(), fingerprint));
    EXPECT_TRUE(text_contains(last_error(), info_of(other)["fingerprint"].text));
}

TEST(Adapter, OfOneSessionDoesNotTouchAnother) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    const session_ptr with    = new_session(shared_llama());
    const session_ptr without = new_session(shared_llama());
    set(with, {adapter.get()}, {1.0f});
    eval(with.get(), random_tokens(30, 1));
    eval(without.get(), random_tokens(30, 1));
    EXPECT_TRUE(same_bits(logits_with(shared_llama(), {}, {}), logits(without)));
    EXPECT_GT(max_difference(logits(with), logits(without)), 0.1);
}

TEST(Adapter, WorksInGenerateEmbedAndPerplexity) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    const session_ptr plain   = new_session(shared_llama());
    const session_ptr adapted = new_session(shared_llama());
    set(adapted, {adapter.get()}, {1.0f});
    const token_list tokens = random_tokens(300, 1);
    std::vector<float> a(64);
    std::vector<float> b(64);
    ASSERT_OK(llmm_session_embed(plain.get(), tokens.data(), 20, LLMM_POOLING_MEAN, 0, a.data(), 64));
    ASSERT_OK(llmm_session_embed(adapted.get(), tokens.data(), 20, LLMM_POOLING_MEAN, 0, b.data(), 64));
    EXPECT_GT(max_difference(a, b), 0.01);
    llmm_perplexity_params params;
    llmm_perplexity_params_init(&params);
    params.n_ctx = 128;
    llmm_perplexity_result results[2] = {};
    results[0].struct_size = results[1].struct_size = sizeof(results[0]);
    ASSERT_OK(llmm_session_perplexity(plain.get(), tokens.data(), 300, &params, &results[0]));
    ASSERT_OK(llmm_session_perplexity(adapted.get(), tokens.data(), 300, &params, &results[1]));
    EXPECT_GT(std::fabs(std::log(results[0].perplexity / results[1].perplexity)), 1e-4);
    token_list out[2];
    for (int i = 0; i < 2; i++) {
        const session_ptr & session = i ? adapted : plain;
        eval(session.get(), tokens);
        out[i] = decode(session.get(), new_sampler(shared_llama(), "{\"temperature\":0}").get(), 30);
    }
    EXPECT_NE(out[0], out[1]);
}

TEST(Adapter, LivesAsLongAsASessionUsesIt) {
    adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    const std::vector<float> expected = logits_with(shared_llama(), {adapter.get()}, {1.0f});
    const session_ptr session = new_session(shared_llama());
    set(session, {adapter.get()}, {1.0f});
    adapter.reset();
    eval(session.get(), random_tokens(30, 1));
    EXPECT_TRUE(same_bits(expected, logits(session)));
    set(session, {}, {});
    EXPECT_TRUE(same_bits(logits_with(shared_llama(), {}, {}), logits(session)));
}

TEST(Adapter, OfAnotherModelHandleIsRefused) {
    const model_ptr other = open_model(shared_path(tiny_arch::llama));
    const adapter_ptr adapter = open_adapter(other.get(), adapter_file(1.0f));
    const session_ptr session = new_session(shared_llama());
    eval(session.get(), random_tokens(30, 1));
    const std::vector<float> before = logits(session);
    llmm_adapter * list[] = {adapter.get()};
    const float scale = 1.0f;
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_set_adapters(session.get(), list, &scale, 1));
    EXPECT_TRUE(same_bits(before, logits(session)));
}

TEST(Adapter, ArgumentsThatMakeNoSense) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    const session_ptr session = new_session(shared_llama());
    llmm_adapter * list[] = {adapter.get(), nullptr};
    const float scales[] = {1.0f, 1.0f};
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_set_adapters(session.get(), list, scales, 2));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_set_adapters(session.get(), nullptr, scales, 1));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_set_adapters(session.get(), list, nullptr, 1));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_set_adapters(session.get(), list, scales, -1));
    for (const float scale : {NAN, INFINITY, -INFINITY}) {
        EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_set_adapters(session.get(), list, &scale, 1));
    }
    EXPECT_OK(llmm_session_set_adapters(session.get(), nullptr, nullptr, 0));
}

TEST(Adapter, GivenTwiceIsRefusedOrCountsTwice) {
    const adapter_ptr adapter = open_adapter(shared_llama(), adapter_file(1.0f));
    const session_ptr session = new_session(shared_llama());
    llmm_adapter * list[] = {adapter.get(), adapter.get()};
    const float scales[] = {0.5f, 0.5f};
    const llmm_status status = llmm_session_set_adapters(session.get(), list, scales, 2);
    if (status == LLMM_OK) {
        eval(session.get(), random_tokens(30, 1));
        EXPECT_LT(max_difference(logits_with(shared_llama(), {adapter.get()}, {1.0f}), logits(session)), rounding());
    } else {
        EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, status);
    }
}

// ---- rank, and who computes -----------------------------------------------------------------------------------

std::string file_of(const tiny_adapter & adapter, const char * name, tiny_arch arch = tiny_arch::llama) {
    const std::string path = temp_path(std::string(name) + ".gguf");
    write_tiny_adapter(path, options_of(arch), adapter);
    return path;
}

adapter_ptr open_with(llmm_model * model, const std::string & path, int32_t rank, bool exact = false) {
    llmm_adapter_params params;
    llmm_adapter_params_init(&params);
    params.rank = rank;
    params.exact = exact;
    llmm_adapter * adapter = nullptr;
    require_ok(llmm_adapter_open(model, path.c_str(), &params, &adapter));
    return adapter_ptr(adapter);
}

json facts_of(const adapter_ptr & adapter) {
    llmm_buffer * out = nullptr;
    require_ok(llmm_adapter_info(adapter.get(), &out));
    const buffer_ptr buffer(out);
    return parse_json(text_of(out));
}

// Of a prompt, and of the steps of a few single tokens after it.
std::vector<std::vector<float>> steps(llmm_model * model, const std::vector<llmm_adapter *> & adapters, const std::vector<float> & scales,
                                      int32_t n_threads = 1) {
    session_options options;
    options.n_threads = n_threads;
    const session_ptr session = new_session(model, options);
    set(session, adapters, scales);
    std::vector<std::vector<float>> all;
    eval(session.get(), random_tokens(30, 1));
    all.push_back(logits(session));
    for (const int32_t token : random_tokens(4, 2)) {
        eval(session.get(), {token});
        all.push_back(logits(session));
    }
    return all;
}

double greatest_difference(const std::vector<std::vector<float>> & a, const std::vector<std::vector<float>> & b) {
    double most = 0;
    for (size_t i = 0; i < a.size(); i++) {
        most = std::max(most, max_difference(a[i], b[i]));
    }
    return most;
}

tiny_adapter full(int32_t rank) {
    tiny_adapter a;
    a.rank = rank;
    a.all_matrices = true;
    return a;
}

TEST(AdapterRank, OurNodeComputesWhatLlamaCppDoes) {
    for (const tiny_arch arch : {tiny_arch::llama, tiny_arch::qwen3}) {
        llmm_model * model = shared_model(arch);
        for (const int32_t rank : {1, 4, 9}) {
            for (const float alpha : {0.0f, 2.0f}) {
                tiny_adapter a = full(rank);
                a.alpha = alpha;
                const std::string path = file_of(a, "own", arch);
                const adapter_ptr own = open_with(model, path, 0), stock = open_with(model, path, 0, true);
                const auto with = steps(model, {own.get()}, {0.8f});
                const double effect = greatest_difference(with, steps(model, {}, {}));
                EXPECT_GT(effect, 0.3);
                EXPECT_LT(greatest_difference(with, steps(model, {stock.get()}, {0.8f})), rounding() + 0.002 * effect);
            }
        }
    }
}

TEST(AdapterRank, ManyThreadsGiveTheBitsOfOne) {
    const adapter_ptr adapter = open_with(shared_llama(), file_of(full(5), "threads"), 0);
    // Attention over so few cells is not cut by threads, so that these bits stay too.
    const auto one = steps(shared_llama(), {adapter.get()}, {1.0f}, 1);
    for (const int32_t n : {2, 3}) {
        const auto many = steps(shared_llama(), {adapter.get()}, {1.0f}, n);
        for (size_t i = 0; i < one.size(); i++) {
            EXPECT_TRUE(same_bits(one[i], many[i])) << n << " threads, step " << i;
        }
    }
}

TEST(AdapterRank, TheFirstComponentsAreAFileThatHasNoMore) {
    for (const float alpha : {0.0f, 3.0f}) {
        tiny_adapter whole = full(12);
        whole.alpha = alpha;
        tiny_adapter cut = whole;
        cut.kept = 5;
        cut.alpha = alpha * 5 / 12;           // a file's strength is alpha by its own rank
        const adapter_ptr a = open_with(shared_llama(), file_of(whole, "whole"), 5), b = open_with(shared_llama(), file_of(cut, "cut"), 0);
        EXPECT_EQ(5, facts_of(a)["rank"].value);
        EXPECT_EQ(12, facts_of(a)["file_rank"].value);
        EXPECT_EQ(5, facts_of(b)["file_rank"].value);
        EXPECT_EQ(facts_of(a)["bytes"].value, facts_of(b)["bytes"].value);
        const auto of_a = steps(shared_llama(), {a.get()}, {1.0f}), of_b = steps(shared_llama(), {b.get()}, {1.0f});
        if (alpha == 0) {
            for (size_t i = 0; i < of_a.size(); i++) {
                EXPECT_TRUE(same_bits(of_a[i], of_b[i])) << "step " << i;
            }
        }
        EXPECT_LT(greatest_difference(of_a, of_b), 1e-4);
        EXPECT_GT(greatest_difference(of_a, steps(shared_llama(), {open_with(shared_llama(), file_of(whole, "whole"), 0).get()}, {1.0f})), 0.05);
    }
}

TEST(AdapterRank, SaysWhatItHas) {
    tiny_adapter a = full(8);
    a.half = true;
    a.base = info_of(shared_llama())["fingerprint"].text;
    const std::string path = file_of(a, "facts");
    const json all = facts_of(open_with(shared_llama(), path, 0)), two = facts_of(open_with(shared_llama(), path, 2)),
               exact = facts_of(open_with(shared_llama(), path, 0, true));
    EXPECT_EQ(8, all["rank"].value);
    EXPECT_EQ(8, all["file_rank"].value);
    EXPECT_EQ(2, two["rank"].value);
    EXPECT_EQ(14, all["matrices"].value);
    EXPECT_LT(two["bytes"].value * 3, all["bytes"].value);
    EXPECT_EQ(a.base, all["base"].text);
    EXPECT_FALSE(all["exact"].flag);
    EXPECT_TRUE(exact["exact"].flag);
    EXPECT_EQ(8, exact["rank"].value);
    EXPECT_EQ(json::null, facts_of(open_adapter(shared_llama(), adapter_file(1.0f)))["base"].kind);
}

// Factors of one model correct its rounding; eight bits are enough for that.
TEST(AdapterRank, FactorsOfOneModelTakeHalfTheBytes) {
    tiny_adapter a = full(8);
    a.half = true;
    const adapter_ptr any = open_with(shared_llama(), file_of(a, "any"), 0);
    a.base = info_of(shared_llama())["fingerprint"].text;
    const adapter_ptr bound = open_with(shared_llama(), file_of(a, "bound"), 0);
    EXPECT_LT(facts_of(bound)["bytes"].value, 0.6 * facts_of(any)["bytes"].value);
    const auto expected = steps(shared_llama(), {any.get()}, {0.3f}), got = steps(shared_llama(), {bound.get()}, {0.3f});
    EXPECT_LT(greatest_difference(expected, got), 0.1 * greatest_difference(expected, steps(shared_llama(), {}, {})));
    EXPECT_GT(greatest_difference(expected, got), 0);
}

TEST(AdapterRank, ThatMakesNoSenseIsRefused) {
    const std::string path = file_of(full(8), "eight");
    const auto status = [&](int32_t rank, int32_t exact) {
        llmm_adapter_params params;
        llmm_adapter_params_init(&params);
        params.rank = rank;
        params.exact = exact;
        llmm_adapter * adapter = nullptr;
        const llmm_status s = llmm_adapter_open(shared_llama(), path.c_str(), &params, &adapter);
        EXPECT_EQ(s == LLMM_OK, adapter != nullptr);
        llmm_adapter_close(adapter);
        return s;
    };
    EXPECT_STATUS(LLMM_ERR_RANGE, status(9, 0));
    EXPECT_TRUE(text_contains(last_error(), "8"));
    EXPECT_STATUS(LLMM_ERR_RANGE, status(-1, 0));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, status(4, 1));
    EXPECT_OK(status(8, 0));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_adapter_info(nullptr, nullptr));
}

TEST(AdapterRank, OfEmbeddingsCannotBeCut) {
    tiny_adapter a = full(4);
    a.embeddings = true;
    const std::string path = file_of(a, "embeddings");
    llmm_adapter_params params;
    llmm_adapter_params_init(&params);
    params.rank = 2;
    llmm_adapter * none = nullptr;
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_adapter_open(shared_llama(), path.c_str(), &params, &none));
    EXPECT_TRUE(text_contains(last_error(), "token_embd.weight"));
    EXPECT_EQ(nullptr, none);
    // Whole, they stay llama.cpp's, beside ours.
    const adapter_ptr own = open_with(shared_llama(), path, 0), stock = open_with(shared_llama(), path, 0, true);
    const auto with = steps(shared_llama(), {own.get()}, {1.0f});
    EXPECT_LT(greatest_difference(with, steps(shared_llama(), {stock.get()}, {1.0f})), rounding());
    const adapter_ptr without = open_with(shared_llama(), file_of(full(4), "no-embeddings"), 0);
    EXPECT_GT(greatest_difference(with, steps(shared_llama(), {without.get()}, {1.0f})), 0.05);
}

TEST(AdapterRank, NumbersThatAreNotFiniteAreRefused) {
    for (const bool half : {false, true}) {
        tiny_adapter a = full(4);
        a.half = half;
        std::string bytes = read_file(file_of(a, "finite"));
        // The last number of the file.
        const std::string nan = half ? std::string("\x00\x7E", 2) : std::string("\x00\x00\xC0\x7F", 4);
        bytes.replace(bytes.size() - nan.size(), nan.size(), nan);
        const std::string path = temp_path("nan.gguf");
        write_file(path, bytes);
        llmm_adapter * none = nullptr;
        EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, llmm_adapter_open(shared_llama(), path.c_str(), nullptr, &none));
        EXPECT_TRUE(text_contains(last_error(), "finite"));
    }
}

TEST(AdapterRank, IsPartOfASavedSession) {
    const std::string path = file_of(full(8), "saved-rank"), state = temp_path("rank.state");
    const adapter_ptr four = open_with(shared_llama(), path, 4), eight = open_with(shared_llama(), path, 8), stock = open_with(shared_llama(), path, 0, true);
    const session_ptr saved = new_session(shared_llama());
    set(saved, {four.get()}, {1.0f});
    eval(saved.get(), random_tokens(20, 1));
    require_ok(llmm_session_save(saved.get(), state.c_str()));
    const session_ptr other = new_session(shared_llama());
    for (llmm_adapter * wrong : {eight.get(), stock.get()}) {
        set(other, {wrong}, {1.0f});
        EXPECT_STATUS(LLMM_ERR_STATE_MISMATCH, llmm_session_load(other.get(), state.c_str()));
    }
    set(other, {four.get()}, {1.0f});
    EXPECT_OK(llmm_session_load(other.get(), state.c_str()));
    EXPECT_TRUE(same_bits(logits(saved), logits(other)));
}

// ---- files ----------------------------------------------------------------------------------------------------

llmm_status try_open(llmm_model * model, const std::string & path) {
    llmm_adapter * raw = nullptr;
    const llmm_status status = llmm_adapter_open(model, path.c_str(), nullptr, &raw);
    EXPECT_EQ(status == LLMM_OK, raw != nullptr);
    llmm_adapter_close(raw);
    return status;
}

TEST(AdapterFile, MissingOrFolder) {
    EXPECT_STATUS(LLMM_ERR_MODEL_NOT_FOUND, try_open(shared_llama(), temp_path("no-adapter.gguf")));
    EXPECT_STATUS(LLMM_ERR_MODEL_NOT_FOUND, try_open(shared_llama(), temp_path("")));
}

TEST(AdapterFile, OfAnotherArchitectureOrShape) {
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, try_open(shared_gemma(), adapter_file(1.0f)));
    tiny_options small = options_of(tiny_arch::llama);
    small.n_embd = 32;
    const std::string path = temp_path("small-adapter.gguf");
    write_tiny_adapter(path, small, 1.0f);
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, try_open(shared_llama(), path));
    tiny_options deep = options_of(tiny_arch::llama);
    deep.n_layers = 5;
    write_tiny_adapter(path, deep, 1.0f);
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, try_open(shared_llama(), path));
}

TEST(AdapterFile, AModelIsNoAdapter) {
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, try_open(shared_llama(), shared_path(tiny_arch::llama)));
}

TEST(AdapterFile, AnAdapterIsNoModel) {
    llmm_model * model = nullptr;
    EXPECT_STATUS(LLMM_ERR_MODEL_INVALID, llmm_model_open(adapter_file(1.0f).c_str(), nullptr, &model));
    EXPECT_EQ(nullptr, model);
}

TEST(AdapterFile, DamageIsRefused) {
    const std::string sound = read_file(adapter_file(1.0f));
    const std::string path  = temp_path("broken-adapter.gguf");
    const auto open_bytes = [&](const std::string & bytes) {
        write_file(path, bytes);
        return try_open(shared_llama(), path);
    };
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, open_bytes(""));
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, open_bytes("GGUF"));
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, open_bytes(std::string(5000, 'x')));
    for (size_t i = 1; i <= 20; i++) {
        EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, open_bytes(sound.substr(0, i * sound.size() / 21))) << i;
    }
    const auto edited = [&](const std::function<void(gguf_bytes &)> & change) {
        gguf_bytes g(sound);
        change(g);
        return open_bytes(g.bytes());
    };
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID,
                  edited([](gguf_bytes & g) { g.put_text(g.type_of_key("adapter.type") + 12, "xora"); }));
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID,
                  edited([](gguf_bytes & g) { g.put_text(g.type_of_key("general.type") + 12, "adaptex"); }));
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID,
                  edited([](gguf_bytes & g) { g.rename_key("general.architecture", "general.architectXXX"); }));
    // A pair without its other half.
    EXPECT_STATUS(LLMM_ERR_ADAPTER_INVALID, edited([](gguf_bytes & g) {
        g.put_text(g.tensor_info("blk.1.ffn_down.weight.lora_b") - 28, "blk.0.attn_norm.weight.lorXX");
    }));
}

// Cause: llama.cpp reads an adapter's metadata with functions that end the process on another type.
TEST(AdapterFile, MetadataOfOtherTypesNeverStopsTheProcess) {
    const std::string sound = read_file(adapter_file(1.0f));
    const std::string path  = temp_path("typed-adapter.gguf");
    for (const char * key : {"general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"}) {
        for (uint32_t type = 0; type <= 13; type++) {
            gguf_bytes g(sound);
            g.put_u32(g.type_of_key(key), type);
            write_file(path, g.bytes());
            SCOPED_TRACE(std::string(key) + " of type " + std::to_string(type));
            const llmm_status status = try_open(shared_llama(), path);
            EXPECT_TRUE(status == LLMM_OK || status == LLMM_ERR_ADAPTER_INVALID) << llmm_status_name(status);
        }
    }
    // The same with a value that stays readable: the sizes of u32, i32 and f32 agree.
    for (const uint32_t type : {4u, 5u}) {
        gguf_bytes g(sound);
        g.put_u32(g.type_of_key("adapter.lora.alpha"), type);
        write_file(path, g.bytes());
        const llmm_status status = try_open(shared_llama(), path);
        EXPECT_TRUE(status == LLMM_OK || status == LLMM_ERR_ADAPTER_INVALID) << llmm_status_name(status);
    }
    // A text where a number belongs, and a number where a text belongs, in files that parse.
    for (const char * key : {"general.type", "adapter.type", "general.architecture"}) {
        std::string bytes = sound;
        const gguf_bytes g(sound);
        const size_t at = g.type_of_key(key);
        const uint64_t n = g.get_u64(at + 4);
        bytes.replace(at, size_t(4 + 8 + n), std::string("\x04\0\0\0\x07\0\0\0", 8));   // u32 7
        // Keep the data aligned: the tensors begin at a multiple of 32 after the header.
        write_file(path, bytes);
        const llmm_status status = try_open(shared_llama(), path);
        EXPECT_TRUE(status == LLMM_ERR_ADAPTER_INVALID) << key << ": " << llmm_status_name(status);
    }
}

TEST(AdapterFile, FlippedBytesNeverStopTheProcess) {
    const std::string sound = read_file(adapter_file(1.0f));
    const std::string path  = temp_path("flipped-adapter.gguf");
    uint64_t state = 3;
    const auto random = [&](size_t n) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return size_t((state >> 33) % n);
    };
    for (int i = 0; i < rounds(400); i++) {
        std::string bytes = sound;
        const size_t at = random(1200);   // metadata and tensor list
        bytes[at] = char(random(2) ? bytes[at] ^ char(1 << random(8)) : char(random(256)));
        write_file(path, bytes);
        SCOPED_TRACE("byte " + std::to_string(at) + " = " + std::to_string(uint8_t(bytes[at])));
        llmm_adapter * raw = nullptr;
        if (llmm_adapter_open(shared_llama(), path.c_str(), nullptr, &raw) != LLMM_OK) {
            EXPECT_NE("", last_error());
            continue;
        }
        const adapter_ptr adapter(raw);
        const session_ptr session = new_session(shared_llama());
        const float scale = 1.0f;
        if (llmm_session_set_adapters(session.get(), &raw, &scale, 1) == LLMM_OK) {
            const token_list tokens = random_tokens(3, 1);
            llmm_session_eval(session.get(), tokens.data(), 3, nullptr, nullptr);
        }
    }
}

}  // namespace
}  // namespace llmm_test
