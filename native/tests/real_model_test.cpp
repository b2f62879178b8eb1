// A few promises again with real models: SmolLM2 for chat, Gemma for the sliding window. The files come from the
// model cache; a test whose file is absent skips and names it.
#include "paged_support.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <tuple>

namespace llmm_test {
namespace {

// How long something takes.
template <typename F>
double seconds(F && work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

const char * const smollm_file = "SmolLM2-135M-Instruct.Q4_1.gguf";
const char * const gemma_file  = "gemma-3-270m-q4_k_m.gguf";
const char * const text_file   = "paul-graham-essays.txt";

std::string cache_folder() {
    if (const char * folder = std::getenv("LLMM_CACHE_DIR")) {
        return folder;
    }
    if (const char * folder = std::getenv("XDG_CACHE_HOME")) {
        return std::string(folder) + "/llm-mobile";
    }
    const char * home = std::getenv("HOME");
    return std::string(home ? home : ".") + "/.cache/llm-mobile";
}

std::string model_path(const std::string & file) {
    return cache_folder() + "/models/" + file;
}

// KL in nats. Activations are rounded to 8 bits, which makes a last-bit difference grow to tenths of a logit; what must
// not change is the prediction.
constexpr double same_prediction = 0.02;

class RealModel : public ::testing::Test {
protected:
    // Opens the model, or leaves it null if its file is absent.
    void open(const std::string & file) {
        path_ = model_path(file);
        if (file_exists(path_)) {
            model_   = open_model(path_);
            n_vocab_ = n_vocab_of(model_.get());
        }
    }

    // Without flash attention, which picks its kernel by the number of rows of a step: results would depend on how a
    // text was cut into steps. One thread, so that other work on the machine slows the test but does not stall it.
    session_ptr session(int32_t n_ctx = 1024) const {
        session_options o;
        o.n_ctx           = n_ctx;
        o.n_batch         = 256;
        o.n_threads       = 1;
        o.flash_attention = LLMM_FLASH_ATTENTION_OFF;
        return new_session(model_.get(), o);
    }

    std::vector<float> logits(const session_ptr & s) const { return logits_of(s.get(), n_vocab_); }

    token_list prompt(const std::string & question) const {
        const std::string request = "{\"messages\":[{\"role\":\"user\",\"content\":" + quote(question) + "}]}";
        llmm_buffer * text = nullptr;
        require_ok(llmm_chat_render(model_.get(), request.data(), request.size(), &text));
        return tokenize(model_.get(), text_of(buffer_ptr(text).get()), true, true);
    }

    std::string path_;
    model_ptr   model_;
    int32_t     n_vocab_ = 0;
};

#define OPEN_OR_SKIP(file)                                  \
    open(file);                                             \
    if (!model_) {                                          \
        GTEST_SKIP() << path_ << " is absent";              \
    }

TEST_F(RealModel, SmolLmTellsWhatItIs) {
    OPEN_OR_SKIP(smollm_file);
    const json info = info_of(model_.get());
    EXPECT_EQ("llama", info["architecture"].text);
    EXPECT_EQ(30, info["layers"].value);
    EXPECT_EQ(9, info["heads"].value);
    EXPECT_EQ(3, info["heads_kv"].value);
    EXPECT_EQ(64, info["head_dim_k"].value);
    EXPECT_EQ(576, info["embedding"].value);
    EXPECT_EQ(49152, info["vocabulary"].value);
    EXPECT_EQ(json::string, info["chat_template"].kind);
}

TEST_F(RealModel, SmolLmTokenisesAnyText) {
    OPEN_OR_SKIP(smollm_file);
    const std::string texts[] = {"Hello, world!", "  two  spaces\n\nand lines\t", "int main() { return 0; }",
                                 "caf\xC3\xA9 \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80", "1234567890"};
    for (const std::string & text : texts) {
        EXPECT_EQ(text, detokenize(model_.get(), tokenize(model_.get(), text)));
    }
}

TEST_F(RealModel, SmolLmRendersItsTemplate) {
    OPEN_OR_SKIP(smollm_file);
    const std::string text = detokenize(model_.get(), prompt("What is the capital of France?"), true);
    EXPECT_TRUE(text_contains(text, "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"));
    EXPECT_TRUE(text_contains(text, "<|im_start|>assistant\n"));
}

TEST_F(RealModel, SmolLmContinuesWhatEveryoneKnows) {
    OPEN_OR_SKIP(smollm_file);
    const std::pair<const char *, const char *> cases[] = {
        {"The capital of France is", " Paris"},
        {"One, two, three, four,", " five, six, seven"},
    };
    for (const auto & c : cases) {
        const session_ptr s = session();
        eval(s.get(), tokenize(model_.get(), c.first, true));
        generate_options o;
        o.max_tokens = 8;
        const generation g = generate(s.get(), new_sampler(model_.get(), "{\"temperature\":0}").get(), o);
        ASSERT_OK(g.status);
        EXPECT_EQ(c.second, g.text().substr(0, std::string(c.second).size()));
    }
}

TEST_F(RealModel, SmolLmGivesTheSameAfterSaveLoadAndRewind) {
    OPEN_OR_SKIP(smollm_file);
    const token_list question = prompt("Name three colours.");
    const session_ptr s = session();
    eval(s.get(), question);
    const std::string path = temp_path("smollm.session");
    ASSERT_OK(llmm_session_save(s.get(), path.c_str()));
    const token_list answer = decode(s.get(), new_sampler(model_.get(), "{\"temperature\":0}").get(), 24);
    const std::vector<float> expected = logits(s);

    const session_ptr loaded = session();
    ASSERT_OK(llmm_session_load(loaded.get(), path.c_str()));
    EXPECT_EQ(answer, decode(loaded.get(), new_sampler(model_.get(), "{\"temperature\":0}").get(), 24));
    EXPECT_TRUE(same_bits(expected, logits(loaded)));

    // Into the middle of the answer: the same steps lead to the same end.
    ASSERT_OK(llmm_session_rewind(s.get(), int32_t(question.size()) + 8));
    EXPECT_EQ(slice(answer, 8, 24), decode(s.get(), new_sampler(model_.get(), "{\"temperature\":0}").get(), 16));
    EXPECT_TRUE(same_bits(expected, logits(s)));
}

TEST_F(RealModel, SmolLmRestoresPages) {
    OPEN_OR_SKIP(smollm_file);
    if (!file_exists(model_path(text_file))) {
        GTEST_SKIP() << model_path(text_file) << " is absent";
    }
    token_list text = tokenize(model_.get(), read_file(model_path(text_file)).substr(0, 20000), true);
    ASSERT_GE(text.size(), 2049u);
    const int32_t next = text[2048];
    text.resize(2048);
    llmm_session_params p;
    llmm_session_params_init(&p);
    p.kv_page_tokens = 32;
    p.kv_quantize = LLMM_KV_4BIT;
    const session_ptr s = open_session(model_.get(), p), loaded = open_session(model_.get(), p);
    const std::string file = temp_path("restore");
    const double reading = seconds([&] { eval(s.get(), text); });
    ASSERT_OK(llmm_session_save(s.get(), file.c_str()));
    const double restoring = seconds([&] { ASSERT_OK(llmm_session_load(loaded.get(), file.c_str())); });
    std::printf("2,048 tokens: read in %.3f s, restored in %.3f s: %.0f times as fast\n", reading, restoring, reading / restoring);
    eval(s.get(), { next });
    eval(loaded.get(), { next });
    EXPECT_TRUE(same_bits(logits(s), logits(loaded)));
}

TEST_F(RealModel, SmolLmObeysAJsonSchema) {
    OPEN_OR_SKIP(smollm_file);
    const session_ptr s = session();
    eval(s.get(), prompt("Is the sky blue? Answer in JSON."));
    const sampler_ptr sampler = new_sampler(
        model_.get(), "{\"seed\":1,\"json_schema\":{\"type\":\"object\",\"properties\":{\"answer\":{\"type\":\"boolean\"}},"
                      "\"required\":[\"answer\"],\"additionalProperties\":false}}");
    generate_options o;
    o.max_tokens = 60;
    const generation g = generate(s.get(), sampler.get(), o);
    ASSERT_OK(g.status);
    ASSERT_EQ(LLMM_STOP_END, g.stop_reason);
    EXPECT_EQ(json::boolean, parse_json(g.text())["answer"].kind);
}

// Decoding reads quantised pages with queries and weights of 8 bits: beside llama.cpp's attention over the same pages.
TEST_F(RealModel, SmolLmDecodesQuantisedPagesAsLlamaCppWould) {
    OPEN_OR_SKIP(smollm_file);
    if (!file_exists(model_path(text_file))) {
        GTEST_SKIP() << model_path(text_file) << " is absent";
    }
    constexpr size_t n_read = 1200, n_scored = 48;
    const token_list text = tokenize(model_.get(), read_file(model_path(text_file)).substr(0, 10000), true);
    ASSERT_GE(text.size(), n_read + n_scored);
    llmm_session_params p;
    llmm_session_params_init(&p);
    p.n_batch = 256;
    p.kv_page_tokens = 32;
    p.kv_quantize = LLMM_KV_4BIT;
    const session_ptr ours = open_session(model_.get(), p);
    eval(ours.get(), token_list(text.begin(), text.begin() + n_read));
    const std::string file = temp_path("decode-kl");
    ASSERT_OK(llmm_session_save(ours.get(), file.c_str()));
    p.kv_exact = 1;
    const session_ptr exact = open_session(model_.get(), p);
    ASSERT_OK(llmm_session_load(exact.get(), file.c_str()));
    double sum = 0;
    for (size_t i = n_read; i < n_read + n_scored; i++) {
        eval(ours.get(), { text[i] });
        eval(exact.get(), { text[i] });
        sum += divergence(logits(exact), logits(ours));
    }
    EXPECT_GT(stats(ours.get()).kv_pages_q4, 30);
    EXPECT_LT(sum / n_scored, same_prediction);
    RecordProperty("kl", std::to_string(sum / n_scored));
}

// A conversation of 30,000 tokens where memory holds a sixth of that: turns of text, of which the last tokens are
// predicted one by one, and answers. Predictions are compared with those of a session that has just read the end of the
// conversation.
TEST_F(RealModel, SmolLmTalksForLongInLittleMemory) {
    OPEN_OR_SKIP(smollm_file);
    if (!file_exists(model_path(text_file))) {
        GTEST_SKIP() << model_path(text_file) << " is absent";
    }
    const size_t n_turns = std::getenv("LLMM_CYCLES") ? 61 : 14;               // the whole of it in ci/long
    constexpr size_t n_read = 400, n_scored = 60, n_answer = 32, n_fresh = 600;
    const token_list text = tokenize(model_.get(), read_file(model_path(text_file)).substr(0, 200000), true);
    ASSERT_GE(text.size(), n_turns * (n_read + n_scored));
    llmm_session_params p;
    llmm_session_params_init(&p);
    p.n_batch = 256;
    p.kv_page_tokens = 32;
    p.kv_evict = 1;
    p.kv_budget_bytes = 24 << 20;
    const session_ptr chat = open_session(model_.get(), p);
    const sampler_ptr greedy = new_sampler(model_.get(), "{\"temperature\":0}");

    // Mean negative log-likelihood of tokens, which the session reads.
    const auto score = [&](llmm_session * s, const token_list & tokens) {
        double sum = 0;
        for (const int32_t t : tokens) {
            sum -= log_softmax(logits_of(s, n_vocab_))[(size_t) t];
            eval(s, { t });
        }
        return sum / (double) tokens.size();
    };
    double ours = 0, fresh = 0;
    int compared = 0;
    uint64_t rss_early = 0, rss = 0, peak = 0;
    for (size_t turn = 0; turn < n_turns; turn++) {
        const auto at = text.begin() + (std::ptrdiff_t) (turn * (n_read + n_scored));
        eval(chat.get(), token_list(at, at + n_read));
        const token_list scored(at + n_read, at + n_read + n_scored);
        const bool compare = turn % 6 == 5;
        if (compare) {
            const token_list before = history(chat.get());
            llmm_session_params plain = p;
            plain.kv_page_tokens = 0;
            const session_ptr other = open_session(model_.get(), plain);
            eval(other.get(), token_list(before.end() - n_fresh, before.end()));
            fresh += score(other.get(), scored);
        }
        const double nll = score(chat.get(), scored);
        ours += compare ? nll : 0;
        compared += compare;
        generate_options o;
        o.max_tokens = n_answer;
        ASSERT_OK(generate(chat.get(), greedy.get(), o).status);
        const llmm_stats now = stats(chat.get());
        ASSERT_LE(now.kv_peak_bytes, p.kv_budget_bytes) << "turn " << turn;
        require_ok(llmm_process_memory(&rss, &peak));
        rss_early = turn == 11 ? rss : rss_early;                               // memory has been full for a while
    }
    const llmm_stats last = stats(chat.get());
    EXPECT_GE((size_t) last.n_tokens, n_turns * (n_read + n_scored));
    EXPECT_GT(last.kv_evictions, n_turns > 14 ? 500 : 0);
    EXPECT_LT(rss, rss_early + (6 << 20));
    EXPECT_LT(ours / compared, fresh / compared + 0.05) << "nats per token; what is further back should help";
    RecordProperty("ours", std::to_string(ours / compared));
    RecordProperty("fresh", std::to_string(fresh / compared));
}

TEST_F(RealModel, GemmaTellsItsWindow) {
    OPEN_OR_SKIP(gemma_file);
    const json info = info_of(model_.get());
    EXPECT_EQ("gemma3", info["architecture"].text);
    EXPECT_EQ(512, info["sliding_window"].value);
}

TEST_F(RealModel, GemmaForgetsNothingWhenRewoundBeyondItsWindow) {
    OPEN_OR_SKIP(gemma_file);
    std::string text;
    for (int i = 0; text.size() < 6000; i++) {
        text += "Item " + std::to_string(i) + " costs " + std::to_string(i * 7 % 100) + " coins. ";
    }
    const token_list tokens = tokenize(model_.get(), text, true);
    ASSERT_GT(tokens.size(), 1200u);
    const session_ptr s = session(2048);
    eval(s.get(), slice(tokens, 0, 1200));
    ASSERT_OK(llmm_session_rewind(s.get(), 300));
    const token_list next = tokenize(model_.get(), " And item 7 costs");
    eval(s.get(), next);
    const session_ptr fresh = session(2048);
    eval(fresh.get(), slice(tokens, 0, 300) + next);
    EXPECT_LT(divergence(logits(fresh), logits(s)), same_prediction);
    EXPECT_EQ(argmax(logits(fresh)), argmax(logits(s)));
    // And the text before the cut does count: without it the prediction is another one.
    const session_ptr without = session(2048);
    eval(without.get(), next);
    EXPECT_GT(divergence(logits(fresh), logits(without)), 10 * same_prediction);
}

TEST_F(RealModel, GemmaGivesTheSameAfterSaveAndLoadBeyondItsWindow) {
    OPEN_OR_SKIP(gemma_file);
    std::string text;
    while (text.size() < 4000) {
        text += "The quick brown fox jumps over the lazy dog. ";
    }
    const token_list tokens = tokenize(model_.get(), text, true);
    ASSERT_GT(tokens.size(), 700u);
    const session_ptr s = session();
    eval(s.get(), slice(tokens, 0, 700));
    const std::string path = temp_path("gemma.session");
    ASSERT_OK(llmm_session_save(s.get(), path.c_str()));
    const session_ptr loaded = session();
    ASSERT_OK(llmm_session_load(loaded.get(), path.c_str()));
    EXPECT_TRUE(same_bits(logits(s), logits(loaded)));
    const char * const greedy = "{\"temperature\":0,\"ignore_eos\":true}";
    EXPECT_EQ(decode(s.get(), new_sampler(model_.get(), greedy).get(), 12),
              decode(loaded.get(), new_sampler(model_.get(), greedy).get(), 12));
    // The window's ring begins anew at its first cell: the same keys in another order, so that sums round differently.
    EXPECT_LT(divergence(logits(s), logits(loaded)), same_prediction);
}

// ---- layers -------------------------------------------------------------------------------------------------------

llmm_status skip_parts(llmm_session * s, const token_list & parts) {
    const auto level = (int32_t) parts.size();
    llmm_gate_params p;
    llmm_gate_params_init(&p);
    p.order = parts.data();
    p.n_order = level;
    p.levels = &level;
    return llmm_session_set_gates(s, &p);
}

class SplitModel : public RealModel {
protected:
    // Two models of a part of the layers each, against one of all.
    void compare(const std::string & file, int32_t page_tokens, int32_t k) {
        llmm_session_params p = paged(page_tokens, false);
        p.n_batch = 256;
        llmm_model_params mp;
        llmm_model_params_init(&mp);
        std::vector<model_ptr> models;
        std::vector<session_ptr> parts;
        double bytes = 0;
        for (const auto & [begin, end] : { std::pair<int32_t, int32_t>(0, k), std::pair<int32_t, int32_t>(k, 0) }) {
            mp.layer_begin = begin;
            mp.layer_end = end;
            llmm_model * m = nullptr;
            ASSERT_OK(llmm_model_open(model_path(file).c_str(), &mp, &m));
            models.emplace_back(m);
            parts.push_back(open_session(m, p));
            bytes += (double) stats(parts.back().get()).model_bytes;
        }
        const session_ptr whole = open_session(model_.get(), p);
        const auto width = (size_t) info_of(model_.get())["embedding"].value;
        const token_list text = tokenize(model_.get(), read_file(model_path(text_file)).substr(0, 1500));
        ASSERT_GT(text.size(), 260u);
        for (const auto & [begin, end] : { std::pair<int32_t, int32_t>(0, 250), { 250, 251 }, { 251, 252 }, { 252, 256 } }) {
            const token_list tokens = slice(text, begin, end);
            std::vector<float> hidden(tokens.size() * width);
            ASSERT_OK(llmm_session_eval_hidden(parts[0].get(), tokens.data(), end - begin, nullptr, 0, hidden.data(), (int64_t) hidden.size()));
            ASSERT_OK(llmm_session_eval_hidden(parts[1].get(), tokens.data(), end - begin, hidden.data(), (int64_t) hidden.size(), nullptr, 0));
            eval(whole.get(), tokens);
            EXPECT_TRUE(same_bits(logits(whole), logits(parts[1]))) << "split at " << k << ", step of " << end - begin;
        }
        std::printf("split at %d, pages of %d: the halves have %.3f of the weights of the whole\n", k, page_tokens,
                    bytes / (double) stats(whole.get()).model_bytes);
    }
};

TEST_F(SplitModel, SmolLm) {
    OPEN_OR_SKIP(smollm_file);
    for (const int32_t k : { 1, 7, 15, 29 }) {
        compare(smollm_file, 32, k);
    }
    compare(smollm_file, 0, 15);
}

TEST_F(SplitModel, Gemma) {
    OPEN_OR_SKIP(gemma_file);
    // Every sixth layer looks at the whole context; pages need one of them.
    for (const int32_t k : { 6, 9, 17 }) {
        compare(gemma_file, 32, k);
    }
    compare(gemma_file, 0, 1);
}

#ifdef __linux__

// Bytes of a mapped file that are in this process's memory.
uint64_t mapped_bytes(const std::string & file) {
    uint64_t kib = 0;
    bool is_file = false;
    std::ifstream maps("/proc/self/smaps");
    for (std::string line; std::getline(maps, line);) {
        unsigned long rss = 0;
        if (line.find('-') < line.find(' ')) {                                  // the addresses that begin a mapping
            is_file = line.size() > file.size() && line.compare(line.size() - file.size(), file.size(), file) == 0;
        } else if (is_file && std::sscanf(line.c_str(), "Rss: %lu", &rss) == 1) {
            kib += rss;
        }
    }
    return kib << 10;
}

class PartialModel : public RealModel {
protected:
    // Evaluates layers of a model that has no others, and compares what of its file is in memory then with their weights.
    // Nothing is rearranged, so that all weights lie in the file.
    void measure(const std::string & file, int32_t begin, int32_t end) {
        const std::string path = model_path(file);
        llmm_model_params mp;
        llmm_model_params_init(&mp);
        mp.repack = 0;
        mp.layer_begin = begin;
        mp.layer_end = end;
        llmm_model * m = nullptr;
        ASSERT_OK(llmm_model_open(path.c_str(), &mp, &m));
        const model_ptr part(m);
        const session_ptr s = open_session(m, paged(0, false));
        const json info = info_of(m);
        const auto width = (size_t) info["embedding"].value;
        const token_list tokens(8, 100);
        std::vector<float> in(begin > 0 ? tokens.size() * width : 0, 0.5f), out(end < info["layers"].value ? tokens.size() * width : 0);
        ASSERT_OK(llmm_session_eval_hidden(s.get(), tokens.data(), (int32_t) tokens.size(), in.data(), (int64_t) in.size(), out.data(),
                                           (int64_t) out.size()));
        const auto mapped = (double) mapped_bytes(path), weights = (double) stats(s.get()).model_bytes;
        std::printf("%s, layers %d to %d: %.2f MB of the file in memory, %.2f MB of weights\n", file.c_str(), begin, end - 1, 1e-6 * mapped,
                    1e-6 * weights);
        EXPECT_LT(mapped, 1.05 * weights);
        if (begin > 0) {                                                        // of the embeddings only what the text has of words is read
            EXPECT_GT(mapped, 0.95 * weights);
        }
    }
};

TEST_F(PartialModel, SmolLm) {
    if (!file_exists(model_path(smollm_file))) {
        GTEST_SKIP() << model_path(smollm_file) << " is absent";
    }
    for (const auto & [begin, end] : { std::pair<int32_t, int32_t>(0, 15), { 15, 30 }, { 20, 25 } }) {
        measure(smollm_file, begin, end);
    }
}

TEST_F(PartialModel, Gemma) {
    if (!file_exists(model_path(gemma_file))) {
        GTEST_SKIP() << model_path(gemma_file) << " is absent";
    }
    measure(gemma_file, 9, 18);
}

#endif

// In ci/long all is measured; otherwise a part of it, which tells wrong from right as well.
bool is_long() {
    return std::getenv("LLMM_CYCLES") != nullptr;
}

// Prints the time that leaving parts out saves beside their share of the bytes that a step reads: matrices, of which keys' and
// values' stay, and, of attention, keys and values. All in turn, for the clock wanders.
TEST_F(RealModel, SmolLmTimeFollowsWork) {
    OPEN_OR_SKIP(smollm_file);
    const token_list text = tokenize(model_.get(), read_file(model_path(text_file)).substr(0, 60000));
    const token_list attention{ 12, 14, 10, 44, 52, 34, 46, 24 }, feed_forward{ 9, 27, 7, 11, 29, 51, 25, 15 };
    const token_list layers{ 34, 35, 10, 11, 8, 9, 28, 29 };
    const int32_t rounds = is_long() ? 24 : 2;
    constexpr int32_t steps = 8;
    for (const int32_t depth : { 0, is_long() ? 8000 : 2000 }) {
        llmm_session_params p = paged(32, true);
        p.n_ctx = 8192;
        p.n_batch = 512;
        const session_ptr s = open_session(model_.get(), p);
        ASSERT_GT((int32_t) text.size(), depth + steps);
        if (depth > 0) {
            eval(s.get(), slice(text, 0, depth));
        }
        const auto measure = [&](const token_list & parts) {
            EXPECT_OK(skip_parts(s.get(), parts));
            const double t = seconds([&] {
                for (int32_t i = 0; i < steps; i++) {
                    eval(s.get(), slice(text, depth + i, depth + i + 1));
                }
            });
            EXPECT_OK(llmm_session_rewind(s.get(), depth));
            return t / steps;
        };
        measure({});
        const llmm_stats before = stats(s.get());
        const double cells = depth == 0 ? 0 : before.kv_bytes / 30.0, q4_1 = 20.0 / 32;   // keys and values of a layer; bytes of a weight
        const double all = (double) before.model_bytes + 30 * cells;
        const double of_attention = 8 * (2 * 576.0 * 576 * q4_1 + cells) / all, of_feed_forward = 8 * 3 * 576.0 * 1536 * q4_1 / all;
        const std::vector<std::tuple<const char *, token_list, double>> cases{
            { "8 attention parts", attention, of_attention },
            { "8 feed-forward parts", feed_forward, of_feed_forward },
            { "4 layers", layers, (of_attention + of_feed_forward) / 2 },
        };
        std::vector<std::vector<double>> ratios(cases.size());
        double dense = 0;
        for (int32_t round = 0; round < rounds; round++) {
            for (size_t i = 0; i < cases.size(); i++) {
                const double whole = measure({});
                dense += whole / rounds / (double) cases.size();
                ratios[i].push_back(measure(std::get<1>(cases[i])) / whole);
            }
        }
        for (size_t i = 0; i < cases.size(); i++) {
            std::sort(ratios[i].begin(), ratios[i].end());
            const double saved = 1 - ratios[i][ratios[i].size() / 2], share = std::get<2>(cases[i]);
            std::printf("depth %d, %s left out: %.1f %% of %.2f ms saved (%.1f to %.1f %%), %.1f %% of the bytes: %.2f of the work\n", depth,
                        std::get<0>(cases[i]), 100 * saved, 1e3 * dense, 100 * (1 - ratios[i].back()), 100 * (1 - ratios[i].front()),
                        100 * share, saved / share);
        }
        EXPECT_EQ((size_t) rounds * steps * 3 * 8, (size_t) (stats(s.get()).gate_skipped_parts - before.gate_skipped_parts));
    }
}

// Prints what it costs to leave out another part in every step than in the one before, beside leaving out the same one.
TEST_F(RealModel, SmolLmFlipsAreCheap) {
    OPEN_OR_SKIP(smollm_file);
    const session_ptr s = open_session(model_.get(), paged(32, true));
    const token_list one(1, 100);
    EXPECT_OK(skip_parts(s.get(), { 14 }));
    const int32_t rounds = is_long() ? 400 : 20;
    std::vector<double> ratios;
    const auto steps = [&](bool flip) {
        const double t = seconds([&] {
            for (int32_t i = 0; i < 4; i++) {
                if (flip) {
                    EXPECT_OK(skip_parts(s.get(), { i % 2 ? 14 : 12 }));
                }
                eval(s.get(), one);
            }
        });
        EXPECT_OK(llmm_session_rewind(s.get(), 0));
        return t;
    };
    for (int32_t round = 0; round < rounds; round++) {
        const double same = steps(false);
        ratios.push_back(steps(true) / same);
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf("steps that leave out another part each: %.4f times the time (half of %d pairs within %.3f to %.3f)\n", ratios[ratios.size() / 2],
                rounds, ratios[ratios.size() / 4], ratios[ratios.size() * 3 / 4]);
    EXPECT_LT(ratios[ratios.size() / 2], is_long() ? 1.01 : 1.5);                // a busy machine hides the difference, not a rebuilt graph
}

// ---- drafts ---------------------------------------------------------------------------------------------------

struct drafted_run {
    generation g;
    llmm_stats stats;
    double seconds() const { return double(stats.decode_us + stats.sample_us) * 1e-6; }
};

drafted_run run_drafted(llmm_model * model, int32_t page_tokens, const token_list & prompt, int32_t max_tokens, int32_t draft_tokens) {
    llmm_session_params p;
    llmm_session_params_init(&p);
    p.n_ctx          = 2048;
    p.kv_page_tokens = page_tokens;
    const session_ptr s = open_session(model, p);
    eval(s.get(), prompt);
    generate_options o;
    o.max_tokens   = max_tokens;
    o.draft_tokens = draft_tokens;
    drafted_run r;
    r.g     = generate(s.get(), new_sampler(model, "{\"temperature\":0,\"ignore_eos\":true}").get(), o);
    r.stats = stats(s.get());
    return r;
}

// Prompts whose continuation repeats them: a passage to be said again, records to go on with, code to be changed.
const std::pair<const char *, const char *> repetitive_texts[] = {
    {"quoting",
     "The treaty says: The contracting parties agree that goods which have been placed under the transit procedure shall be "
     "presented intact at the office of destination, together with the accompanying documents, within the period laid down by "
     "the office of departure, and that the identity of the goods shall be ensured by sealing.\n\n"
     "I repeat what the treaty says, word for word: The contracting parties agree that goods which"},
    {"records",
     "{\"id\": 1, \"name\": \"valve\", \"status\": \"open\", \"pressure_kpa\": 101, \"checked_by\": \"operator\"}\n"
     "{\"id\": 2, \"name\": \"valve\", \"status\": \"open\", \"pressure_kpa\": 102, \"checked_by\": \"operator\"}\n"
     "{\"id\": 3, \"name\": \"valve\", \"status\": \"open\", \"pressure_kpa\": 103, \"checked_by\": \"operator\"}\n{\"id\":"},
    {"code",
     "int read_first(FILE * file) {\n    int value = 0;\n    if (fscanf(file, \"%d\", &value) != 1) {\n        return -1;\n"
     "    }\n    return value;\n}\n\nint read_second(FILE * file) {\n    int value = 0;\n    if (fscanf(file, \"%d\", &value) != 1) {\n"
     "        return -1;\n    }\n    return value;\n}\n\nint read_third(FILE * file) {"},
};

TEST_F(RealModel, SmolLmDraftsWhereTheTextRepeats) {
    OPEN_OR_SKIP(smollm_file);
    for (const int32_t page_tokens : {0, 32}) {
        for (const auto & text : repetitive_texts) {
            const token_list prompt = tokenize(model_.get(), text.second, true);
            double plain = 0, drafted = 0;
            llmm_stats last{};
            for (int round = 0; round < (is_long() ? 2 : 1); round++) {
                const int32_t n = is_long() ? 160 : 48;
                const drafted_run a = run_drafted(model_.get(), page_tokens, prompt, n, 0);
                const drafted_run b = run_drafted(model_.get(), page_tokens, prompt, n, 8);
                EXPECT_EQ(a.g.text(), b.g.text()) << text.first;
                EXPECT_GT(b.stats.draft_accepted, 0) << text.first;
                plain += a.seconds();
                drafted += b.seconds();
                last = b.stats;
            }
            std::printf("drafts, %-8s pages of %2d: %.2fx (%d of %d tokens in %d steps right)\n", text.first, page_tokens,
                        plain / drafted, int(last.draft_accepted), int(last.draft_proposed), int(last.draft_steps));
        }
    }
}

// Also what drafts cost where they are of no use: essays are not said twice.
TEST_F(RealModel, SmolLmGivesTheSameWithDrafts) {
    OPEN_OR_SKIP(smollm_file);
    const std::string path = model_path(text_file);
    if (!file_exists(path)) {
        GTEST_SKIP() << path << " is absent";
    }
    const token_list text = tokenize(model_.get(), read_file(path).substr(0, 400000), false);
    int same = 0, steps = 0, right = 0, proposed = 0;
    double plain = 0, drafted = 0;
    const int32_t prompts = is_long() ? 50 : 8;
    for (int32_t i = 0; i < prompts; i++) {
        const token_list part = slice(text, 1000 + 1500 * i, 1000 + 1500 * i + 50 + 2 * i);
        const int32_t page_tokens = i % 4 < 2 ? 0 : 32;
        const drafted_run a = run_drafted(model_.get(), page_tokens, part, 32, i % 2 ? 8 : 0);
        const drafted_run b = run_drafted(model_.get(), page_tokens, part, 32, i % 2 ? 0 : 8);
        same += a.g.tokens() == b.g.tokens();
        plain += (i % 2 ? b : a).seconds();
        const drafted_run & with = i % 2 ? a : b;
        drafted += with.seconds();
        steps += int(with.stats.draft_steps);
        right += int(with.stats.draft_accepted);
        proposed += int(with.stats.draft_proposed);
    }
    EXPECT_EQ(prompts, same);
    std::printf("drafts, essays: %d of %d the same, %.3fx (%d of %d tokens in %d steps right)\n", same, prompts, plain / drafted, right,
                proposed, steps);
}

}  // namespace
}  // namespace llmm_test
