// llama.cpp asserts some of what it reads from files. While a scope lives, a failed assertion on its thread becomes a
// failure with the scope's status instead of the end of the process; llama.cpp's loaders catch it like any other
// error. Only around calls that read foreign data and run on the calling thread alone: never around a graph's
// computation, whose other threads would wait for this one for ever.
#pragma once

#include "llm_mobile.h"

namespace llmm {

class assert_scope {
public:
    explicit assert_scope(llmm_status status);
    ~assert_scope();
    assert_scope(const assert_scope &) = delete;
    assert_scope & operator=(const assert_scope &) = delete;

private:
    llmm_status former_;
};

// Makes scopes work. Called once, when the engine starts.
void install_assert_handler();

}  // namespace llmm
