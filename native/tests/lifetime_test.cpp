// Handles may be closed in any order, and nothing is left behind.
#include "test_support.h"

#include <algorithm>
#include <thread>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();

std::string adapter_file() {
    const std::string path = temp_path("lifetime-adapter.gguf");
    if (!file_exists(path)) {
        write_tiny_adapter(path, options_of(tiny_arch::llama), 1.0f);
    }
    return path;
}

struct everything {
    model_ptr   model;
    adapter_ptr adapter;
    sampler_ptr sampler;
    session_ptr session;

    everything() {
        model = open_model(shared_path(tiny_arch::llama));
        llmm_adapter * raw = nullptr;
        require_ok(llmm_adapter_open(model.get(), adapter_file().c_str(), nullptr, &raw));
        adapter.reset(raw);
        sampler = new_sampler(model.get(), "{\"temperature\":0,\"ignore_eos\":true,\"grammar\":\"root ::= [a-z]+\"}");
        session = new_session(model.get());
        const float scale = 1.0f;
        require_ok(llmm_session_set_adapters(session.get(), &raw, &scale, 1));
        eval(session.get(), random_tokens(10, 1));
    }

    void close(int which) {
        switch (which) {
            case 0: model.reset(); break;
            case 1: adapter.reset(); break;
            case 2: sampler.reset(); break;
            default: session.reset();
        }
    }

    // Uses what is still open.
    void use() {
        if (session) {
            eval(session.get(), random_tokens(2, 2));
            EXPECT_EQ(size_t(n_vocab), logits_of(session.get(), n_vocab).size());
            if (sampler) {
                EXPECT_EQ(2u, decode(session.get(), sampler.get(), 2).size());
            }
        }
        if (model) {
            EXPECT_EQ("hello", detokenize(model.get(), tokenize(model.get(), "hello")));
        }
    }
};

TEST(Lifetime, HandlesMayBeClosedInAnyOrder) {
    int order[] = {0, 1, 2, 3};
    do {
        everything e;
        for (const int which : order) {
            e.close(which);
            e.use();
        }
    } while (std::next_permutation(order, order + 4));
}

TEST(Lifetime, SamplerKeepsItsModel) {
    model_ptr model = open_model(shared_path(tiny_arch::llama));
    const sampler_ptr sampler = new_sampler(model.get(), "{\"seed\":3}");
    model.reset();
    EXPECT_EQ(3u, llmm_sampler_seed(sampler.get()));
}

TEST(Lifetime, BuffersOutliveTheirModel) {
    model_ptr model = open_model(shared_path(tiny_arch::llama));
    llmm_buffer * raw = nullptr;
    ASSERT_OK(llmm_model_info(model.get(), &raw));
    const buffer_ptr buffer(raw);
    model.reset();
    EXPECT_EQ(json::object, parse_json(text_of(raw)).kind);
}

TEST(Lifetime, ClosingOneSessionLeavesTheOthers) {
    const model_ptr model = open_model(shared_path(tiny_arch::llama));
    session_ptr a = new_session(model.get());
    const session_ptr b = new_session(model.get());
    eval(a.get(), random_tokens(20, 1));
    eval(b.get(), random_tokens(20, 1));
    const std::vector<float> expected = logits_of(a.get(), n_vocab);
    a.reset();
    EXPECT_TRUE(same_bits(expected, logits_of(b.get(), n_vocab)));
    eval(b.get(), random_tokens(5, 2));
}

TEST(Lifetime, HandlesMayBeClosedOnAnotherThread) {
    everything e;
    std::thread([&] {
        for (const int which : {3, 0, 2, 1}) {
            e.close(which);
        }
    }).join();
}

TEST(Lifetime, OpeningAndClosingDoesNotGrowTheProcess) {
#if !defined(__linux__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "resident memory tells nothing here; the leak checker does";
#endif
    const auto rss = [] {
        uint64_t now  = 0;
        uint64_t peak = 0;
        require_ok(llmm_process_memory(&now, &peak));
        return now;
    };
    const auto cycle = [](int n) {
        for (int i = 0; i < n; i++) {
            everything e;
            e.use();
        }
    };
    cycle(50);   // caches and arenas reach their size
    const uint64_t before = rss();
    cycle(200);
    // A cycle holds more than 2 MB: forgetting a part of it 200 times would show.
    EXPECT_LT(rss(), before + (uint64_t(32) << 20));
}

}  // namespace
}  // namespace llmm_test
