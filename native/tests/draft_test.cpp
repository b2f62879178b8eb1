// Generation with drafts: the same tokens, text, callbacks and state as without, whatever is drafted.
#include "api/handles.h"
#include "kv/page_store.h"
#include "session/draft_pacer.h"
#include "session/drafter.h"

#include "paged_support.h"

#include <algorithm>
#include <functional>
#include <random>

namespace llmm_test {
namespace {

const char * const greedy = "{\"temperature\":0,\"ignore_eos\":true}";

// Drafts from the text that generation without drafts gave, some of it falsified.
class oracle final : public llmm::draft_source {
public:
    oracle(token_list text, int32_t wrong_every) : text_(std::move(text)), wrong_every_(wrong_every) {}
    void begin(llmm::span<const int32_t>) override {}
    llmm::draft propose(llmm::span<const int32_t> history, int32_t max_n) override {
        llmm::draft d;
        for (size_t at = history.size(); at < text_.size() && int32_t(d.tokens.size()) < max_n; at++) {
            n_++;
            d.tokens.push_back(wrong_every_ > 0 && n_ % wrong_every_ == 0 ? (text_[at] + 1) % tiny_n_vocab() : text_[at]);
        }
        return d;
    }

private:
    token_list text_;
    int32_t wrong_every_, n_ = 0;
};

struct setting {
    const char * name;
    std::function<session_ptr(llmm_model *)> open;
    bool drafts = true;
};

llmm_session_params with_pages(int32_t page_tokens, bool quantize, const std::function<void(llmm_session_params &)> & change = {}) {
    llmm_session_params p = paged(page_tokens, quantize);
    if (change) {
        change(p);
    }
    return p;
}

session_ptr with_adapter(llmm_model * model) {
    const std::string path = temp_path("drafts-adapter.gguf");
    tiny_adapter a;
    a.rank = 9;
    a.all_matrices = true;
    write_tiny_adapter(path, options_of(tiny_arch::llama), a);
    llmm_adapter * adapter = nullptr;
    require_ok(llmm_adapter_open(model, path.c_str(), nullptr, &adapter));
    session_ptr session = new_session(model);
    const float scale = 1;
    require_ok(llmm_session_set_adapters(session.get(), &adapter, &scale, 1));
    llmm_adapter_close(adapter);
    return session;
}

std::vector<setting> settings() {
    llmm_prune_params prune;
    llmm_prune_params_init(&prune);
    prune.threshold = 0.05f;
    prune.min_tokens = 64;
    const auto pages = [](const llmm_session_params & p) { return [p](llmm_model * m) { return open_session(m, p); }; };
    const auto pruned = [prune](llmm_model * m) {
        llmm_session_params p = paged(16, false);
        p.prune = &prune;
        return open_session(m, p);
    };
    const auto evict = [](llmm_session_params & p) { p.kv_evict = 1; };
    const auto exact = [](llmm_session_params & p) { p.kv_exact = 1; };
    const auto soon = [](llmm_session_params & p) { p.kv_recent_tokens = 0; };
    return { { "stock", [](llmm_model * m) { return new_session(m); } },
             { "adapter", with_adapter },
             { "pages", pages(paged(32, false)) },
             { "small pages in 4 bits", pages(paged(16, true)) },
             { "4 bits at once", pages(with_pages(16, true, soon)) },
             { "exact", pages(with_pages(32, false, exact)) },
             { "eviction", pages(with_pages(32, false, evict)), false },
             { "pruning", pruned, false } };
}

struct outcome {
    generation g;
    token_list tokens;
    std::vector<float> logits;
    llmm_stats before_logits;
};

outcome outcome_of(llmm_session * s, const std::string & options, const generate_options & o) {
    outcome r;
    r.g = generate(s, new_sampler(shared_llama(), options).get(), o);
    r.tokens = history(s);
    r.before_logits = stats(s);
    r.logits = logits_of(s, tiny_n_vocab());
    return r;
}

void expect_same(const outcome & a, const outcome & b) {
    EXPECT_EQ(a.g.status, b.g.status);
    EXPECT_EQ(a.g.stop_reason, b.g.stop_reason);
    EXPECT_EQ(a.g.n_tokens, b.g.n_tokens);
    EXPECT_EQ(a.tokens, b.tokens);
    ASSERT_EQ(a.g.batches.size(), b.g.batches.size());
    for (size_t i = 0; i < a.g.batches.size(); i++) {
        EXPECT_EQ(a.g.batches[i].tokens, b.g.batches[i].tokens);
        EXPECT_EQ(a.g.batches[i].text, b.g.batches[i].text);
        EXPECT_EQ(a.g.batches[i].text_ends, b.g.batches[i].text_ends);
    }
    EXPECT_LE(max_difference(a.logits, b.logits), rounding());
    EXPECT_EQ(a.before_logits.kv_pages_f16, b.before_logits.kv_pages_f16);
    EXPECT_EQ(a.before_logits.kv_pages_q4, b.before_logits.kv_pages_q4);
    EXPECT_EQ(a.before_logits.kv_demotions, b.before_logits.kv_demotions);
    EXPECT_EQ(a.before_logits.generated_tokens, b.before_logits.generated_tokens);
    EXPECT_EQ(a.before_logits.prune_active_tokens, b.before_logits.prune_active_tokens);
    EXPECT_EQ(a.before_logits.prune_tests, b.before_logits.prune_tests);
}

token_list repetitive(int32_t n) {
    const token_list part = random_tokens(12, 4);
    token_list t;
    while (int32_t(t.size()) < n) {
        t = t + part;
    }
    return slice(t, 0, n);
}

void compare(const std::string & options, generate_options o, const token_list & prompt) {
    for (const setting & k : settings()) {
        SCOPED_TRACE(std::string(k.name) + " " + options);
        const session_ptr plain = k.open(shared_llama());
        eval(plain.get(), prompt);
        const outcome expected = outcome_of(plain.get(), options, o);
        for (const int32_t wrong_every : { 0, 1, 3, 7 }) {
            SCOPED_TRACE(wrong_every);
            for (const int32_t n : { 1, 8, 16 }) {
                SCOPED_TRACE(n);
                const session_ptr s = k.open(shared_llama());
                eval(s.get(), prompt);
                s->impl.set_draft_source(std::make_unique<oracle>(expected.tokens, wrong_every), false);
                o.draft_tokens = n;
                const outcome got = outcome_of(s.get(), options, o);
                o.draft_tokens = 0;
                expect_same(expected, got);
                const llmm_stats & st = got.before_logits;
                EXPECT_LE(st.draft_accepted, st.draft_proposed);
                if (!k.drafts) {
                    EXPECT_EQ(0, st.draft_steps);
                } else if (expected.g.n_tokens > 8) {
                    EXPECT_GT(st.draft_steps, 0);
                    EXPECT_EQ(wrong_every != 1, st.draft_accepted > 0);
                }
                if (k.drafts && wrong_every == 0) {
                    EXPECT_EQ(st.draft_proposed, st.draft_accepted);
                }
            }
        }
    }
}

TEST(Draft, GreedyIsTheSame) {
    generate_options o;
    o.max_tokens = 70;
    compare(greedy, o, repetitive(90));
}

TEST(Draft, SamplingWithASeedIsTheSame) {
    generate_options o;
    o.max_tokens = 40;
    o.batch_tokens = 3;
    compare("{\"temperature\":1.2,\"top_k\":0,\"seed\":3,\"ignore_eos\":true}", o, random_tokens(40, 1));
    compare("{\"seed\":5,\"mirostat\":2,\"ignore_eos\":true}", o, random_tokens(40, 1));
}

TEST(Draft, PenaltiesAreTheSame) {
    generate_options o;
    o.max_tokens = 40;
    compare("{\"temperature\":0,\"repeat_penalty\":1.3,\"frequency_penalty\":0.2,\"ignore_eos\":true}", o, repetitive(40));
    compare("{\"temperature\":0.9,\"seed\":2,\"dry_multiplier\":0.8,\"ignore_eos\":true}", o, repetitive(40));
}

TEST(Draft, GrammarIsTheSame) {
    generate_options o;
    o.max_tokens = 60;
    compare("{\"seed\":7,\"grammar\":\"root ::= [a-z]{30} [a-z]*\",\"ignore_eos\":true}", o, random_tokens(20, 1));
    compare(forced_text("abcabcabcabcabcabc"), o, random_tokens(20, 1));      // the end token is drafted too
}

TEST(Draft, StopStringsAreTheSame) {
    generate_options o;
    o.max_tokens = 60;
    compare(forced_text("one two three four five", "\"stop\":[\"three\"]"), o, random_tokens(20, 1));
}

TEST(Draft, ACallbackStopsAtTheSameToken) {
    for (const int32_t after : { 1, 2, 5, 9 }) {
        generate_options o;
        o.max_tokens = 40;
        o.stop_after = after;
        compare(greedy, o, repetitive(40));
    }
}

TEST(Draft, AFullContextIsTheSame) {
    generate_options o;
    o.max_tokens = -1;
    for (const setting & k : settings()) {
        if (!k.drafts) {
            continue;
        }
        SCOPED_TRACE(k.name);
        const token_list prompt = repetitive(480);
        const session_ptr plain = k.open(shared_llama());
        eval(plain.get(), prompt);
        const outcome expected = outcome_of(plain.get(), greedy, o);
        const session_ptr s = k.open(shared_llama());
        eval(s.get(), prompt);
        s->impl.set_draft_source(std::make_unique<oracle>(expected.tokens, 5), false);
        o.draft_tokens = 16;
        expect_same(expected, outcome_of(s.get(), greedy, o));
        EXPECT_EQ(LLMM_STOP_CONTEXT_FULL, expected.g.stop_reason);
        o.draft_tokens = 0;
    }
}

TEST(Draft, CancelledGenerationGoesOnTheSame) {
    const token_list prompt = repetitive(40);
    for (const setting & k : settings()) {
        SCOPED_TRACE(k.name);
        const session_ptr plain = k.open(shared_llama());
        eval(plain.get(), prompt);
        generate_options o;
        o.max_tokens = 60;
        const outcome expected = outcome_of(plain.get(), greedy, o);
        const session_ptr s = k.open(shared_llama());
        eval(s.get(), prompt);
        s->impl.set_draft_source(std::make_unique<oracle>(expected.tokens, 4), false);
        int32_t calls = 0;
        struct context { llmm_session * s; int32_t * calls; } data = { s.get(), &calls };
        llmm_generate_params p;
        llmm_generate_params_init(&p);
        p.max_tokens = 60;
        p.draft_tokens = 8;
        p.on_tokens_data = &data;
        p.on_tokens = [](const llmm_token_batch *, void * d) {
            if (++*static_cast<context *>(d)->calls == 7) {
                llmm_session_cancel(static_cast<context *>(d)->s);
            }
            return 0;
        };
        llmm_generate_result r{};
        r.struct_size = sizeof(r);
        ASSERT_OK(llmm_session_generate(s.get(), new_sampler(shared_llama(), greedy).get(), &p, &r));
        EXPECT_EQ(LLMM_STOP_CANCELLED, r.stop_reason);
        EXPECT_EQ(7, r.n_tokens);
        o.max_tokens = 53;
        o.draft_tokens = 8;
        EXPECT_EQ(expected.tokens, outcome_of(s.get(), greedy, o).tokens);
    }
}

TEST(Draft, SlidingWindowsGiveTheSame) {
    generate_options o;
    o.max_tokens = 100;
    const token_list prompt = random_tokens(90, 2);
    const session_ptr plain = new_session(shared_gemma());
    eval(plain.get(), prompt);
    const generation expected = generate(plain.get(), new_sampler(shared_gemma(), greedy).get(), o);
    const session_ptr s = new_session(shared_gemma());
    eval(s.get(), prompt);
    s->impl.set_draft_source(std::make_unique<oracle>(history(plain.get()), 4), false);
    o.draft_tokens = 16;
    EXPECT_EQ(expected.tokens(), generate(s.get(), new_sampler(shared_gemma(), greedy).get(), o).tokens());
    EXPECT_GT(stats(s.get()).draft_accepted, 0);
}

TEST(Draft, RecurrentModelsGoOnWithout) {
    llmm_model * mamba = shared_model(tiny_arch::mamba);
    generate_options o;
    o.max_tokens = 30;
    const session_ptr plain = new_session(mamba);
    eval(plain.get(), repetitive(40));
    const generation expected = generate(plain.get(), new_sampler(mamba, greedy).get(), o);
    const session_ptr s = new_session(mamba);
    eval(s.get(), repetitive(40));
    s->impl.set_draft_source(std::make_unique<oracle>(history(plain.get()), 4), false);
    o.draft_tokens = 16;
    EXPECT_EQ(expected.tokens(), generate(s.get(), new_sampler(mamba, greedy).get(), o).tokens());
    EXPECT_EQ(0, stats(s.get()).draft_steps);
}

TEST(Draft, PromptLookupGivesTheSame) {
    for (const setting & k : settings()) {
        SCOPED_TRACE(k.name);
        generate_options o;
        o.max_tokens = 200;
        const session_ptr plain = k.open(shared_llama()), s = k.open(shared_llama());
        eval(plain.get(), repetitive(60));
        eval(s.get(), repetitive(60));
        s->impl.set_draft_source(std::make_unique<llmm::ngram_drafter>(), false);
        const outcome expected = outcome_of(plain.get(), greedy, o);
        o.draft_tokens = 8;
        const outcome got = outcome_of(s.get(), greedy, o);
        EXPECT_EQ(expected.tokens, got.tokens);
        EXPECT_EQ(k.drafts, got.before_logits.draft_accepted > 0);      // random weights repeat themselves before long
    }
}

TEST(Draft, CountsAreInRange) {
    const session_ptr s = new_session(shared_llama());
    eval(s.get(), random_tokens(8, 1));
    for (const int32_t n : { -1, 17 }) {
        generate_options o;
        o.draft_tokens = n;
        EXPECT_STATUS(LLMM_ERR_RANGE, generate(s.get(), new_sampler(shared_llama(), greedy).get(), o).status);
    }
}

// ---- the index ------------------------------------------------------------------------------------------------

token_list naive(const token_list & history, int32_t max_n) {
    const auto size = int32_t(history.size());
    for (int32_t n = 4; n >= 2; n--) {
        for (int32_t end = size - 1; end >= n && size >= n; end--) {
            if (std::equal(history.end() - n, history.end(), history.begin() + (end - n))) {
                token_list d;
                for (int32_t i = 0; i < max_n; i++) {
                    d.push_back(end + i < size ? history[size_t(end + i)] : d[size_t(end + i - size)]);
                }
                return d;
            }
        }
    }
    return {};
}

TEST(NgramDrafter, EqualsANaiveSearch) {
    std::mt19937 random(9);
    for (int round = 0; round < rounds(40); round++) {
        llmm::ngram_drafter drafter;
        token_list history;
        const uint32_t kinds = 2 + random() % 40;
        for (int step = 0; step < 300; step++) {
            if (random() % 60 == 0) {         // another generation, after a rewind
                history.resize(random() % (history.size() + 1));
                drafter.begin(history);
            }
            const int32_t n_new = 1 + int32_t(random() % 4);
            for (int32_t i = 0; i < n_new; i++) {
                history.push_back(int32_t(random() % kinds) * 1000003 % 49152);
            }
            const int32_t most = 1 + int32_t(random() % 16);
            ASSERT_EQ(naive(history, most), drafter.propose(history, most).tokens);
        }
    }
}

TEST(NgramDrafter, HasNothingToSayAtFirst) {
    llmm::ngram_drafter drafter;
    drafter.begin({});
    EXPECT_TRUE(drafter.propose({}, 8).tokens.empty());
    const token_list one = { 5 };
    EXPECT_TRUE(drafter.propose(one, 8).tokens.empty());
    EXPECT_TRUE(drafter.propose(token_list{ 5, 6, 7, 5, 6 }, 0).tokens.empty());
}

// ---- how much is drafted ----------------------------------------------------------------------------------------

// Share of the time of plain decoding that `steps` steps take, when each drafted token costs `cost` of a plain step and
// is right with this probability.
double time_share(double cost, double right, int32_t steps, uint32_t seed) {
    llmm::draft_pacer pacer;
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(0, 1);
    double us = 0;
    int64_t tokens = 0;
    while (tokens < steps) {
        const int32_t n = pacer.choose(1, 8);
        const double taken = 10000 * (1 + cost * n) * (0.9 + 0.2 * uniform(random));
        us += taken;
        if (n == 0) {
            pacer.note_plain(int64_t(taken));
            tokens++;
            continue;
        }
        int32_t accepted = 0;
        while (accepted < n && uniform(random) < right) {
            accepted++;
        }
        pacer.note_drafted(1, n, accepted, int64_t(taken));
        tokens += accepted + 1;
    }
    return us / (10000.0 * double(tokens));
}

TEST(DraftPacer, LosesNothingToSpeakOf) {
    for (const double cost : { 0.05, 0.3, 0.5, 1.0, 3.0 }) {
        for (const double right : { 0.0, 0.1, 0.3, 0.5 }) {
            EXPECT_LT(time_share(cost, right, 400, 1), 1.025) << cost << " " << right;
        }
    }
}

TEST(DraftPacer, WinsWhereThereIsSomethingToWin) {
    EXPECT_LT(time_share(0.3, 0.95, 400, 1), 0.65);
    EXPECT_LT(time_share(0.1, 0.8, 400, 1), 0.5);
    EXPECT_LT(time_share(0.05, 1.0, 400, 1), 0.25);
}

}  // namespace
}  // namespace llmm_test
