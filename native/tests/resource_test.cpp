// Memory that runs out, and files that change: a status, never the end of the process.
#include "test_support.h"

#if defined(__linux__)
#  include <sys/resource.h>
#  include <sys/wait.h>
#  include <unistd.h>
#endif

namespace llmm_test {
namespace {

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

uint64_t address_space_bytes() {
    const std::string statm = read_file("/proc/self/statm");
    return std::stoull(statm) * uint64_t(sysconf(_SC_PAGESIZE));
}

// Runs `body` in a child process that may map n_bytes more than it has. The child's exit status is the result.
template <typename body_fn>
int run_limited(uint64_t n_bytes, body_fn body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        rlimit limit = {};
        getrlimit(RLIMIT_AS, &limit);
        limit.rlim_cur = address_space_bytes() + n_bytes;
        setrlimit(RLIMIT_AS, &limit);
        int code = 99;
        try {
            code = body();
        } catch (const std::exception & e) {
            std::fprintf(stderr, "%s\n", e.what());
        }
        _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

TEST(OutOfMemory, SessionIsRefusedAndTheModelStaysUsable) {
    tiny_options o;
    o.n_ctx_train = 1 << 20;
    const std::string path = tiny_file("for-memory", o);
    const int code = run_limited(uint64_t(200) << 20, [&] {
        const model_ptr model = open_model(path);
        llmm_session_params params;
        llmm_session_params_init(&params);
        params.n_threads = 1;
        params.n_ctx     = 1 << 20;   // keys and values alone take 256 MB
        llmm_session * session = nullptr;
        const llmm_status status = llmm_session_new(model.get(), &params, &session);
        if (status != LLMM_ERR_OUT_OF_MEMORY || session != nullptr || last_error().empty()) {
            return 100 + int(status);
        }
        const session_ptr small = new_session(model.get());
        eval(small.get(), random_tokens(5, 1));
        return 0;
    });
    EXPECT_EQ(0, code);
}

TEST(OutOfMemory, OpeningEndsInAStatusAtEveryLimit) {
    const std::string path = shared_path(tiny_arch::llama);
    bool opened = false;
    for (uint64_t mib = 0; mib <= 64 && !opened; mib += 2) {
        const int code = run_limited(mib << 20, [&] {
            llmm_model_params params;
            llmm_model_params_init(&params);
            params.use_mmap = 0;
            llmm_model * model = nullptr;
            const llmm_status status = llmm_model_open(path.c_str(), &params, &model);
            if (status == LLMM_OK) {
                llmm_model_close(model);
                return 0;
            }
            return model == nullptr ? 1 : 2;
        });
        EXPECT_TRUE(code == 0 || code == 1) << mib << " MiB: " << code;
        opened = code == 0;
    }
    EXPECT_TRUE(opened);
}

#endif

TEST(Files, ModelFileMayBeDeletedWhileItIsInUse) {
    const std::string path = temp_path("deleted.gguf");
    write_file(path, read_file(shared_path(tiny_arch::llama)));
    const model_ptr model     = open_model(path);
    const session_ptr session = new_session(model.get());
    eval(session.get(), random_tokens(10, 1));
#if defined(__linux__)
    ASSERT_EQ(0, unlink(path.c_str()));
#endif
    eval(session.get(), random_tokens(10, 2));
    const session_ptr reference = new_session(shared_llama());
    eval(reference.get(), random_tokens(10, 1));
    eval(reference.get(), random_tokens(10, 2));
    EXPECT_TRUE(same_bits(logits_of(reference.get(), tiny_n_vocab()), logits_of(session.get(), tiny_n_vocab())));
}

TEST(Files, ManyModelsAtOnce) {
    std::vector<model_ptr> models;
    std::vector<session_ptr> sessions;
    for (int i = 0; i < 30; i++) {
        models.push_back(open_model(shared_path(tiny_arch::llama)));
        sessions.push_back(new_session(models.back().get()));
        eval(sessions.back().get(), random_tokens(3, 1));
    }
    for (size_t i = 1; i < sessions.size(); i++) {
        EXPECT_TRUE(same_bits(logits_of(sessions[0].get(), tiny_n_vocab()), logits_of(sessions[i].get(), tiny_n_vocab())));
    }
}

}  // namespace
}  // namespace llmm_test
