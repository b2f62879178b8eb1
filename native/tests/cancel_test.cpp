// Stopping calls: from other threads, from callbacks, before they begin; and two calls at once on one session.
#include "test_support.h"

#include <atomic>
#include <thread>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();
const char * const greedy = "{\"temperature\":0,\"ignore_eos\":true}";

std::vector<float> logits(const session_ptr & session) {
    return logits_of(session.get(), n_vocab);
}

llmm_status try_eval(const session_ptr & session, const token_list & tokens, llmm_progress_cb progress = nullptr,
                     void * data = nullptr) {
    return llmm_session_eval(session.get(), tokens.data(), int32_t(tokens.size()), progress, data);
}

llmm_status try_decode(const session_ptr & session, const sampler_ptr & sampler) {
    llmm_token_result result = {};
    result.struct_size = sizeof(result);
    return llmm_session_decode(session.get(), sampler.get(), &result);
}

session_ptr small_steps(llmm_model * model = shared_llama()) {
    session_options o;
    o.n_batch = 16;
    return new_session(model, o);
}

struct countdown {
    int32_t calls_left;
};

int32_t cancel_after(float, void * user_data) {
    return --static_cast<countdown *>(user_data)->calls_left <= 0 ? 1 : 0;
}

TEST(Cancel, CallbackOfEvalRestoresTheHistory) {
    for (llmm_model * model : {shared_llama(), shared_gemma(), shared_model(tiny_arch::mamba)}) {
        const token_list a = random_tokens(40, 1);
        const token_list b = random_tokens(100, 2);
        const token_list next = random_tokens(16, 3);
        for (const int32_t calls : {1, 3, 7}) {
            const session_ptr session = small_steps(model);
            eval(session.get(), a);
            countdown count = {calls};
            EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(session, b, cancel_after, &count));
            EXPECT_EQ(0, count.calls_left) << "no call after the one that cancelled";
            EXPECT_EQ(a, history(session.get()));
            eval(session.get(), next);   // no reset needed: the stop was the callback's
            const session_ptr fresh = small_steps(model);
            eval(fresh.get(), a);
            eval(fresh.get(), next);
            if (model == shared_llama()) {
                EXPECT_TRUE(same_bits(logits(fresh), logits(session)));
            } else {
                EXPECT_LT(max_difference(logits(fresh), logits(session)), rounding());
            }
        }
    }
}

TEST(Cancel, CallbackOfEvalOnAnEmptySession) {
    const session_ptr session = small_steps();
    countdown count = {2};
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(session, random_tokens(100, 1), cancel_after, &count));
    EXPECT_EQ(0, llmm_session_n_tokens(session.get()));
    std::vector<float> out(static_cast<size_t>(n_vocab));
    EXPECT_STATUS(LLMM_ERR_NO_LOGITS, llmm_session_logits(session.get(), out.data(), n_vocab));
}

TEST(Cancel, LogitsAfterACancelledEvalAreThoseBefore) {
    const session_ptr session = small_steps();
    eval(session.get(), random_tokens(40, 1));
    const std::vector<float> before = logits(session);
    countdown count = {2};
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(session, random_tokens(100, 2), cancel_after, &count));
    EXPECT_LT(max_difference(before, logits(session)), rounding());
}

TEST(Cancel, CallbackOfPrefillLeavesTheCommonPrefix) {
    const session_ptr session = small_steps();
    const token_list old = random_tokens(60, 1);
    eval(session.get(), old);
    token_list wanted = slice(old, 0, 33) + random_tokens(100, 2);
    wanted[33] = old[33] == 300 ? 301 : 300;
    countdown count = {3};
    int32_t n_reused = 77;
    EXPECT_STATUS(LLMM_ERR_CANCELLED, llmm_session_prefill(session.get(), wanted.data(), int32_t(wanted.size()),
                                                          cancel_after, &count, &n_reused));
    EXPECT_EQ(77, n_reused);
    EXPECT_EQ(slice(old, 0, 33), history(session.get()));
    ASSERT_OK(llmm_session_prefill(session.get(), wanted.data(), int32_t(wanted.size()), nullptr, nullptr, &n_reused));
    EXPECT_EQ(wanted, history(session.get()));
    const session_ptr fresh = small_steps();
    eval(fresh.get(), wanted);
    EXPECT_LT(max_difference(logits(fresh), logits(session)), rounding());
}

// Cancels from a second thread as soon as the callback has been reached, and holds the callback until that is done.
struct handshake {
    llmm_session *    session = nullptr;
    std::atomic<bool> reached{false};
    std::atomic<bool> cancelled{false};
    int32_t           wait_at = 2;
    int32_t           calls   = 0;

    void wait() {
        if (++calls == wait_at) {
            reached = true;
            while (!cancelled) {
                std::this_thread::yield();
            }
        }
    }

    std::thread start() {
        return std::thread([this] {
            while (!reached) {
                std::this_thread::yield();
            }
            llmm_session_cancel(session);
            cancelled = true;
        });
    }
};

int32_t wait_in_progress(float, void * user_data) {
    static_cast<handshake *>(user_data)->wait();
    return 0;
}

int32_t wait_in_tokens(const llmm_token_batch *, void * user_data) {
    static_cast<handshake *>(user_data)->wait();
    return 0;
}

TEST(Cancel, OtherThreadStopsEval) {
    const session_ptr session = small_steps();
    const token_list a = random_tokens(40, 1);
    eval(session.get(), a);
    handshake h;
    h.session = session.get();
    std::thread other = h.start();
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(session, random_tokens(200, 2), wait_in_progress, &h));
    other.join();
    EXPECT_EQ(2, h.calls) << "the next step did not begin";
    EXPECT_EQ(a, history(session.get()));
    llmm_session_cancel_reset(session.get());
    eval(session.get(), random_tokens(16, 3));
    const session_ptr fresh = small_steps();
    eval(fresh.get(), a);
    eval(fresh.get(), random_tokens(16, 3));
    EXPECT_TRUE(same_bits(logits(fresh), logits(session)));
}

TEST(Cancel, OtherThreadStopsGenerate) {
    const session_ptr session = small_steps();
    eval(session.get(), random_tokens(10, 1));
    const sampler_ptr sampler = new_sampler(shared_llama(), greedy);
    handshake h;
    h.session = session.get();
    h.wait_at = 5;
    std::thread other = h.start();
    llmm_generate_params params;
    llmm_generate_params_init(&params);
    params.max_tokens     = 100;
    params.on_tokens      = wait_in_tokens;
    params.on_tokens_data = &h;
    llmm_generate_result result = {};
    result.struct_size = sizeof(result);
    ASSERT_OK(llmm_session_generate(session.get(), sampler.get(), &params, &result));
    other.join();
    EXPECT_EQ(LLMM_STOP_CANCELLED, result.stop_reason);
    EXPECT_EQ(5, result.n_tokens);
    EXPECT_EQ(15, llmm_session_n_tokens(session.get()));
    // What was generated stays, and the generation can go on.
    llmm_session_cancel_reset(session.get());
    const token_list rest = decode(session.get(), sampler.get(), 5);
    const session_ptr whole = small_steps();
    eval(whole.get(), random_tokens(10, 1));
    EXPECT_EQ(history(session.get()),
              random_tokens(10, 1) + decode(whole.get(), new_sampler(shared_llama(), greedy).get(), 10));
    EXPECT_EQ(5u, rest.size());
}

int32_t cancel_self(const llmm_token_batch *, void * user_data) {
    llmm_session_cancel(static_cast<llmm_session *>(user_data));
    return 0;
}

int32_t cancel_self_in_progress(float, void * user_data) {
    llmm_session_cancel(static_cast<llmm_session *>(user_data));
    return 0;
}

TEST(Cancel, MayBeCalledFromCallbacks) {
    const session_ptr session = small_steps();
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(session, random_tokens(100, 1), cancel_self_in_progress, session.get()));
    llmm_session_cancel_reset(session.get());
    EXPECT_EQ(0, llmm_session_n_tokens(session.get()));
    eval(session.get(), random_tokens(10, 1));
    llmm_generate_params params;
    llmm_generate_params_init(&params);
    params.on_tokens      = cancel_self;
    params.on_tokens_data = session.get();
    llmm_generate_result result = {};
    result.struct_size = sizeof(result);
    ASSERT_OK(llmm_session_generate(session.get(), new_sampler(shared_llama(), greedy).get(), &params, &result));
    EXPECT_EQ(LLMM_STOP_CANCELLED, result.stop_reason);
    EXPECT_EQ(1, result.n_tokens);
}

TEST(Cancel, BeforeACallStopsTheNextOneAndThatAlone) {
    const session_ptr session = small_steps();
    const sampler_ptr sampler = new_sampler(shared_llama(), greedy);
    const token_list a = random_tokens(20, 1);
    eval(session.get(), a);

    llmm_session_cancel(session.get());
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(session, random_tokens(5, 2)));
    EXPECT_EQ(a, history(session.get()));
    EXPECT_OK(try_eval(session, random_tokens(5, 2)));
    ASSERT_OK(llmm_session_rewind(session.get(), 20));

    llmm_session_cancel(session.get());
    const token_list wanted = a + random_tokens(5, 3);
    EXPECT_STATUS(LLMM_ERR_CANCELLED, llmm_session_prefill(session.get(), wanted.data(), 25, nullptr, nullptr, nullptr));
    EXPECT_EQ(a, history(session.get()));
    EXPECT_OK(llmm_session_prefill(session.get(), wanted.data(), 25, nullptr, nullptr, nullptr));

    llmm_session_cancel(session.get());
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_decode(session, sampler));
    EXPECT_EQ(wanted, history(session.get()));
    EXPECT_OK(try_decode(session, sampler));

    llmm_session_cancel(session.get());
    generate_options o;
    o.max_tokens = 10;
    generation g = generate(session.get(), sampler.get(), o);
    ASSERT_OK(g.status);
    EXPECT_EQ(LLMM_STOP_CANCELLED, g.stop_reason);
    EXPECT_EQ(0, g.n_tokens);
    g = generate(session.get(), sampler.get(), o);
    ASSERT_OK(g.status);
    EXPECT_EQ(LLMM_STOP_MAX_TOKENS, g.stop_reason);

    const session_ptr other = new_session(shared_llama());
    std::vector<float> out(64);
    llmm_session_cancel(other.get());
    EXPECT_STATUS(LLMM_ERR_CANCELLED,
                  llmm_session_embed(other.get(), a.data(), 20, LLMM_POOLING_MEAN, 0, out.data(), 64));
    EXPECT_OK(llmm_session_embed(other.get(), a.data(), 20, LLMM_POOLING_MEAN, 0, out.data(), 64));

    const token_list text = random_tokens(200, 1);
    llmm_perplexity_params params;
    llmm_perplexity_params_init(&params);
    params.n_ctx = 64;
    llmm_perplexity_result result = {};
    result.struct_size = sizeof(result);
    llmm_session_cancel(other.get());
    EXPECT_STATUS(LLMM_ERR_CANCELLED, llmm_session_perplexity(other.get(), text.data(), 200, &params, &result));
    EXPECT_OK(llmm_session_perplexity(other.get(), text.data(), 200, &params, &result));
}

TEST(Cancel, ResetWithdrawsIt) {
    const session_ptr session = small_steps();
    llmm_session_cancel(session.get());
    llmm_session_cancel(session.get());
    llmm_session_cancel_reset(session.get());
    EXPECT_OK(try_eval(session, random_tokens(20, 1)));
}

TEST(Cancel, OfOneSessionLeavesOthersAlone) {
    const session_ptr a = small_steps();
    const session_ptr b = small_steps();
    llmm_session_cancel(a.get());
    EXPECT_OK(try_eval(b, random_tokens(20, 1)));
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(a, random_tokens(20, 1)));
}

TEST(Cancel, NullIsFine) {
    llmm_session_cancel(nullptr);
    llmm_session_cancel_reset(nullptr);
}

// Cancels at any moment of any call. Whatever it hits, the session keeps its promises afterwards.
TEST(Cancel, AtRandomMomentsNeverDamagesTheSession) {
    session_options o;
    o.n_batch   = 8;
    o.n_threads = 2;
    const session_ptr session = new_session(shared_llama(), o);
    const sampler_ptr sampler = new_sampler(shared_llama(), greedy);
    std::atomic<bool> stop{false};
    std::thread other([&] {
        uint32_t state = 1;
        while (!stop) {
            state = state * 1664525u + 1013904223u;
            for (volatile uint32_t i = 0; i < (state >> 18); i = i + 1) {
            }
            llmm_session_cancel(session.get());
        }
    });
    int n_cancelled = 0;
    for (int i = 0; i < rounds(200); i++) {
        const token_list before = history(session.get());
        const token_list tokens = random_tokens(40, uint64_t(i));
        if (before.size() > 300) {
            EXPECT_OK(llmm_session_rewind(session.get(), 20));
            continue;
        }
        const llmm_status status = try_eval(session, tokens);
        if (status == LLMM_OK) {
            EXPECT_EQ(before + tokens, history(session.get()));
        } else {
            n_cancelled++;
            EXPECT_STATUS(LLMM_ERR_CANCELLED, status);
            EXPECT_EQ(before, history(session.get()));
        }
        if (llmm_session_n_tokens(session.get()) > 0) {
            generate_options g;
            g.max_tokens = 5;
            EXPECT_OK(generate(session.get(), sampler.get(), g).status);
        }
    }
    stop = true;
    other.join();
    llmm_session_cancel_reset(session.get());
    EXPECT_GT(n_cancelled, 0);
    const token_list tokens = history(session.get()) + random_tokens(9, 1);
    ASSERT_OK(try_eval(session, random_tokens(9, 1)));
    const session_ptr fresh = new_session(shared_llama(), o);
    eval(fresh.get(), tokens);
    EXPECT_LT(max_difference(logits(fresh), logits(session)), rounding());
}

// Cause: a cancel between two steps of an embedding left the first steps in the cache, and the next one failed.
TEST(Cancel, AtRandomMomentsNeverDamagesEmbeddings) {
    const session_ptr session = new_session(shared_llama());
    const token_list tokens = random_tokens(400, 1);
    const auto embed = [&](std::vector<float> & out) {
        return llmm_session_embed(session.get(), tokens.data(), 400, LLMM_POOLING_MEAN, 0, out.data(), 64);
    };
    // How far the other thread counts during one embedding: it cancels after a random part of that.
    std::atomic<int>  round{0};
    std::atomic<int>  done{0};
    std::atomic<long> limit{0};
    std::thread other([&] {
        uint32_t state = 5;
        for (int seen = 0;;) {
            while (round == seen) {
                std::this_thread::yield();
            }
            seen = round;
            if (seen < 0) {
                return;
            }
            long count = 0;
            if (limit == 0) {
                while (done != seen) {
                    count++;
                }
                limit = count;
            } else {
                state = state * 1664525u + 1013904223u;
                const long wait = long(double(state >> 8) / double(1 << 24) * double(limit));
                while (count < wait && done != seen) {
                    count++;
                }
                if (done != seen) {   // too late, it would stop the next one at once
                    llmm_session_cancel(session.get());
                }
            }
        }
    });
    std::vector<float> expected(64);
    std::vector<float> out(64);
    EXPECT_OK(embed(out));   // the first one sets up buffers
    round = 1;
    EXPECT_OK(embed(expected));
    done = 1;
    while (limit == 0) {
        std::this_thread::yield();
    }
    int n_cancelled = 0;
    for (int i = 2; i < 2 + 200; i++) {
        round = i;
        const llmm_status status = embed(out);
        done = i;
        if (status == LLMM_OK) {
            EXPECT_TRUE(same_bits(expected, out));
        } else {
            n_cancelled++;
            EXPECT_STATUS(LLMM_ERR_CANCELLED, status);
        }
    }
    round = -1;
    other.join();
    EXPECT_GT(n_cancelled, 0);
}

// ---- two calls at once ----------------------------------------------------------------------------------------

// Every call on a session that has one running.
void expect_all_busy(llmm_session * session, llmm_sampler * sampler, const std::string & state_path) {
    const token_list tokens = random_tokens(3, 1);
    std::vector<float> floats(static_cast<size_t>(n_vocab));
    std::vector<int32_t> ids(static_cast<size_t>(n_vocab));
    int32_t n_reused = 77;
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_eval(session, tokens.data(), 3, nullptr, nullptr));
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_prefill(session, tokens.data(), 3, nullptr, nullptr, &n_reused));
    EXPECT_EQ(77, n_reused);
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_rewind(session, 0));
    llmm_token_result token = {};
    token.struct_size = sizeof(token);
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_decode(session, sampler, &token));
    llmm_generate_result generated = {};
    generated.struct_size = sizeof(generated);
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_generate(session, sampler, nullptr, &generated));
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_logits(session, floats.data(), n_vocab));
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_top_logprobs(session, 5, ids.data(), floats.data()));
    EXPECT_STATUS(LLMM_ERR_BUSY,
                  llmm_session_embed(session, tokens.data(), 3, LLMM_POOLING_MEAN, 0, floats.data(), 64));
    llmm_perplexity_result perplexity = {};
    perplexity.struct_size = sizeof(perplexity);
    const token_list text = random_tokens(1100, 1);
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_perplexity(session, text.data(), 1100, nullptr, &perplexity));
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_save(session, temp_path("busy.session").c_str()));
    EXPECT_FALSE(file_exists(temp_path("busy.session")));
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_load(session, state_path.c_str()));
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_set_adapters(session, nullptr, nullptr, 0));
    llmm_buffer * buffer = nullptr;
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_tokens(session, &buffer));
    EXPECT_EQ(nullptr, buffer);
    llmm_stats stats = {};
    stats.struct_size = sizeof(stats);
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_stats(session, &stats));
    EXPECT_STATUS(LLMM_ERR_BUSY, llmm_session_stats_reset(session));
    // These two may run beside any call.
    EXPECT_OK(llmm_session_set_threads(session, 1, 1));
    EXPECT_GE(llmm_session_n_tokens(session), 0);
    EXPECT_EQ(512, llmm_session_n_ctx(session));
}

struct busy_probe {
    llmm_session * session;
    llmm_sampler * sampler;
    std::string    state_path;
    bool           other_thread;
    int32_t        calls = 0;

    void probe() {
        if (calls++ > 0) {
            return;
        }
        if (other_thread) {
            std::thread([this] { expect_all_busy(session, sampler, state_path); }).join();
        } else {
            expect_all_busy(session, sampler, state_path);
        }
    }
};

int32_t probe_in_progress(float, void * user_data) {
    static_cast<busy_probe *>(user_data)->probe();
    return 0;
}

int32_t probe_in_tokens(const llmm_token_batch *, void * user_data) {
    static_cast<busy_probe *>(user_data)->probe();
    return 0;
}

TEST(Busy, SecondCallIsRefusedAndChangesNothing) {
    for (const bool other_thread : {false, true}) {
        const session_ptr session = small_steps();
        const session_ptr alone   = small_steps();
        const sampler_ptr sampler = new_sampler(shared_llama(), greedy);
        const std::string path    = temp_path("for-busy.session");
        ASSERT_OK(llmm_session_save(session.get(), path.c_str()));
        busy_probe probe = {session.get(), sampler.get(), path, other_thread};
        ASSERT_OK(try_eval(session, random_tokens(60, 1), probe_in_progress, &probe));
        eval(alone.get(), random_tokens(60, 1));
        EXPECT_GT(probe.calls, 0);
        EXPECT_TRUE(same_bits(logits(alone), logits(session)));

        probe.calls = 0;
        llmm_generate_params params;
        llmm_generate_params_init(&params);
        params.max_tokens     = 10;
        params.on_tokens      = probe_in_tokens;
        params.on_tokens_data = &probe;
        llmm_generate_result result = {};
        result.struct_size = sizeof(result);
        ASSERT_OK(llmm_session_generate(session.get(), sampler.get(), &params, &result));
        EXPECT_EQ(10, result.n_tokens);
        decode(alone.get(), new_sampler(shared_llama(), greedy).get(), 10);
        EXPECT_GT(probe.calls, 0);
        EXPECT_EQ(history(alone.get()), history(session.get()));
        EXPECT_TRUE(same_bits(logits(alone), logits(session)));
    }
}

TEST(Busy, EndsWithTheCall) {
    const session_ptr session = small_steps();
    countdown count = {2};
    EXPECT_STATUS(LLMM_ERR_CANCELLED, try_eval(session, random_tokens(100, 1), cancel_after, &count));
    EXPECT_STATUS(LLMM_ERR_RANGE, try_eval(session, {-1}));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_session_rewind(session.get(), 5));
    EXPECT_OK(try_eval(session, random_tokens(10, 1)));
}

TEST(Busy, ThreadsThatCollideLoseNothing) {
    // Each accepted eval adds its tokens, each refused one nothing.
    const session_ptr session = small_steps();
    std::atomic<int> n_accepted{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 30; i++) {
                const token_list tokens = random_tokens(4, uint64_t(t * 100 + i));
                const llmm_status status = llmm_session_eval(session.get(), tokens.data(), 4, nullptr, nullptr);
                if (status == LLMM_OK) {
                    n_accepted++;
                } else {
                    EXPECT_STATUS(LLMM_ERR_BUSY, status);
                }
            }
        });
    }
    for (std::thread & t : threads) {
        t.join();
    }
    EXPECT_GT(n_accepted.load(), 0);
    EXPECT_EQ(4 * n_accepted.load(), llmm_session_n_tokens(session.get()));
}

}  // namespace
}  // namespace llmm_test
