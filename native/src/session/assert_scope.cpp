#include "assert_scope.h"

#include "failure.h"
#include "utf8.h"

#include "ggml.h"

#include <cstdio>

namespace llmm {

namespace {

thread_local llmm_status scope_status = LLMM_OK;    // OK: no scope

// ggml.c is built with -fexceptions, so that this may unwind through it.
void on_failed_assert(const char * message) {
    if (scope_status != LLMM_OK) {
        throw failure(scope_status, utf8_repair(message));
    }
    std::fprintf(stderr, "llm-mobile: internal error, the process ends: %s\n", message);
}

}  // namespace

assert_scope::assert_scope(llmm_status status) : former_(scope_status) {
    scope_status = status;
}

assert_scope::~assert_scope() {
    scope_status = former_;
}

void install_assert_handler() {
    ggml_set_abort_callback(on_failed_assert);
}

}  // namespace llmm
