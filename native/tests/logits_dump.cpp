// Writes the raw logits of a fixed series of evaluations to a file: logits_dump <model.gguf> <output> <n_threads>.
//
// The program can be built against the patched tree and against a stock one; with LLMM_PATCHED it multiplies by our
// kernels, as the library does. Off means off: both must write the same bytes. The series covers a prefill in several
// steps, greedy decoding, two sequences in one batch, one of them copied from the other, and removal of a tail; each
// with flash attention off and on.
//
// File: for each record its name, length-prefixed (u32), the number of floats (u64) and the floats, all in the
// machine's byte order.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "llama.h"

#ifdef LLMM_PATCHED
#include "row_products_hook.h"
#endif

namespace {

constexpr int32_t n_prompt       = 300;
constexpr int32_t n_decode_steps = 16;
constexpr int32_t n_fork_tokens  = 8;     // per sequence after the copy
constexpr int32_t n_ctx          = 1024;
constexpr int32_t n_ubatch       = 128;   // the prompt takes three steps: 128, 128 and 44 rows

struct model_deleter {
    void operator()(llama_model * model) const { llama_model_free(model); }
};
struct context_deleter {
    void operator()(llama_context * ctx) const { llama_free(ctx); }
};
struct file_closer {
    void operator()(std::FILE * file) const { std::fclose(file); }
};

class batch {
public:
    explicit batch(int32_t capacity) : batch_(llama_batch_init(capacity, 0, 1)) {}
    ~batch() { llama_batch_free(batch_); }
    batch(const batch &) = delete;
    batch & operator=(const batch &) = delete;

    void clear() { batch_.n_tokens = 0; }

    void add(llama_token token, llama_pos pos, llama_seq_id seq, bool wants_logits) {
        const int32_t i = batch_.n_tokens++;
        batch_.token[i]     = token;
        batch_.pos[i]       = pos;
        batch_.n_seq_id[i]  = 1;
        batch_.seq_id[i][0] = seq;
        batch_.logits[i]    = wants_logits ? 1 : 0;
    }

    void decode(llama_context * ctx) const {
        const int rc = llama_decode(ctx, batch_);
        if (rc != 0) {
            throw std::runtime_error("llama_decode failed with " + std::to_string(rc));
        }
    }

private:
    llama_batch batch_;
};

class dump_file {
public:
    explicit dump_file(const char * path) : file_(std::fopen(path, "wb")) {
        if (!file_) {
            throw std::runtime_error(std::string("cannot create ") + path);
        }
    }

    void record(const std::string & name, const float * values, size_t n) {
        const uint32_t name_bytes = uint32_t(name.size());
        const uint64_t count = n;
        write(&name_bytes, sizeof(name_bytes));
        write(name.data(), name.size());
        write(&count, sizeof(count));
        write(values, n * sizeof(float));
    }

    void finish() {
        if (std::fflush(file_.get()) != 0) {
            throw std::runtime_error("write failed");
        }
    }

private:
    void write(const void * data, size_t n) {
        if (std::fwrite(data, 1, n, file_.get()) != n) {
            throw std::runtime_error("write failed");
        }
    }

    std::unique_ptr<std::FILE, file_closer> file_;
};

// A token list that depends on nothing but the vocabulary's size.
std::vector<llama_token> fixed_tokens(int32_t n, int32_t n_vocab, uint32_t seed) {
    std::vector<llama_token> tokens;
    uint32_t state = seed;
    for (int32_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        tokens.push_back(llama_token((state >> 8) % uint32_t(n_vocab)));
    }
    return tokens;
}

void run(llama_model * model, dump_file & out, bool flash, int32_t n_threads) {
    const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    llama_context_params params = llama_context_default_params();
    params.n_ctx           = n_ctx;
    params.n_batch         = n_prompt;
    params.n_ubatch        = n_ubatch;
    params.n_seq_max       = 2;
    params.kv_unified      = true;
    params.n_threads       = n_threads;
    params.n_threads_batch = n_threads;
    params.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.no_perf         = true;
    std::unique_ptr<llama_context, context_deleter> ctx(llama_init_from_model(model, params));
    if (!ctx) {
        throw std::runtime_error("cannot create a context");
    }
    const std::string prefix = flash ? "flash/" : "plain/";
    const auto record = [&](const std::string & name, int32_t row) {
        const float * logits = llama_get_logits_ith(ctx.get(), row);
        if (!logits) {
            throw std::runtime_error("no logits for " + name);
        }
        out.record(prefix + name, logits, size_t(n_vocab));
        return llama_token(std::max_element(logits, logits + n_vocab) - logits);
    };

    // Prefill, with the logits of every tenth token: rows from all three steps.
    batch b(n_prompt);
    const std::vector<llama_token> prompt = fixed_tokens(n_prompt, n_vocab, 12345);
    for (int32_t i = 0; i < n_prompt; i++) {
        b.add(prompt[size_t(i)], i, 0, i % 10 == 0 || i == n_prompt - 1);
    }
    b.decode(ctx.get());
    llama_token next = 0;
    for (int32_t i = 0; i < n_prompt; i++) {
        if (i % 10 == 0 || i == n_prompt - 1) {
            next = record("prefill/" + std::to_string(i), i);
        }
    }

    // Greedy decoding.
    int32_t pos = n_prompt;
    for (int32_t step = 0; step < n_decode_steps; step++) {
        b.clear();
        b.add(next, pos++, 0, true);
        b.decode(ctx.get());
        next = record("decode/" + std::to_string(step), 0);
    }

    // Sequence 1 begins as a copy of 0; both go on with different tokens in one batch.
    llama_memory_t memory = llama_get_memory(ctx.get());
    llama_memory_seq_cp(memory, 0, 1, -1, -1);
    const std::vector<llama_token> fork = fixed_tokens(2 * n_fork_tokens, n_vocab, 777);
    b.clear();
    for (int32_t i = 0; i < n_fork_tokens; i++) {
        b.add(fork[size_t(i)], pos + i, 0, true);
        b.add(fork[size_t(n_fork_tokens + i)], pos + i, 1, true);
    }
    b.decode(ctx.get());
    for (int32_t i = 0; i < 2 * n_fork_tokens; i++) {
        record("fork/" + std::to_string(i), i);
    }

    // Drop the fork's tail and decode again in the freed cells.
    if (llama_memory_seq_rm(memory, 1, pos + n_fork_tokens / 2, -1)) {
        b.clear();
        b.add(fork[0], pos + n_fork_tokens / 2, 1, true);
        b.decode(ctx.get());
        record("tail", 0);
    }
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s <model.gguf> <output> <n_threads>\n", argv[0]);
        return 2;
    }
    try {
        const int32_t n_threads = int32_t(std::strtol(argv[3], nullptr, 10));
        if (n_threads < 1) {
            throw std::runtime_error("n_threads must be at least 1");
        }
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        llama_backend_init();
#ifdef LLMM_PATCHED
        llmm::install_row_products();
#endif
        {
            dump_file out(argv[2]);
            std::unique_ptr<llama_model, model_deleter> model(
                llama_model_load_from_file(argv[1], llama_model_default_params()));
            if (!model) {
                throw std::runtime_error(std::string("cannot load ") + argv[1]);
            }
            run(model.get(), out, false, n_threads);
            run(model.get(), out, true, n_threads);
            out.finish();
        }
        llama_backend_free();
        return 0;
    } catch (const std::exception & e) {
        std::fprintf(stderr, "logits_dump: %s\n", e.what());
        return 1;
    }
}
