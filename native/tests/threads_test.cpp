// Thread counts, and many threads with one model.
#include "test_support.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();
// More threads than cores make every step wait for the scheduler at each node of the graph.
const int32_t many_threads = int32_t(std::max(2u, std::min(4u, std::thread::hardware_concurrency())));
const char * const greedy = "{\"temperature\":0,\"ignore_eos\":true}";

session_ptr with_threads(int32_t n, int32_t n_batch = 64) {
    session_options o;
    o.n_threads = n;
    o.n_batch   = n_batch;
    return new_session(shared_llama(), o);
}

TEST(Threads, CountDoesNotChangeTheResult) {
    // Without flash attention every output is one sum, whoever computes it.
    std::vector<float> expected;
    token_list expected_tokens;
    for (const int32_t n : {1, 2, many_threads}) {
        const session_ptr session = with_threads(n);
        eval(session.get(), random_tokens(60, 1));
        const token_list tokens = decode(session.get(), new_sampler(shared_llama(), greedy).get(), 5);
        const std::vector<float> logits = logits_of(session.get(), n_vocab);
        if (expected.empty()) {
            expected        = logits;
            expected_tokens = tokens;
        }
        EXPECT_EQ(expected_tokens, tokens);
        EXPECT_TRUE(same_bits(expected, logits)) << n << " threads";
    }
}

struct changing {
    llmm_session * session;
    int32_t        calls = 0;

    void change() {
        calls++;
        EXPECT_OK(llmm_session_set_threads(session, 1 + calls % 2, 1 + (calls + 1) % 2));
    }
};

int32_t change_in_progress(float, void * user_data) {
    static_cast<changing *>(user_data)->change();
    return 0;
}

int32_t change_in_tokens(const llmm_token_batch *, void * user_data) {
    static_cast<changing *>(user_data)->change();
    return 0;
}

TEST(Threads, MayChangeInCallbacks) {
    const session_ptr plain = with_threads(1, 16);
    eval(plain.get(), random_tokens(100, 1));
    const token_list expected = decode(plain.get(), new_sampler(shared_llama(), greedy).get(), 20);

    const session_ptr session = with_threads(1, 16);
    changing c = {session.get()};
    const token_list tokens = random_tokens(100, 1);
    ASSERT_OK(llmm_session_eval(session.get(), tokens.data(), 100, change_in_progress, &c));
    llmm_generate_params params;
    llmm_generate_params_init(&params);
    params.max_tokens     = 20;
    params.on_tokens      = change_in_tokens;
    params.on_tokens_data = &c;
    llmm_generate_result result = {};
    result.struct_size = sizeof(result);
    ASSERT_OK(llmm_session_generate(session.get(), new_sampler(shared_llama(), greedy).get(), &params, &result));
    EXPECT_GT(c.calls, 20);
    EXPECT_EQ(tokens + expected, history(session.get()));
}

TEST(Threads, MayChangeFromAnotherThreadWhileRunning) {
    const session_ptr plain = with_threads(1);
    eval(plain.get(), random_tokens(30, 1));
    const token_list expected = decode(plain.get(), new_sampler(shared_llama(), greedy).get(), 60);

    const session_ptr session = with_threads(1);
    eval(session.get(), random_tokens(30, 1));
    std::atomic<bool> stop{false};
    std::thread other([&] {
        for (int32_t i = 0; !stop; i++) {
            EXPECT_OK(llmm_session_set_threads(session.get(), 1 + i % 2, 1 + i / 2 % 2));
            for (volatile int k = 0; k < 2000; k = k + 1) {
            }
        }
    });
    EXPECT_EQ(expected, decode(session.get(), new_sampler(shared_llama(), greedy).get(), 60));
    stop = true;
    other.join();
}

TEST(Threads, SessionsOfOneModelRunAtOnce) {
    constexpr int n_workers = 4;
    token_list expected[n_workers];
    for (int i = 0; i < n_workers; i++) {
        const session_ptr session = with_threads(1);
        eval(session.get(), random_tokens(40, uint64_t(i)));
        expected[i] = decode(session.get(), new_sampler(shared_llama(), greedy).get(), 20);
    }
    std::vector<std::thread> workers;
    token_list results[n_workers];
    for (int i = 0; i < n_workers; i++) {
        workers.emplace_back([&, i] {
            const session_ptr session = with_threads(1 + i % 2);
            eval(session.get(), random_tokens(40, uint64_t(i)));
            results[i] = decode(session.get(), new_sampler(shared_llama(), greedy).get(), 20);
        });
    }
    for (std::thread & w : workers) {
        w.join();
    }
    for (int i = 0; i < n_workers; i++) {
        EXPECT_EQ(expected[i], results[i]);
    }
}

TEST(Threads, OneModelServesAllKindsOfCallsAtOnce) {
    const model_ptr model = open_model(shared_path(tiny_arch::llama));
    const std::string adapter_path = temp_path("threads-adapter.gguf");
    write_tiny_adapter(adapter_path, options_of(tiny_arch::llama), 1.0f);
    std::vector<std::thread> workers;
    std::atomic<int> n_failed{0};
    for (int t = 0; t < 4; t++) {
        workers.emplace_back([&, t] {
            try {
                for (int i = 0; i < 15; i++) {
                    EXPECT_EQ("hello world", detokenize(model.get(), tokenize(model.get(), "hello world")));
                    const std::string request =
                        "{\"messages\":[{\"role\":\"user\",\"content\":\"" + std::to_string(t) + "\"}]}";
                    llmm_buffer * prompt = nullptr;
                    require_ok(llmm_chat_render(model.get(), request.data(), request.size(), &prompt));
                    EXPECT_TRUE(text_contains(text_of(buffer_ptr(prompt).get()), std::to_string(t)));
                    const session_ptr session = new_session(model.get());
                    llmm_adapter * raw = nullptr;
                    require_ok(llmm_adapter_open(model.get(), adapter_path.c_str(), nullptr, &raw));
                    const adapter_ptr adapter(raw);
                    const float scale = 1.0f;
                    require_ok(llmm_session_set_adapters(session.get(), &raw, &scale, t % 2));
                    eval(session.get(), random_tokens(10, uint64_t(t)));
                    decode(session.get(), new_sampler(model.get(), forced_text("hello")).get(), 1);
                    info_of(model.get());
                }
            } catch (const std::exception & e) {
                n_failed++;
                ADD_FAILURE() << e.what();
            }
        });
    }
    for (std::thread & w : workers) {
        w.join();
    }
    EXPECT_EQ(0, n_failed.load());
}

TEST(Threads, ModelsMayBeOpenedAtOnce) {
    shared_path(tiny_arch::llama);
    std::vector<std::thread> workers;
    for (int t = 0; t < 4; t++) {
        workers.emplace_back([] {
            for (int i = 0; i < 5; i++) {
                const model_ptr model     = open_model(shared_path(tiny_arch::llama));
                const session_ptr session = new_session(model.get());
                eval(session.get(), random_tokens(5, 1));
            }
        });
    }
    for (std::thread & w : workers) {
        w.join();
    }
}

}  // namespace
}  // namespace llmm_test
