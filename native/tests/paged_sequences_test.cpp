// Several sequences in one paged cache, through llama.cpp's own interface, against its own cache: whatever is decoded,
// removed, copied and kept, in whatever order.
#include "test_support.h"

#include "new_context.h"
#include "paging.h"

#include "llama.h"

#include <cmath>
#include <random>

namespace llmm_test {
namespace {

constexpr int32_t n_seqs = 4, n_ctx = 512, n_ubatch = 32;

struct llama_deleter {
    void operator()(llama_model * p) const { llama_model_free(p); }
    void operator()(llama_context * p) const { llama_free(p); }
};
using llama_model_ptr = std::unique_ptr<llama_model, llama_deleter>;
using llama_context_ptr = std::unique_ptr<llama_context, llama_deleter>;

llama_context_params context_params() {
    llama_context_params p = llama_context_default_params();
    p.n_ctx = n_ctx;
    p.n_batch = p.n_ubatch = n_ubatch;
    p.n_seq_max = n_seqs;
    p.kv_unified = true;
    p.n_threads = p.n_threads_batch = 1;
    return p;
}

class PagedSequences : public ::testing::TestWithParam<tiny_arch> {};

TEST_P(PagedSequences, RandomOperationsAgreeWithTheStockCache) {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    tiny_options options;
    options.arch = GetParam();
    const std::string path = tiny_file("sequences-" + std::to_string((int) GetParam()), options);
    const llama_model_ptr model(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
    ASSERT_NE(nullptr, model);
    const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
    llmm::kv_settings settings;
    settings.page_tokens = 16;
    settings.quantize = llmm::kv_quantize::f16;
    llmm::paging paging(settings);
    const llama_context_ptr paged(llmm::new_context(model.get(), context_params(), { paging.hooks() }));
    ASSERT_TRUE(paging.refusal().empty()) << paging.refusal();
    const llama_context_ptr stock(llama_init_from_model(model.get(), context_params()));

    std::mt19937 random(3);
    llama_batch batch = llama_batch_init(n_ubatch, 0, n_seqs);
    int decoded = 0, refused = 0;
    for (int i = 0; i < rounds(3000); i++) {
        const auto seq = (llama_seq_id) (random() % n_seqs);
        const auto each = [&](auto && act) {
            act(llama_get_memory(paged.get()));
            act(llama_get_memory(stock.get()));
        };
        const llama_pos end = llama_memory_seq_pos_max(llama_get_memory(stock.get()), seq) + 1;
        ASSERT_EQ(end, llama_memory_seq_pos_max(llama_get_memory(paged.get()), seq) + 1);
        switch (random() % 12) {
            case 0: {
                const auto from = (llama_pos) (random() % (end + 1));
                each([&](llama_memory_t m) { llama_memory_seq_rm(m, seq, from, -1); });
                break;
            }
            case 1: {
                const auto to = (llama_seq_id) (random() % n_seqs);
                if (to != seq) {
                    each([&](llama_memory_t m) {
                        llama_memory_seq_rm(m, to, -1, -1);
                        llama_memory_seq_cp(m, seq, to, -1, -1);
                    });
                }
                break;
            }
            case 2:
                if (random() % 20 == 0) {
                    each([&](llama_memory_t m) { llama_memory_seq_keep(m, seq); });
                }
                break;
            default: {
                // A step of one or two sequences.
                const auto other = (llama_seq_id) (random() % n_seqs);
                const auto n = (int32_t) (random() % 2 == 0 ? 1 : 1 + random() % (n_ubatch / 2));
                batch.n_tokens = 0;
                for (const llama_seq_id s : { seq, other }) {
                    if (s == other && other == seq && batch.n_tokens > 0) {
                        break;
                    }
                    const llama_pos at = llama_memory_seq_pos_max(llama_get_memory(stock.get()), s) + 1;
                    for (int32_t t = 0; t < n; t++) {
                        const int32_t k = batch.n_tokens++;
                        batch.token[k] = (llama_token) (random() % (uint32_t) n_vocab);
                        batch.pos[k] = at + t;
                        batch.n_seq_id[k] = 1;
                        batch.seq_id[k][0] = s;
                        batch.logits[k] = t + 1 == n;
                    }
                }
                const int32_t a = llama_decode(paged.get(), batch), b = llama_decode(stock.get(), batch);
                ASSERT_EQ(b, a) << "after " << i;
                refused += b != 0;
                if (b != 0) {
                    each([&](llama_memory_t m) { llama_memory_seq_rm(m, seq, -1, -1); });
                    break;
                }
                decoded++;
                for (int32_t k = 0; k < batch.n_tokens; k++) {
                    if (!batch.logits[k]) {
                        continue;
                    }
                    const float * x = llama_get_logits_ith(paged.get(), k);
                    const float * y = llama_get_logits_ith(stock.get(), k);
                    double error = 0, norm = 0;
                    for (int32_t j = 0; j < n_vocab; j++) {
                        error += std::pow((double) x[j] - y[j], 2);
                        norm += std::pow((double) y[j], 2);
                    }
                    ASSERT_LT(error, 1e-4 * norm) << "after " << i << ", token " << k;
                }
            }
        }
    }
    llama_batch_free(batch);
    EXPECT_GT(decoded, 100);
    EXPECT_GT(refused, 0) << "a full cache is part of it";
}

INSTANTIATE_TEST_SUITE_P(Architectures, PagedSequences, ::testing::Values(tiny_arch::llama, tiny_arch::qwen2, tiny_arch::phi3));

}  // namespace
}  // namespace llmm_test
